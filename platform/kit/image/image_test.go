package image_test

import (
	"archive/tar"
	"context"
	"crypto/x509"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/validate"

	"github.com/slipway-dev/slipway/platform/kit/image"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/registry"
)

// tiny is a service of two modules, as the real ones are: its own and one
// beside it that go.mod reaches by a relative replace.
var tiny = map[string]string{
	"tiny/go.mod":           "module example.com/tiny\n\ngo 1.26.0\n\nrequire example.com/shared v0.0.0\n\nreplace example.com/shared => ../shared\n",
	"tiny/cmd/tiny/main.go": "package main\n\nimport \"example.com/shared\"\n\nfunc main() { println(shared.Text) }\n",
	"shared/go.mod":         "module example.com/shared\n\ngo 1.26.0\n",
	"shared/shared.go":      "package shared\n\nconst Text = \"one\"\n",
}

func checkout(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	for path, content := range tiny {
		write(t, filepath.Join(root, path), content)
	}
	return root
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

// server is a real registry that counts what is asked of it.
type server struct {
	host string

	mu    sync.Mutex
	calls map[string]int
}

func (s *server) writes() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls["POST"] + s.calls["PUT"] + s.calls["PATCH"]
}

func (s *server) reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.calls)
}

func serve(t *testing.T) *server {
	t.Helper()
	r, err := registry.New(registry.Config{
		Dir:              t.TempDir(),
		Authorize:        registry.Basic("AWS", func(p string) bool { return p == "token" }),
		RepositoryExists: func(repo string) bool { return repo == "slipway/tiny" },
	})
	if err != nil {
		t.Fatal(err)
	}
	s := &server{calls: map[string]int{}}
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		s.mu.Lock()
		s.calls[req.Method]++
		s.mu.Unlock()
		r.ServeHTTP(w, req)
	}))
	t.Cleanup(web.Close)
	s.host = strings.TrimPrefix(web.URL, "http://")
	return s
}

func token(context.Context) (string, string, error) { return "AWS", "token", nil }

func hostOnly() image.Platforms { return image.Platforms{image.Host()} }

func config(t *testing.T, root string) image.Config {
	t.Helper()
	return image.Config{
		Service:   "tiny",
		Dir:       filepath.Join(root, "tiny"),
		Platforms: hostOnly(),
		CacheDir:  t.TempDir(),
		Describe: func(context.Context) (image.Description, error) {
			return image.Description{
				Labels:    map[string]string{"org.opencontainers.image.revision": "abc"},
				Tags:      []string{"v1"},
				FirstTags: []string{"first"},
			}, nil
		},
	}
}

func pushing(t *testing.T, root string, s *server) image.Config {
	c := config(t, root)
	c.Repository, c.Credentials = s.host+"/slipway/tiny", token
	return c
}

func build(t *testing.T, c image.Config) image.Result {
	t.Helper()
	result, err := image.Build(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	return result
}

func TestDigestDoesNotDependOnTheFolder(t *testing.T) {
	for _, compression := range []image.Compression{image.Zstd, image.Gzip} {
		t.Run(compression.String(), func(t *testing.T) {
			one, two := config(t, checkout(t)), config(t, checkout(t))
			one.Platforms, two.Platforms = image.Fargate(), image.Fargate()
			one.Compression, two.Compression = compression, compression
			first := build(t, one)
			t.Setenv("GOFLAGS", "-tags=other -ldflags=-X=example.com/shared.Text=two")
			t.Setenv("GOAMD64", "v3")
			t.Setenv("TZ", "Asia/Tokyo")
			second := build(t, two)
			if first.Digest != second.Digest {
				t.Errorf("index %s in one folder, %s in another", first.Digest, second.Digest)
			}
			for i, a := range first.Images {
				if b := second.Images[i]; a.Digest != b.Digest || a.Platform != b.Platform {
					t.Errorf("%s: %s in one folder, %s in another", a.Platform, a.Digest, b.Digest)
				}
			}
			if first.Images[0].Digest == first.Images[1].Digest {
				t.Error("both architectures have the same image")
			}
		})
	}
}

func TestPushedImageIsWhole(t *testing.T) {
	s := serve(t)
	c := pushing(t, checkout(t), s)
	c.Platforms = image.Fargate().WithHost()
	result := build(t, c)
	if want := s.host + "/slipway/tiny@" + result.Digest; result.Reference != want {
		t.Errorf("reference %s, want %s", result.Reference, want)
	}
	ref, err := name.ParseReference(result.Reference)
	if err != nil {
		t.Fatal(err)
	}
	auth := remote.WithAuth(&authn.Basic{Username: "AWS", Password: "token"})
	index, err := remote.Index(ref, auth)
	if err != nil {
		t.Fatal(err)
	}
	// Fast leaves the layers to checkFiles: the validator can read gzip only.
	if err := validate.Index(index, validate.Fast); err != nil {
		t.Error(err)
	}
	host := image.Host()
	img, err := remote.Image(ref, auth, remote.WithPlatform(v1.Platform{OS: host.OS, Architecture: host.Arch}))
	if err != nil {
		t.Fatal(err)
	}
	file, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	if got := file.Config; got.User != "65532:65532" || !slices.Equal(got.Entrypoint, []string{"/app/tiny"}) || got.WorkingDir != "/" {
		t.Errorf("config = %+v", got)
	}
	if file.Config.Labels["org.opencontainers.image.revision"] != "abc" {
		t.Errorf("labels = %v", file.Config.Labels)
	}
	checkFiles(t, img)
}

func checkFiles(t *testing.T, img v1.Image) {
	t.Helper()
	files := unpack(t, img)
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(files[image.CertificatesPath]) || strings.Count(string(files[image.CertificatesPath]), "BEGIN") < 100 {
		t.Error("the certificates cannot be used")
	}
	for _, zone := range []string{"Europe/Berlin", "UTC", "Zulu"} {
		if _, err := time.LoadLocationFromTZData(zone, files[image.ZoneInfoPath+"/"+zone]); err != nil {
			t.Errorf("time zone %s: %v", zone, err)
		}
	}
	if !strings.Contains(string(files["etc/passwd"]), "nonroot:x:65532:65532:") {
		t.Errorf("passwd = %s", files["etc/passwd"])
	}
	binary := filepath.Join(t.TempDir(), "tiny")
	if err := os.WriteFile(binary, files["app/tiny"], 0o755); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), binary).CombinedOutput(); err != nil || string(out) != "one\n" {
		t.Errorf("the program in the image says %q, %v", out, err)
	}
}

// unpack reads all layers and checks what every entry has to keep to.
func unpack(t *testing.T, img v1.Image) map[string][]byte {
	t.Helper()
	layers, err := img.Layers()
	if err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{}
	for _, l := range layers {
		r, err := l.Uncompressed()
		if err != nil {
			t.Fatal(err)
		}
		archive := tar.NewReader(r)
		for {
			h, err := archive.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			if h.ModTime.Unix() != 0 || h.Uid != 0 || h.Gid != 0 || (h.Mode&0o022 != 0 && h.Name != "tmp/") {
				t.Errorf("%s: time %v, owner %d:%d, mode %o", h.Name, h.ModTime, h.Uid, h.Gid, h.Mode)
			}
			if h.Typeflag == tar.TypeLink {
				files[h.Name] = files[h.Linkname]
				continue
			}
			if files[h.Name], err = io.ReadAll(archive); err != nil {
				t.Fatal(err)
			}
		}
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return files
}

func TestUnchangedBuildSendsNothing(t *testing.T) {
	s := serve(t)
	c := pushing(t, checkout(t), s)
	first := build(t, c)
	if first.Existed || s.writes() == 0 {
		t.Fatalf("first build: existed %v, %d writes", first.Existed, s.writes())
	}
	s.reset()
	second := build(t, c)
	if !second.Existed || second.Digest != first.Digest || s.writes() != 0 {
		t.Errorf("second build: existed %v, digest %s (first %s), %d writes", second.Existed, second.Digest, first.Digest, s.writes())
	}
	if !second.Images[0].Cached {
		t.Error("the layer was compressed again")
	}
	if n := s.calls["GET"] + s.calls["HEAD"]; n > 8 {
		t.Errorf("an unchanged build asked %d times: %v", n, s.calls)
	}
}

func TestChangeSendsOneLayer(t *testing.T) {
	s := serve(t)
	root := checkout(t)
	c := pushing(t, root, s)
	first := build(t, c)
	s.reset()
	write(t, filepath.Join(root, "shared/shared.go"), "package shared\n\nconst Text = \"two\"\n")
	second := build(t, c)
	if second.Digest == first.Digest {
		t.Fatal("the change did not reach the image")
	}
	// A layer and a config (POST, PATCH, PUT each), manifest, index, two tags.
	if s.calls["PATCH"] != 2 {
		t.Errorf("blobs sent: %d, want layer and config: %v", s.calls["PATCH"], s.calls)
	}
	write(t, filepath.Join(root, "shared/shared.go"), "package shared\n\nconst Text = \"one\"\n")
	third := build(t, c)
	if third.Digest != first.Digest || !third.Existed || !third.Images[0].Cached {
		t.Errorf("going back: digest %s, want %s; existed %v", third.Digest, first.Digest, third.Existed)
	}
}

func TestInspectAndTags(t *testing.T) {
	s := serve(t)
	c := pushing(t, checkout(t), s)
	result := build(t, c)
	repo, err := image.NewRepository(c)
	if err != nil {
		t.Fatal(err)
	}
	for _, ref := range []string{"v1", "first", result.Digest} {
		got, err := repo.Inspect(t.Context(), ref)
		if err != nil {
			t.Fatal(err)
		}
		if got.Digest != result.Digest || got.Labels["org.opencontainers.image.revision"] != "abc" || !slices.Equal(got.Platforms, hostOnly()) {
			t.Errorf("inspect %s = %+v", ref, got)
		}
	}
	if _, err := repo.Inspect(t.Context(), "none"); !errors.Is(err, image.ErrNotFound) {
		t.Errorf("unknown tag: %v", err)
	}
	tags, err := repo.Tags(t.Context())
	if err != nil || !slices.Equal(tags, []string{"first", "v1"}) {
		t.Errorf("tags = %v, %v", tags, err)
	}
}

type steps struct {
	mu   sync.Mutex
	seen []image.Step
}

func (s *steps) Step(step image.Step) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seen = append(s.seen, step)
}

func TestEveryStepEnds(t *testing.T) {
	c := pushing(t, checkout(t), serve(t))
	heard := &steps{}
	c.Progress = heard
	build(t, c)
	open := map[image.StepName]int{}
	for _, step := range heard.seen {
		if step.Done {
			open[step.Name]--
		} else {
			open[step.Name]++
		}
	}
	want := []image.StepName{image.StepBase, image.StepCompile, image.StepCompress, image.StepPush, image.StepRegistry}
	for _, name := range want {
		if n, ok := open[name]; !ok || n != 0 {
			t.Errorf("step %s: reported %v, left open %d", name, ok, n)
		}
	}
}

func TestConcurrentBuildsOfOneService(t *testing.T) {
	c := config(t, checkout(t))
	digests := make([]string, 3)
	var group sync.WaitGroup
	for i := range digests {
		group.Go(func() {
			result, err := image.Build(t.Context(), c)
			if err != nil {
				t.Error(err)
			}
			digests[i] = result.Digest
		})
	}
	group.Wait()
	if digests[0] != digests[1] || digests[1] != digests[2] {
		t.Errorf("digests = %v", digests)
	}
}
