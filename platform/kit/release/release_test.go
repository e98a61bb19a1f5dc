package release_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jonboulle/clockwork"

	"github.com/slipway-dev/slipway/platform/kit/image"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/registry"
	"github.com/slipway-dev/slipway/platform/kit/release"
)

const main = "package main\n\nimport \"example.com/shared\"\n\nfunc main() { println(shared.Text) }\n"

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func checkout(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	write(t, filepath.Join(root, "services/tiny/go.mod"), "module example.com/tiny\n\ngo 1.26.0\n\nrequire example.com/shared v0.0.0\n\nreplace example.com/shared => ../../shared\n")
	write(t, filepath.Join(root, "services/tiny/cmd/tiny/main.go"), main)
	write(t, filepath.Join(root, "shared/go.mod"), "module example.com/shared\n\ngo 1.26.0\n")
	write(t, filepath.Join(root, "shared/shared.go"), "package shared\n\nconst Text = \"one\"\n")
	write(t, filepath.Join(root, "README.md"), "text\n")
	return root
}

func git(t *testing.T, root string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "git", append([]string{"-C", root, "-c", "user.name=t", "-c", "user.email=t@example.com"}, args...)...)
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null",
		"GIT_AUTHOR_DATE=2026-11-22T12:00:00Z", "GIT_COMMITTER_DATE=2026-11-22T12:00:00Z")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("git %v: %v\n%s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

func committed(t *testing.T) string {
	t.Helper()
	root := checkout(t)
	git(t, root, "init", "-q")
	git(t, root, "add", ".")
	git(t, root, "commit", "-q", "-m", "first")
	return root
}

func inspect(t *testing.T, root string) release.Source {
	t.Helper()
	source, err := release.Inspect(t.Context(), root, filepath.Join(root, "services/tiny"))
	if err != nil {
		t.Fatal(err)
	}
	return source
}

func TestCleanCommitGivesTheVersion(t *testing.T) {
	root := committed(t)
	source := inspect(t, root)
	commit := git(t, root, "rev-parse", "HEAD")
	if source.Commit != commit || source.Dirty || source.Version() != "v0-"+commit[:12] {
		t.Errorf("source = %+v, version %s", source, source.Version())
	}
	if again := inspect(t, committed(t)); again != source {
		t.Errorf("the same commit in another folder: %+v, want %+v", again, source)
	}
}

func TestOnlyInputsMakeItDirty(t *testing.T) {
	cases := map[string]struct {
		path  string
		dirty bool
	}{
		"code":                        {"services/tiny/cmd/tiny/main.go", true},
		"a module beside":             {"shared/shared.go", true},
		"a new file":                  {"services/tiny/internal/new.go", true},
		"an embedded file":            {"services/tiny/internal/query.sql", true},
		"a test":                      {"services/tiny/cmd/tiny/main_test.go", false},
		"test data":                   {"services/tiny/internal/testdata/x.json", false},
		"elsewhere in the repository": {"README.md", false},
		"an ignored file":             {"services/tiny/debug.out", false},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			root := checkout(t)
			write(t, filepath.Join(root, ".gitignore"), "*.out\n")
			git(t, root, "init", "-q")
			git(t, root, "add", ".")
			git(t, root, "commit", "-q", "-m", "first")
			before := inspect(t, root)
			write(t, filepath.Join(root, tc.path), "package changed\n")
			after := inspect(t, root)
			if want := map[bool]string{true: tc.path}[tc.dirty]; after.Changes != want {
				t.Errorf("changed %q; want %q", after.Changes, want)
			}
			if after.Dirty != tc.dirty || (after.Inputs != before.Inputs) != tc.dirty {
				t.Errorf("dirty %v, inputs changed %v; want %v", after.Dirty, after.Inputs != before.Inputs, tc.dirty)
			}
			if want := tc.dirty; strings.Contains(after.Version(), "-dirty.") != want {
				t.Errorf("version = %s", after.Version())
			}
		})
	}
}

func TestManyChangesAreCounted(t *testing.T) {
	root := committed(t)
	for _, name := range []string{"g", "f", "e", "d", "c", "b"} {
		write(t, filepath.Join(root, "services/tiny", name+".txt"), name)
	}
	want := "services/tiny/b.txt, services/tiny/c.txt, services/tiny/d.txt, services/tiny/e.txt, services/tiny/f.txt and 1 more"
	if got := inspect(t, root).Changes; got != want {
		t.Errorf("changed %q; want %q", got, want)
	}
}

func TestWithoutACommit(t *testing.T) {
	plain := checkout(t)
	empty := checkout(t)
	git(t, empty, "init", "-q")
	noGit := checkout(t)
	cases := map[string]struct {
		root, note string
		setup      func(*testing.T)
	}{
		"no repository": {plain, "not a git repository", func(t *testing.T) { t.Setenv("GIT_CEILING_DIRECTORIES", filepath.Dir(plain)) }},
		"no commit":     {empty, "no commit yet", func(*testing.T) {}},
		"no git":        {noGit, "no git command", func(t *testing.T) { t.Setenv("PATH", t.TempDir()) }},
	}
	var inputs string
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			tc.setup(t)
			source := inspect(t, tc.root)
			if source.Commit != "" || !strings.Contains(source.Note, tc.note) || !strings.HasPrefix(source.Version(), "v0-src.") {
				t.Errorf("source = %+v, version %s", source, source.Version())
			}
			if inputs != "" && source.Inputs != inputs {
				t.Errorf("inputs = %s, elsewhere %s", source.Inputs, inputs)
			}
			inputs = source.Inputs
		})
	}
}

func TestOriginIsTheSameForAllWaysOfCloning(t *testing.T) {
	root := committed(t)
	git(t, root, "remote", "add", "origin", "x")
	for remote, want := range map[string]string{
		"git@github.com:slipway-dev/slipway.git":                 "https://github.com/slipway-dev/slipway",
		"ssh://git@github.com:22/slipway-dev/slipway":            "https://github.com/slipway-dev/slipway",
		"https://user:secret@github.com/slipway-dev/slipway.git": "https://github.com/slipway-dev/slipway",
		"https://github.com/slipway-dev/slipway/":                "https://github.com/slipway-dev/slipway",
		"/srv/git/slipway.git":                                   "",
		"file:///srv/git/slipway.git":                            "",
		"../slipway":                                             "",
	} {
		git(t, root, "remote", "set-url", "origin", remote)
		if got := inspect(t, root).URL; got != want {
			t.Errorf("%s: %q, want %q", remote, got, want)
		}
	}
}

type bench struct {
	root  string
	image image.Config
	clock *clockwork.FakeClock
}

func newBench(t *testing.T) *bench {
	t.Helper()
	r, err := registry.New(registry.Config{Dir: t.TempDir(), Authorize: registry.Basic("AWS", func(p string) bool { return p == "token" })})
	if err != nil {
		t.Fatal(err)
	}
	web := httptest.NewServer(r)
	t.Cleanup(web.Close)
	root := committed(t)
	return &bench{
		root: root,
		image: image.Config{
			Service: "tiny", Dir: filepath.Join(root, "services/tiny"), Platforms: image.Platforms{image.Host()},
			CacheDir: t.TempDir(), Repository: strings.TrimPrefix(web.URL, "http://") + "/slipway/tiny",
			Credentials: func(context.Context) (string, string, error) { return "AWS", "token", nil },
		},
		clock: clockwork.NewFakeClockAt(time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)),
	}
}

func (b *bench) build(t *testing.T) release.Release {
	t.Helper()
	b.clock.Advance(time.Minute)
	made, _, err := release.Build(t.Context(), release.Config{Image: b.image, Root: b.root, Clock: b.clock})
	if err != nil {
		t.Fatal(err)
	}
	return made
}

func (b *bench) change(t *testing.T, text string) {
	t.Helper()
	write(t, filepath.Join(b.root, "shared/shared.go"), "package shared\n\nconst Text = \""+text+"\"\n")
}

func TestReleasesAreListedNewestFirstAndFound(t *testing.T) {
	b := newBench(t)
	first := b.build(t)
	b.change(t, "two")
	second := b.build(t)
	if again := b.build(t); again.Digest != second.Digest || !again.Created.IsZero() {
		t.Errorf("built again: %+v", again)
	}
	git(t, b.root, "commit", "-qam", "second")
	third := b.build(t)

	store, err := release.NewStore(b.image)
	if err != nil {
		t.Fatal(err)
	}
	all, err := store.List(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []release.Release{third, second, first} {
		if i >= len(all) || toJSON(t, all[i]) != toJSON(t, want) {
			t.Fatalf("listed\n%s\nwant at %d\n%s", toJSON(t, all), i, toJSON(t, want))
		}
	}
	if two, err := store.List(t.Context(), 2); err != nil || len(two) != 2 || two[0].Digest != third.Digest {
		t.Errorf("list 2 = %v, %v", two, err)
	}
	for _, ref := range []string{second.Digest, second.Version, second.Version[3:30]} {
		if got, err := store.Find(t.Context(), ref); err != nil || toJSON(t, got) != toJSON(t, second) {
			t.Errorf("find %s = %s, %v", ref, toJSON(t, got), err)
		}
	}
	if got, err := store.Find(t.Context(), third.Commit[:7]); err != nil || got.Digest != third.Digest {
		t.Errorf("find by commit = %s, %v", toJSON(t, got), err)
	}
}

func TestFindSaysWhatThereIs(t *testing.T) {
	b := newBench(t)
	first := b.build(t)
	b.change(t, "two")
	b.build(t)
	store, err := release.NewStore(b.image)
	if err != nil {
		t.Fatal(err)
	}
	for ref, want := range map[string]string{
		"v9":                                first.Version,
		"sha256:" + strings.Repeat("0", 64): first.Version,
		first.Commit[:7]:                    "it could be any of",
	} {
		_, err := store.Find(t.Context(), ref)
		var failure *image.Error
		if !errors.As(err, &failure) || !errors.Is(err, image.ErrNotFound) || !strings.Contains(failure.Error()+failure.Next(), want) {
			t.Errorf("find %s: %v", ref, err)
		}
	}
}

func TestEmptyRepository(t *testing.T) {
	b := newBench(t)
	store, err := release.NewStore(b.image)
	if err != nil {
		t.Fatal(err)
	}
	if all, err := store.List(t.Context(), 0); err != nil || len(all) != 0 {
		t.Errorf("list = %v, %v", all, err)
	}
	if _, err := store.Find(t.Context(), "v1"); !errors.Is(err, image.ErrNotFound) {
		t.Errorf("find: %v", err)
	}
}

func toJSON(t *testing.T, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
