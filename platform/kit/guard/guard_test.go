package guard_test

import (
	"context"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jonboulle/clockwork"
	"go.uber.org/goleak"

	"github.com/slipway-dev/slipway/platform/kit/attest"
	"github.com/slipway-dev/slipway/platform/kit/attest/key"
	"github.com/slipway-dev/slipway/platform/kit/attest/provenance"
	"github.com/slipway-dev/slipway/platform/kit/event"
	"github.com/slipway-dev/slipway/platform/kit/guard"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/registry"
	"github.com/slipway-dev/slipway/platform/kit/manifest"
	"github.com/slipway-dev/slipway/platform/kit/rollout"
	"github.com/slipway-dev/slipway/platform/kit/ship"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

// checkout is a committed repository with the service tiny and production.
func checkout(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	write(t, filepath.Join(root, "services/tiny/service.yaml"), "name: tiny\n")
	write(t, filepath.Join(root, "services/tiny/go.mod"), "module example.com/tiny\n\ngo 1.26.0\n")
	write(t, filepath.Join(root, "services/tiny/cmd/tiny/main.go"), "package main\n\nimport \"strconv\"\n\nfunc main() { println(strconv.Quote(\"x\")) }\n")
	write(t, filepath.Join(root, "platform/environments/production.yaml"),
		"name: production\naccount: \"222222222222\"\nregion: eu-central-1\nzones: [eu-central-1a, eu-central-1b]\nplatforms: [host]\nsupply_chain: {key: release.pem, vulnerabilities: {database: vulndb, max_age: 8760h}}\n")
	for _, args := range [][]string{{"init", "-q"}, {"add", "."}, {"commit", "-q", "-m", "first"}} {
		cmd := exec.CommandContext(t.Context(), "git", append([]string{"-C", root, "-c", "user.name=t", "-c", "user.email=t@example.com"}, args...)...)
		cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("git %v: %v\n%s", args, err, out)
		}
	}
	return root
}

// database writes a database with these modules' entries, beside the checkout's
// commit: nothing of it goes into a binary.
func database(t *testing.T, root, modules string) {
	t.Helper()
	write(t, filepath.Join(root, "vulndb/index/db.json"), `{"modified": "2026-11-20T12:00:00Z"}`)
	write(t, filepath.Join(root, "vulndb/index/modules.json"), modules)
	write(t, filepath.Join(root, "vulndb/ID/GO-2026-9001.json"), `{"id": "GO-2026-9001", "summary": "Trouble", "affected": [{"package": {"name": "stdlib", "ecosystem": "Go"},
		"ranges": [{"type": "SEMVER", "events": [{"introduced": "0"}, {"fixed": "1.99.0"}]}], "ecosystem_specific": {"imports": [{"path": "strconv", "symbols": ["Quote"]}]}}]}`)
}

type access struct{ host string }

func (access) Login(context.Context) (user, password string, err error) { return "AWS", "token", nil }

func (a access) RepositoryURI(_ context.Context, name string) (string, error) {
	return a.host + "/" + name, nil
}

// command is what one command sees of production.
func command(t *testing.T, root string, at access, cache string) (ship.Config, *guard.Guard) {
	t.Helper()
	w, err := manifest.Load(root)
	if err != nil {
		t.Fatal(err)
	}
	env, err := w.Environment("production")
	if err != nil {
		t.Fatal(err)
	}
	signed, err := attest.New(attest.Config{
		Environment: "production", Registry: at, Builder: provenance.BuilderLocal,
		Key: func(ctx context.Context) (*key.Key, error) {
			return key.Make(ctx, filepath.Join(filepath.Dir(root), "release.pem"))
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	build := ship.Config{Root: root, CacheDir: cache, Environment: env, Registry: at, Attest: signed}
	g, err := guard.New(guard.Config{Build: build})
	if err != nil {
		t.Fatal(err)
	}
	build.Assembled = g.Assembled(t.Context())
	return build, g
}

func registered(t *testing.T) access {
	t.Helper()
	store, err := registry.New(registry.Config{Dir: t.TempDir(), Authorize: registry.Basic("AWS", func(p string) bool { return p == "token" })})
	if err != nil {
		t.Fatal(err)
	}
	web := httptest.NewServer(store)
	t.Cleanup(web.Close)
	return access{strings.TrimPrefix(web.URL, "http://")}
}

// checks deploys tiny as far as a guard goes and returns what it says.
func checks(t *testing.T, build ship.Config, g *guard.Guard) (digest string, found map[string]rollout.Check) {
	t.Helper()
	made, err := ship.Build(t.Context(), build, "tiny", event.NewEmitter(event.Discard(), clockwork.NewRealClock()))
	if err != nil {
		t.Fatal(err)
	}
	g.Attach(t.Context(), "tiny", made.Digest, event.NewEmitter(event.SinkFunc(func(e event.Event) { t.Errorf("told %+v", e) }), clockwork.NewRealClock()))
	g.Wait()
	return made.Digest, examine(t, g, made.Digest)
}

func examine(t *testing.T, g *guard.Guard, digest string) map[string]rollout.Check {
	t.Helper()
	found := map[string]rollout.Check{}
	for _, e := range g.Evidence() {
		for _, c := range e.Examine(t.Context(), rollout.EvidenceQuery{Environment: "production", Service: "tiny", Repository: "slipway/tiny", Digest: digest}) {
			found[c.Name] = c
		}
	}
	return found
}

func outcomes(found map[string]rollout.Check) map[string]bool {
	ok := map[string]bool{}
	for name, c := range found {
		ok[name] = c.OK
	}
	return ok
}

func TestProductionTakesWhatIsCommittedAndUnknownToBeBroken(t *testing.T) {
	root, at := checkout(t), registered(t)
	database(t, root, `[]`)
	build, g := command(t, root, at, t.TempDir())
	digest, found := checks(t, build, g)
	if diff := cmp.Diff(map[string]bool{"vulnerabilities": true, "clean tree": true}, outcomes(found)); diff != "" {
		t.Errorf("checks (-want +got):\n%s\n%+v", diff, found)
	}
	// A machine without database and cache believes the signed report.
	if err := os.RemoveAll(filepath.Join(root, "vulndb")); err != nil {
		t.Fatal(err)
	}
	_, elsewhere := command(t, root, at, t.TempDir())
	if c := examine(t, elsewhere, digest)["vulnerabilities"]; !c.OK || !strings.Contains(c.Detail, "database of 2026-11-20") {
		t.Errorf("elsewhere: %+v; want what the signed report says", c)
	}
}

func TestProductionRefuses(t *testing.T) {
	root, at := checkout(t), registered(t)
	database(t, root, `[{"path": "stdlib", "vulns": [{"id": "GO-2026-9001", "modified": "2026-11-20T12:00:00Z", "fixed": "1.99.0"}]}]`)
	write(t, filepath.Join(root, "services/tiny/cmd/tiny/more.go"), "package main\n")
	build, g := command(t, root, at, t.TempDir())
	digest, found := checks(t, build, g)
	if diff := cmp.Diff(map[string]bool{"vulnerabilities": false, "clean tree": false}, outcomes(found)); diff != "" {
		t.Errorf("checks (-want +got):\n%s\n%+v", diff, found)
	}
	if c := found["vulnerabilities"]; c.Skipped || !strings.Contains(c.Detail, "GO-2026-9001 in the standard library") || !strings.Contains(c.Next, "toolchain@go1.99.0") {
		t.Errorf("vulnerabilities: %+v", c)
	}
	if c := found["clean tree"]; c.Skipped || !strings.HasSuffix(c.Detail, ": services/tiny/cmd/tiny/more.go") {
		t.Errorf("clean tree: %+v", c)
	}
	// With a newer database, a machine that has not built it reads the binary
	// from the registry.
	write(t, filepath.Join(root, "vulndb/index/db.json"), `{"modified": "2026-11-21T12:00:00Z"}`)
	_, elsewhere := command(t, root, at, t.TempDir())
	if c := examine(t, elsewhere, digest)["vulnerabilities"]; c.OK || c.Skipped || !strings.Contains(c.Detail, "strconv.Quote") || !strings.Contains(c.Detail, "database of 2026-11-21") {
		t.Errorf("elsewhere: %+v", c)
	}
}
