package attest_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/jonboulle/clockwork"
	"go.uber.org/goleak"

	"github.com/slipway-dev/slipway/platform/kit/attest"
	"github.com/slipway-dev/slipway/platform/kit/attest/key"
	"github.com/slipway-dev/slipway/platform/kit/attest/provenance"
	"github.com/slipway-dev/slipway/platform/kit/attest/referrer"
	"github.com/slipway-dev/slipway/platform/kit/event"
	"github.com/slipway-dev/slipway/platform/kit/image"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/registry"
	"github.com/slipway-dev/slipway/platform/kit/manifest"
	"github.com/slipway-dev/slipway/platform/kit/release"
	"github.com/slipway-dev/slipway/platform/kit/rollout"
	"github.com/slipway-dev/slipway/platform/kit/ship"
)

const repository = "slipway/tiny"

// shared is a folder for what is built once for all tests.
var shared string

func TestMain(m *testing.M) {
	var err error
	if shared, err = os.MkdirTemp("", "attest-*"); err != nil {
		panic(err)
	}
	code := m.Run()
	if transport, ok := remote.DefaultTransport.(*http.Transport); ok {
		transport.CloseIdleConnections()
	}
	if err := errors.Join(goleak.Find(), os.RemoveAll(shared)); err != nil && code == 0 {
		panic(err)
	}
	os.Exit(code)
}

// releases are a signed one, another signed one with changes, and one that was
// pushed without a signature.
type releases struct{ clean, dirty, unsigned release.Release }

// pushed builds the releases into a registry below shared, once.
var pushed = sync.OnceValues(func() (releases, error) {
	h, stop, err := serve(filepath.Join(shared, "registry"), nil)
	if err != nil {
		return releases{}, err
	}
	defer stop()
	var r releases
	if err := checkout(h.root); err != nil {
		return r, err
	}
	if r.clean, err = h.build(h.store); err != nil {
		return r, err
	}
	if err := h.write("services/tiny/cmd/tiny/text.go", "package main\n\nconst text = \"two\"\n"); err != nil {
		return r, err
	}
	if r.dirty, err = h.build(h.store); err != nil {
		return r, err
	}
	if err := h.write("services/tiny/cmd/tiny/text.go", "package main\n\nconst text = \"three\"\n"); err != nil {
		return r, err
	}
	r.unsigned, err = h.build(nil)
	return r, err
})

// home is a registry, and the environment whose images it has.
type home struct {
	root  string
	host  string
	store *attest.Store
	key   *key.Key
	calls *calls
}

// calls counts the requests that a registry gets.
type calls struct {
	mu   sync.Mutex
	list []string
	told string // events of builds
}

func (c *calls) handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c.mu.Lock()
		c.list = append(c.list, r.Method+" "+r.URL.Path)
		c.mu.Unlock()
		next.ServeHTTP(w, r)
	})
}

func (c *calls) take() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	taken := c.list
	c.list = nil
	return taken
}

func serve(dir string, load key.Loader) (*home, func(), error) {
	r, err := registry.New(registry.Config{Dir: dir, Authorize: registry.Basic("AWS", func(p string) bool { return p == "token" })})
	if err != nil {
		return nil, nil, err
	}
	counted := &calls{}
	web := httptest.NewServer(counted.handler(r))
	h := &home{root: filepath.Join(shared, "checkout"), host: strings.TrimPrefix(web.URL, "http://"), calls: counted}
	if load == nil {
		load = func(ctx context.Context) (*key.Key, error) {
			return key.Make(ctx, filepath.Join(shared, "release.pem"))
		}
	}
	h.store, err = attest.New(attest.Config{Environment: "local", Registry: h, Key: load, Builder: provenance.BuilderLocal})
	if err == nil {
		h.key, err = h.store.Key(context.Background())
	}
	return h, web.Close, err
}

// newHome returns a registry of the test's own that has the releases.
func newHome(t *testing.T) (*home, releases) {
	t.Helper()
	made, err := pushed()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(filepath.Join(shared, "registry"))); err != nil {
		t.Fatal(err)
	}
	h, stop, err := serve(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	return h, made
}

func (h *home) Login(context.Context) (user, password string, err error) { return "AWS", "token", nil }

func (h *home) RepositoryURI(_ context.Context, name string) (string, error) {
	return h.host + "/" + name, nil
}

func (h *home) write(path, content string) error { return write(h.root, path, content) }

func write(root, path, content string) error {
	path = filepath.Join(root, path)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, []byte(content), 0o644)
}

// checkout makes a repository with one service, committed.
func checkout(root string) error {
	for path, content := range map[string]string{
		"services/tiny/go.mod":             "module example.com/tiny\n\ngo 1.26.0\n\nrequire example.com/beside v0.0.0\n\nreplace example.com/beside => ../../beside\n",
		"services/tiny/cmd/tiny/main.go":   "package main\n\nimport \"example.com/beside\"\n\nfunc main() { println(text, beside.Text) }\n",
		"services/tiny/cmd/tiny/text.go":   "package main\n\nconst text = \"one\"\n",
		"services/tiny/service.yaml":       "name: tiny\nteam: tests\nsize: {cpu: 256, memory: 512, arch: arm64}\n",
		"beside/go.mod":                    "module example.com/beside\n\ngo 1.26.0\n",
		"beside/beside.go":                 "package beside\n\nconst Text = \"beside\"\n",
		"platform/environments/local.yaml": "name: local\naccount: \"000000000000\"\nregion: us-east-1\nports: {gateway: 0, aws: 0, postgres: 0}\n",
	} {
		if err := write(root, path, content); err != nil {
			return err
		}
	}
	for _, args := range [][]string{
		{"init", "-q"}, {"remote", "add", "origin", "git@git.example.com:team/tiny.git"}, {"add", "."}, {"commit", "-q", "-m", "first"},
	} {
		cmd := exec.Command("git", append([]string{"-C", root, "-c", "user.name=t", "-c", "user.email=t@example.com"}, args...)...)
		cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null")
		if out, err := cmd.CombinedOutput(); err != nil {
			return errors.Join(err, errors.New(string(out)))
		}
	}
	return nil
}

// build builds and pushes what the checkout holds; signed by store unless nil.
func (h *home) build(store *attest.Store) (release.Release, error) {
	work, err := manifest.Load(h.root)
	if err != nil {
		return release.Release{}, err
	}
	env, err := work.Environment(manifest.Local)
	if err != nil {
		return release.Release{}, err
	}
	emit := event.NewEmitter(h, clockwork.NewRealClock())
	return ship.Build(context.Background(), ship.Config{
		Root: h.root, CacheDir: filepath.Join(shared, "cache"), Environment: env, Registry: h, Attest: store,
		Platforms: image.Platforms{image.Host()},
	}, "tiny", emit)
}

// Emit hears what a build tells.
func (h *home) Emit(e event.Event) {
	h.calls.mu.Lock()
	defer h.calls.mu.Unlock()
	h.calls.told += fmt.Sprintf("%+v\n", e)
}

func (h *home) repository(t *testing.T) *referrer.Repository {
	t.Helper()
	r, err := h.store.Repository(t.Context(), repository)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func query(of release.Release) rollout.EvidenceQuery {
	return rollout.EvidenceQuery{
		Environment: "local", Service: "tiny", Repository: repository, Digest: of.Digest, Release: of.Version,
	}
}

// examine returns the failed checks by name, with what they say.
func (h *home) examine(t *testing.T, of release.Release) map[string]string {
	t.Helper()
	failed := map[string]string{}
	for _, c := range (attest.Examiner{Store: h.store}).Examine(t.Context(), query(of)) {
		if c.OK {
			continue
		}
		failed[c.Name] = c.Detail
		if c.Detail == "" || c.Next == "" {
			t.Errorf("check %s fails without saying why or what next: %+v", c.Name, c)
		}
	}
	return failed
}
