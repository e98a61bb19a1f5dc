package registry_test

import (
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/validate"

	"github.com/slipway-dev/slipway/platform/kit/localcluster/registry"
)

func TestDetailsForECR(t *testing.T) {
	s := serve(t, t.TempDir())
	index := randomIndex(t)
	if err := remote.WriteIndex(s.ref(t, "slipway/catalog:v1"), index, credentials); err != nil {
		t.Fatal(err)
	}
	details, err := s.registry.Manifests("slipway/catalog")
	if err != nil {
		t.Fatal(err)
	}
	digest, _ := index.Digest()
	at := slices.IndexFunc(details, func(d registry.ImageDetail) bool { return d.Digest == digest.String() })
	if len(details) != 3 || at < 0 {
		t.Fatalf("details = %+v", details)
	}
	var sum int64
	for i, detail := range details {
		if i != at {
			sum += detail.SizeBytes
		}
	}
	if got := details[at]; got.SizeBytes != sum || !slices.Equal(got.Tags, []string{"v1"}) || !got.PushedAt.Equal(s.clock.Now()) {
		t.Errorf("index = %+v, want size %d", got, sum)
	}
	m, err := s.registry.Manifest("slipway/catalog", "v1")
	if err != nil || m.Digest != digest.String() {
		t.Fatalf("manifest = %+v, %v", m, err)
	}
	if d, err := s.registry.PutManifest("slipway/catalog", "v2", m.MediaType, m.Content); err != nil || d != m.Digest {
		t.Errorf("put manifest = %s, %v", d, err)
	}
	if err := s.registry.DeleteManifest("slipway/catalog", "v1"); err != nil {
		t.Error(err)
	}
	if _, err := s.registry.Manifest("slipway/catalog", "v1"); !errors.Is(err, registry.ErrNotFound) {
		t.Errorf("deleted tag: %v", err)
	}
	if err := s.registry.DeleteRepository("slipway/catalog"); err != nil {
		t.Error(err)
	}
	if details, err := s.registry.Manifests("slipway/catalog"); err != nil || len(details) != 0 {
		t.Errorf("after deleting the repository: %v, %v", details, err)
	}
}

func TestGCKeepsWhatIsUsedOrYoung(t *testing.T) {
	s := serve(t, t.TempDir())
	keep, _ := random.Image(512, 2)
	drop, _ := random.Image(512, 2)
	for tag, image := range map[string]v1.Image{"keep": keep, "drop": drop} {
		if err := remote.Write(s.ref(t, "a:"+tag), image, credentials); err != nil {
			t.Fatal(err)
		}
	}
	digest, _ := drop.Digest()
	if err := s.registry.DeleteManifest("a", digest.String()); err != nil {
		t.Fatal(err)
	}
	// Blobs are dated by the file system; the registry's clock is moved past it.
	s.clock.Advance(time.Since(s.clock.Now()) + time.Minute)
	if freed, err := s.registry.GC(t.Context(), time.Hour); err != nil || freed != 0 {
		t.Errorf("young blobs: freed %d, %v", freed, err)
	}
	s.clock.Advance(2 * time.Hour)
	if freed, err := s.registry.GC(t.Context(), time.Hour); err != nil || freed < 1024 {
		t.Errorf("freed %d, %v", freed, err)
	}
	got, err := remote.Image(s.ref(t, "a:keep"), credentials)
	if err != nil {
		t.Fatal(err)
	}
	if err := validate.Image(got); err != nil {
		t.Errorf("GC took a blob in use: %v", err)
	}
}

func TestDamagedBlobIsNotServedTwice(t *testing.T) {
	s := serve(t, t.TempDir())
	d := digestOf("content")
	push := func() {
		wantStatus(t, s.do(t, "POST", "/v2/a/blobs/uploads/?digest="+d, strings.NewReader("content")), 201)
	}
	push()
	path := filepath.Join(s.dir, "blobs", "sha256", strings.TrimPrefix(d, "sha256:"))
	if err := os.WriteFile(path, []byte("CONTENT"), 0o644); err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, s.do(t, "GET", "/v2/a/blobs/"+d, nil).Body)
	wantStatus(t, s.do(t, "HEAD", "/v2/a/blobs/"+d, nil), 404)
	push()
	wantStatus(t, s.do(t, "GET", "/v2/a/blobs/"+d, nil), 200)
}

func TestHostileNames(t *testing.T) {
	s := serve(t, t.TempDir())
	for _, path := range []string{"/v2/../../etc/manifests/x", "/v2/a/manifests/..%2f..%2fx", "/v2/_tags/manifests/x", "/v2/a/blobs/sha256:..", "/v2/a/_manifests/tags/list", "/v2/A/tags/list"} {
		resp := s.do(t, "GET", path, nil)
		if resp.StatusCode < 400 || resp.StatusCode > 499 {
			t.Errorf("GET %s: status %d", path, resp.StatusCode)
		}
	}
	if _, err := s.registry.Manifests("../x"); err == nil {
		t.Error("Manifests accepted a path")
	}
}

func TestConfigIsChecked(t *testing.T) {
	if _, err := registry.New(registry.Config{Dir: t.TempDir()}); err == nil {
		t.Error("no Authorize accepted")
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := registry.New(registry.Config{Dir: filepath.Join(file, "registry"), Authorize: func(*http.Request) bool { return true }})
	if err == nil || !strings.HasPrefix(err.Error(), "open registry: ") {
		t.Errorf("err = %v", err)
	}
}
