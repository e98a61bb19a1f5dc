package rootfs

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// bundle is a registry and a store that pulls from it.
type bundle struct {
	*Store
	t    *testing.T
	host string
	dir  string
	srv  *httptest.Server
}

var linux = v1.Platform{OS: "linux", Architecture: "arm64"}

func setup(t *testing.T) *bundle {
	t.Helper()
	srv := httptest.NewServer(registry.New(registry.Logger(slog.NewLogLogger(slog.DiscardHandler, 0))))
	t.Cleanup(srv.Close)
	dir := t.TempDir()
	t.Cleanup(func() { _ = remove(dir) })
	s, err := New(Config{Dir: dir, Platform: linux})
	if err != nil {
		t.Fatal(err)
	}
	return &bundle{s, t, strings.TrimPrefix(srv.URL, "http://"), dir, srv}
}

// image is an image of one layer for the platform.
func image(t *testing.T, p v1.Platform, entries ...*tar.Header) v1.Image {
	t.Helper()
	var raw bytes.Buffer
	w := tar.NewWriter(&raw)
	for _, h := range entries {
		body := h.PAXRecords["body"]
		h.PAXRecords, h.Size = nil, int64(len(body))
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, body); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(raw.Bytes())), nil })
	if err != nil {
		t.Fatal(err)
	}
	img, err := mutate.AppendLayers(empty.Image, layer)
	if err != nil {
		t.Fatal(err)
	}
	file, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	file = file.DeepCopy()
	file.OS, file.Architecture = p.OS, p.Architecture
	file.Config.Entrypoint = []string{"/app/x"}
	img, err = mutate.ConfigFile(img, file)
	if err != nil {
		t.Fatal(err)
	}
	return img
}

func file(at, body string, mode int64) *tar.Header {
	return &tar.Header{Name: at, Typeflag: tar.TypeReg, Mode: mode, Uid: 65532, PAXRecords: map[string]string{"body": body}}
}

func link(at, to string) *tar.Header {
	return &tar.Header{Name: at, Typeflag: tar.TypeSymlink, Linkname: to, Mode: 0o777}
}

func (b *bundle) push(tag string, img v1.Image) string {
	b.t.Helper()
	ref, err := name.ParseReference(b.host + "/slipway/catalog:" + tag)
	if err != nil {
		b.t.Fatal(err)
	}
	if err := remote.Write(ref, img); err != nil {
		b.t.Fatal(err)
	}
	digest, err := img.Digest()
	if err != nil {
		b.t.Fatal(err)
	}
	return b.host + "/slipway/catalog@" + digest.String()
}

func TestPull(t *testing.T) {
	b := setup(t)
	byDigest := b.push("v1", image(t, linux, file("app/x", "binary", 0o700), file("etc/note", "text", 0o666), link("bin/x", "/app/x")))
	for _, ref := range []string{byDigest, b.host + "/slipway/catalog:v1"} {
		img, err := b.Pull(t.Context(), ref)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasSuffix(byDigest, img.Digest) || img.Config.Entrypoint[0] != "/app/x" {
			t.Errorf("%s: %+v", ref, img)
		}
		for at, mode := range map[string]os.FileMode{"app/x": 0o555, "etc/note": 0o444, "app": 0o555 | os.ModeDir} {
			if info, err := os.Stat(filepath.Join(img.Dir, at)); err != nil || info.Mode() != mode {
				t.Errorf("%s: %v, %v, want %s", at, info.Mode(), err, mode)
			}
		}
	}
	b.srv.Close() // what is here needs no registry
	if _, err := b.Pull(t.Context(), byDigest); err != nil {
		t.Error(err)
	}
	if _, err := b.Pull(t.Context(), b.host+"/slipway/catalog:v1"); err == nil || !strings.Contains(err.Error(), "connection refused") {
		t.Errorf("a tag without a registry: %v", err)
	}
}

func TestPullIsShared(t *testing.T) {
	b := setup(t)
	ref := b.push("v1", image(t, linux, file("app/x", strings.Repeat("binary", 1<<16), 0o755)))
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			img, err := b.Pull(t.Context(), ref)
			if err != nil {
				t.Error(err)
				return
			}
			if got, err := os.ReadFile(filepath.Join(img.Dir, "app/x")); err != nil || len(got) != 6<<16 {
				t.Errorf("%d bytes, %v", len(got), err)
			}
		})
	}
	all.Wait()
	if entries, _ := os.ReadDir(b.dir); len(entries) != 1 {
		t.Errorf("%d folders for one image", len(entries))
	}
}

func TestPullErrors(t *testing.T) {
	b := setup(t)
	amd := image(t, v1.Platform{OS: "linux", Architecture: "amd64"}, file("app/x", "", 0o755))
	index := mutate.AppendManifests(empty.Index, mutate.IndexAddendum{Add: amd, Descriptor: v1.Descriptor{
		Platform: &v1.Platform{OS: "linux", Architecture: "amd64"},
	}})
	ref, err := name.ParseReference(b.host + "/slipway/catalog:index")
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.WriteIndex(ref, index); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ ref, want string }{
		"platform of an image": {b.push("amd", amd), "image Manifest does not contain descriptor matching platform 'linux/arm64'"},
		"platform of an index": {ref.String(), "image Manifest does not contain descriptor matching platform 'linux/arm64'"},
		"missing tag":          {b.host + "/slipway/catalog:none", "failed to resolve ref " + b.host + "/slipway/catalog:none: not found"},
		"bad reference":        {"Not A Reference", "invalid reference"},
		"climbing hard link":   {b.push("hard", image(t, linux, link("up", ".."), &tar.Header{Name: "h", Typeflag: tar.TypeLink, Linkname: "up/up/etc/passwd"})), "h:"},
	} {
		_, err := b.Pull(t.Context(), c.ref)
		if err == nil || !strings.HasPrefix(err.Error(), "CannotPullContainerError: ") || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	entries, _ := os.ReadDir(b.dir)
	if len(entries) > 0 {
		t.Errorf("a failed pull left %v", entries)
	}
}

func TestPlaceStaysBelowTheRoot(t *testing.T) {
	outside := t.TempDir()
	root, err := os.OpenRoot(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	if err := place(root, nil, link("out", outside)); err != nil {
		t.Fatal(err)
	}
	if err := place(root, strings.NewReader("x"), file("out/evil", "", 0o644)); err == nil {
		t.Error("a file was written through a link that leads out")
	}
	if err := place(root, strings.NewReader("x"), file("../../../climbed", "", 0o644)); err != nil {
		t.Fatal(err)
	}
	if _, err := root.Stat("climbed"); err != nil {
		t.Errorf("a climbing path did not end at the root: %v", err)
	}
	if left, _ := os.ReadDir(outside); len(left) > 0 {
		t.Errorf("written outside: %v", left)
	}
}

func TestAHalfUnpackedImageIsRemoved(t *testing.T) {
	b := setup(t)
	half := filepath.Join(b.dir, partial+"123", "app")
	if err := errors.Join(os.MkdirAll(half, 0o755), os.Chmod(half, 0o555)); err != nil {
		t.Fatal(err)
	}
	if _, err := New(Config{Dir: b.dir}); err != nil {
		t.Fatal(err)
	}
	if entries, _ := os.ReadDir(b.dir); len(entries) > 0 {
		t.Error("it is still there")
	}
}

func TestPruneKeepsWhatIsUsed(t *testing.T) {
	b := setup(t)
	first := ""
	for i := range keep + 3 {
		img, err := b.Pull(t.Context(), b.push(fmt.Sprint(i), image(t, linux, file("app/x", fmt.Sprint(i), 0o755))))
		if err != nil {
			t.Fatal(err)
		}
		if first == "" {
			first = img.Dir
		}
	}
	if err := b.Prune(func(dir string) bool { return dir == first }); err != nil {
		t.Fatal(err)
	}
	entries, _ := os.ReadDir(b.dir)
	if _, err := os.Stat(first); err != nil || len(entries) != keep+1 {
		t.Errorf("%d images are left, the one in use: %v", len(entries), err)
	}
}

func TestLookup(t *testing.T) {
	root := t.TempDir()
	for _, dir := range []string{"app", "usr/bin", "bin"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(
		os.WriteFile(filepath.Join(root, "app/x"), nil, 0o755),
		os.WriteFile(filepath.Join(root, "bin/data"), nil, 0o644),
		os.Symlink("/app/x", filepath.Join(root, "usr/bin/y")),
		os.Symlink("../../../../etc", filepath.Join(root, "app/up")),
		os.Symlink("loop", filepath.Join(root, "app/loop")),
	); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ cwd, file, want, err string }{
		{"/", "/app/x", "app/x", ""},
		{"/app", "./x", "app/x", ""},
		{"/", "y", "app/x", ""},
		{"/", "/usr/bin/../bin/y", "app/x", ""},
		{"/", "data", "", "not found in $PATH"},
		{"/", "/app/up/passwd", "", "no such file"},
		{"/", "/app/loop", "", "too many links"},
		{"/", "/none", "", "no such file"},
		{"/", "", "", "no command specified"},
	} {
		got, err := Lookup(root, c.cwd, "/bin:/usr/bin", c.file)
		switch {
		case c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)):
			t.Errorf("%s: %s, %v, want an error with %q", c.file, got, err, c.err)
		case c.err == "" && (err != nil || got != filepath.Join(root, c.want)):
			t.Errorf("%s: %s, %v", c.file, got, err)
		}
	}
}
