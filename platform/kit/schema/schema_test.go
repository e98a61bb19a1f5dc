package schema

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jonboulle/clockwork"

	"github.com/slipway-dev/slipway/platform/kit/event"
	"github.com/slipway-dev/slipway/platform/kit/manifest"
)

// repository is a git repository that a test makes.
type repository struct {
	t    *testing.T
	root string
}

func newRepository(t *testing.T) repository {
	t.Helper()
	r := repository{t, t.TempDir()}
	r.git("init", "-q", "-b", "main")
	return r
}

func (r repository) git(args ...string) string {
	r.t.Helper()
	cmd := exec.CommandContext(r.t.Context(), "git", append([]string{"-c", "user.name=t", "-c", "user.email=t@example.invalid"}, args...)...)
	cmd.Dir = r.root
	out, err := cmd.CombinedOutput()
	if err != nil {
		r.t.Fatalf("git %v: %v\n%s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

func (r repository) write(name, content string) {
	r.t.Helper()
	file := filepath.Join(r.root, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		r.t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		r.t.Fatal(err)
	}
}

// commit commits everything and returns the commit.
func (r repository) commit() string {
	r.t.Helper()
	r.git("add", "-A")
	r.git("commit", "-q", "--allow-empty", "-m", "x")
	return r.git("rev-parse", "HEAD")
}

const (
	first  = "services/shop/internal/store/migrations/00001_first.sql"
	second = "services/shop/internal/store/migrations/00010_second.sql"
)

func TestTheReleaseBeforeIsTheCommitBeforeTheMigration(t *testing.T) {
	r := newRepository(t)
	h := history{root: r.root}
	r.write("services/shop/service.yaml", "name: shop\n")
	r.write(first, "")
	r.commit()
	want := r.commit() // something else
	r.write(second, "")
	if got, err := h.before(t.Context(), second); err != nil || got != want {
		t.Errorf("of a migration that is not committed: %s, %v; want HEAD, %s", got, err, want)
	}
	r.commit()
	r.write(second, "-- a word more\n")
	r.commit()
	if got, err := h.before(t.Context(), second); err != nil || got != want {
		t.Errorf("of a committed migration: %s, %v; want %s", got, err, want)
	}
	for file, has := range map[string]bool{first: true, second: false} {
		if got, err := h.has(t.Context(), want, file); err != nil || got != has {
			t.Errorf("the commit before has %s: %v, %v; want %v", file, got, err, has)
		}
	}
}

func TestWhatGitCannotTellIsSaid(t *testing.T) {
	r := newRepository(t)
	r.write(first, "")
	r.commit()
	shallow := filepath.Join(t.TempDir(), "shallow")
	r.write(second, "")
	r.commit()
	r.git("clone", "-q", "--depth=1", "file://"+r.root, shallow)
	for name, c := range map[string]struct{ root, file, want string }{
		"no checkout":       {t.TempDir(), second, "no git checkout"},
		"shallow":           {shallow, second, "shallow"},
		"the very first":    {r.root, first, "begins with"},
		"a clone is enough": {r.root, second, ""},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := history{root: c.root}.before(t.Context(), c.file)
			var missing *HistoryError
			switch {
			case c.want == "" && err != nil:
				t.Error(err)
			case c.want != "" && (!errors.As(err, &missing) || !strings.Contains(err.Error(), c.want) || missing.Next() == ""):
				t.Errorf("before = %v, want it to say %q", err, c.want)
			}
		})
	}
}

func TestACommitIsUnpacked(t *testing.T) {
	r := newRepository(t)
	for _, file := range []string{"proto/a/b.proto", "platform/serve/go.mod", "platform/kit/go.mod", "README.md"} {
		r.write(file, "then")
	}
	r.write(first, "then")
	commit := r.commit()
	r.write(first, "now")
	dir := filepath.Join(t.TempDir(), "before")
	if err := (history{root: r.root}).unpack(t.Context(), commit, dir); err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string]string{first: "then", "proto/a/b.proto": "then", "platform/serve/go.mod": "then", "README.md": "", "platform/kit/go.mod": ""} {
		if got, _ := os.ReadFile(filepath.Join(dir, file)); string(got) != want {
			t.Errorf("%s = %q, want %q", file, got, want)
		}
	}
}

func TestServicesWithoutAReleaseBefore(t *testing.T) {
	r := newRepository(t)
	r.commit()
	emit := event.NewEmitter(event.Discard(), clockwork.NewRealClock())
	for _, c := range []struct{ add, want string }{
		{"services/shop/service.yaml", "no migrations"},
		{first, "only migration is its first"},
		{second, "came into being with its migrations"},
	} {
		r.write(c.add, "")
		got, err := Check(t.Context(), Config{Root: r.root, Emit: emit}, manifest.Service{Name: "shop", Dir: "services/shop"})
		if err != nil || !strings.Contains(got.Said, c.want) {
			t.Errorf("with %s: %+v, %v; want %q", c.add, got, err, c.want)
		}
	}
}

func TestLacks(t *testing.T) {
	for name, c := range map[string]struct{ got, want, field string }{
		"same":             {`{"a":1}`, `{"a":1}`, ""},
		"more":             {`{"a":1,"b":2}`, `{"a":1}`, ""},
		"less":             {`{}`, `{"a":1}`, "a"},
		"other":            {`{"a":{"b":2}}`, `{"a":{"b":1}}`, "a.b"},
		"another type":     {`{"a":"1"}`, `{"a":1}`, "a"},
		"no object":        {`[]`, `{"a":1}`, "a"},
		"a list":           {`{"a":[1,2]}`, `{"a":[1]}`, "a"},
		"null is a value":  {`{}`, `{"a":null}`, ""},
		"deeper, and more": {`{"a":{"b":1,"c":2}}`, `{"a":{"b":1}}`, ""},
	} {
		var got, want any
		if err := errors.Join(json.Unmarshal([]byte(c.got), &got), json.Unmarshal([]byte(c.want), &want)); err != nil {
			t.Fatal(err)
		}
		if field, differs := lacks(got, want, ""); field != c.field || differs != (c.field != "") {
			t.Errorf("%s: lacks(%s, %s) = %q, %v; want %q", name, c.got, c.want, field, differs, c.field)
		}
	}
}

func TestExchangesAreNumbered(t *testing.T) {
	got := exchange{Write: "POST /v1/x?id=a-{n}", Body: json.RawMessage(`{"sku":"A-{n}"}`), Read: "GET /v1/x/a-{n}"}.numbered(7)
	if got.Write != "POST /v1/x?id=a-7" || string(got.Body) != `{"sku":"A-7"}` || got.Read != "GET /v1/x/a-7" {
		t.Errorf("numbered = %+v", got)
	}
}

func TestScopesAreThoseOfTheAPIs(t *testing.T) {
	root := t.TempDir()
	dir := filepath.Join(root, "proto", "slipway", "a", "v1")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	text := `
    option (slipway.auth.v1.rule).scopes = "gift-cards.write";
    option (slipway.auth.v1.rule) = {
      scopes: ["gift-cards.read", "a.read"]
    };
    option (google.api.http) = {get: "/v1/a.b"};
`
	if err := os.WriteFile(filepath.Join(dir, "a.proto"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := allScopes(root)
	if err != nil || strings.Join(got, " ") != "a.read gift-cards.read gift-cards.write" {
		t.Errorf("allScopes = %q, %v", got, err)
	}
}
