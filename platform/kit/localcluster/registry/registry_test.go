package registry_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/google/go-containerregistry/pkg/v1/validate"
	"github.com/jonboulle/clockwork"

	"github.com/slipway-dev/slipway/platform/kit/localcluster/registry"
)

const password = "token"

var credentials = remote.WithAuth(&authn.Basic{Username: "AWS", Password: password})

type server struct {
	*httptest.Server
	registry *registry.Registry
	clock    *clockwork.FakeClock
	dir      string
}

func (s *server) ref(t *testing.T, ref string) name.Reference {
	t.Helper()
	parsed, err := name.ParseReference(strings.TrimPrefix(s.URL, "http://") + "/" + ref)
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}

func serve(t *testing.T, dir string, adjust ...func(*registry.Config)) *server {
	t.Helper()
	clock := clockwork.NewFakeClockAt(time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC))
	config := registry.Config{
		Dir:       dir,
		Clock:     clock,
		Authorize: registry.Basic("AWS", func(p string) bool { return p == password }),
	}
	for _, f := range adjust {
		f(&config)
	}
	r, err := registry.New(config)
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(r)
	t.Cleanup(s.Close)
	return &server{Server: s, registry: r, clock: clock, dir: dir}
}

func (s *server) do(t *testing.T, method, path string, body io.Reader, header ...string) *http.Response {
	t.Helper()
	url := path
	if !strings.HasPrefix(path, "http") {
		url = s.URL + path
	}
	req, err := http.NewRequestWithContext(t.Context(), method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	req.SetBasicAuth("AWS", password)
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	return resp
}

func wantStatus(t *testing.T, resp *http.Response, want int) string {
	t.Helper()
	body, _ := io.ReadAll(resp.Body)
	if resp.StatusCode != want {
		t.Fatalf("%s %s: status %d, want %d: %s", resp.Request.Method, resp.Request.URL.Path, resp.StatusCode, want, body)
	}
	return string(body)
}

func randomIndex(t *testing.T) v1.ImageIndex {
	t.Helper()
	index, err := random.Index(4096, 2, 2)
	if err != nil {
		t.Fatal(err)
	}
	return index
}

func digestOf(content string) string {
	sum := sha256.Sum256([]byte(content))
	return "sha256:" + hex.EncodeToString(sum[:])
}

func TestIndexSurvivesReopening(t *testing.T) {
	dir := t.TempDir()
	first := serve(t, dir)
	index := randomIndex(t)
	if err := remote.WriteIndex(first.ref(t, "slipway/catalog:v1"), index, credentials); err != nil {
		t.Fatal(err)
	}
	first.Close()

	second := serve(t, dir)
	got, err := remote.Index(second.ref(t, "slipway/catalog:v1"), credentials)
	if err != nil {
		t.Fatal(err)
	}
	if err := validate.Index(got); err != nil {
		t.Fatal(err)
	}
	want, _ := index.Digest()
	if have, _ := got.Digest(); have != want {
		t.Errorf("digest = %v, want %v", have, want)
	}
}

func TestAnonymousRequestsAreRefused(t *testing.T) {
	s := serve(t, t.TempDir())
	for _, request := range []string{"GET /v2/", "GET /v2/a/manifests/latest", "POST /v2/a/blobs/uploads/", "PUT /v2/a/manifests/x"} {
		method, path, _ := strings.Cut(request, " ")
		req, _ := http.NewRequestWithContext(t.Context(), method, s.URL+path, nil)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusUnauthorized || !strings.HasPrefix(resp.Header.Get("WWW-Authenticate"), "Basic realm=") {
			t.Errorf("%s: status %d, challenge %q; want 401 with a Basic challenge", request, resp.StatusCode, resp.Header.Get("WWW-Authenticate"))
		}
	}
	resp := s.do(t, "GET", "/v2/", nil)
	wantStatus(t, resp, 200)
	if got := resp.Header.Get("Docker-Distribution-API-Version"); got != "registry/2.0" {
		t.Errorf("Docker-Distribution-API-Version = %q", got)
	}
}

func TestRepositoryMustExist(t *testing.T) {
	s := serve(t, t.TempDir(), func(c *registry.Config) {
		c.RepositoryExists = func(repo string) bool { return repo == "slipway/catalog" }
	})
	image, _ := random.Image(64, 1)
	err := remote.Write(s.ref(t, "slipway/unknown:v1"), image, credentials)
	var refused *transport.Error
	if !errors.As(err, &refused) || refused.StatusCode != http.StatusNotFound || refused.Errors[0].Code != transport.NameUnknownErrorCode {
		t.Errorf("push to a repository that does not exist: %v, want NAME_UNKNOWN", err)
	}
	if err := remote.Write(s.ref(t, "slipway/catalog:v1"), image, credentials); err != nil {
		t.Error(err)
	}
}

func TestImmutableTagStays(t *testing.T) {
	s := serve(t, t.TempDir(), func(c *registry.Config) { c.ImmutableTags = func(string) bool { return true } })
	one, _ := random.Image(64, 1)
	two, _ := random.Image(64, 1)
	for range 2 { // the same content again is no move
		if err := remote.Write(s.ref(t, "a:v1"), one, credentials); err != nil {
			t.Fatal(err)
		}
	}
	err := remote.Write(s.ref(t, "a:v1"), two, credentials)
	if err == nil || !strings.Contains(err.Error(), "tag is immutable") {
		t.Errorf("moving a tag: %v", err)
	}
}

func TestChunkedUpload(t *testing.T) {
	s := serve(t, t.TempDir())
	start := func() string {
		resp := s.do(t, "POST", "/v2/a/blobs/uploads/", nil)
		wantStatus(t, resp, http.StatusAccepted)
		return s.URL + resp.Header.Get("Location")
	}
	end := func(at, d string) string { return at + "?digest=" + d }

	t.Run("in ranges", func(t *testing.T) {
		at := start()
		wantStatus(t, s.do(t, "PATCH", at, strings.NewReader("hello "), "Content-Range", "0-5"), 202)
		wantStatus(t, s.do(t, "PATCH", at, strings.NewReader("hello "), "Content-Range", "0-5"), 416)
		status := s.do(t, "GET", at, nil)
		wantStatus(t, status, 204)
		if got := status.Header.Get("Range"); got != "0-5" {
			t.Errorf("Range = %q, want 0-5", got)
		}
		wantStatus(t, s.do(t, "PUT", end(at, digestOf("hello world")), strings.NewReader("world"), "Content-Range", "6-10"), 201)
		if got := wantStatus(t, s.do(t, "GET", "/v2/a/blobs/"+digestOf("hello world"), nil), 200); got != "hello world" {
			t.Errorf("blob = %q", got)
		}
	})
	t.Run("last chunk without a range", func(t *testing.T) {
		at := start()
		wantStatus(t, s.do(t, "PATCH", at, strings.NewReader("ab")), 202)
		wantStatus(t, s.do(t, "PUT", end(at, digestOf("abc")), strings.NewReader("c")), 201)
	})
	t.Run("stream sent twice replaces", func(t *testing.T) {
		at := start()
		wantStatus(t, s.do(t, "PATCH", at, strings.NewReader("broken off")), 202)
		wantStatus(t, s.do(t, "PATCH", at, strings.NewReader("whole")), 202)
		wantStatus(t, s.do(t, "PUT", end(at, digestOf("whole")), nil), 201)
	})
	t.Run("single post", func(t *testing.T) {
		wantStatus(t, s.do(t, "POST", "/v2/a/blobs/uploads/?digest="+digestOf("one"), strings.NewReader("one")), 201)
	})
	t.Run("wrong digest", func(t *testing.T) {
		at := start()
		body := wantStatus(t, s.do(t, "PUT", end(at, digestOf("x")), strings.NewReader("y")), 400)
		if !strings.Contains(body, "DIGEST_INVALID") {
			t.Errorf("body = %s", body)
		}
		wantStatus(t, s.do(t, "HEAD", "/v2/a/blobs/"+digestOf("x"), nil), 404)
		wantStatus(t, s.do(t, "GET", at, nil), 404)
	})
	t.Run("idle upload is dropped", func(t *testing.T) {
		at := start()
		s.clock.Advance(2 * time.Hour)
		start()
		wantStatus(t, s.do(t, "GET", at, nil), 404)
	})
}

func TestRangeHeadAndMount(t *testing.T) {
	s := serve(t, t.TempDir())
	d := digestOf("0123456789")
	wantStatus(t, s.do(t, "POST", "/v2/a/blobs/uploads/?digest="+d, strings.NewReader("0123456789")), 201)

	part := s.do(t, "GET", "/v2/a/blobs/"+d, nil, "Range", "bytes=2-4")
	if got := wantStatus(t, part, 206); got != "234" || part.Header.Get("Content-Range") != "bytes 2-4/10" {
		t.Errorf("range: %q, %q", got, part.Header.Get("Content-Range"))
	}
	wantStatus(t, s.do(t, "GET", "/v2/a/blobs/"+d, nil, "Range", "bytes=20-30"), 416)
	head := s.do(t, "HEAD", "/v2/a/blobs/"+d, nil)
	wantStatus(t, head, 200)
	if head.ContentLength != 10 {
		t.Errorf("Content-Length = %d", head.ContentLength)
	}
	wantStatus(t, s.do(t, "POST", "/v2/b/blobs/uploads/?from=a&mount="+d, nil), 201)
	wantStatus(t, s.do(t, "POST", "/v2/b/blobs/uploads/?from=a&mount="+digestOf("none"), nil), 202)
	wantStatus(t, s.do(t, "DELETE", "/v2/a/blobs/"+d, nil), 400)
}

func TestTagsPagesAndDeletes(t *testing.T) {
	s := serve(t, t.TempDir())
	image, _ := random.Image(64, 1)
	for _, tag := range []string{"b", "a", "c"} {
		if err := remote.Write(s.ref(t, "slipway/catalog:"+tag), image, credentials); err != nil {
			t.Fatal(err)
		}
	}
	page := s.do(t, "GET", "/v2/slipway/catalog/tags/list?n=2", nil)
	if got := wantStatus(t, page, 200); got != `{"name":"slipway/catalog","tags":["a","b"]}` || page.Header.Get("Link") == "" {
		t.Errorf("first page %s, link %q", got, page.Header.Get("Link"))
	}
	all, err := remote.List(s.ref(t, "slipway/catalog:a").Context(), credentials, remote.WithPageSize(1))
	if err != nil || !slices.Equal(all, []string{"a", "b", "c"}) {
		t.Errorf("tags = %v, %v", all, err)
	}
	if err := remote.Delete(s.ref(t, "slipway/catalog:b"), credentials); err != nil {
		t.Fatal(err)
	}
	digest, _ := image.Digest()
	if _, err := remote.Head(s.ref(t, "slipway/catalog@"+digest.String()), credentials); err != nil {
		t.Errorf("the image went with one of its tags: %v", err)
	}
	if err := remote.Delete(s.ref(t, "slipway/catalog@"+digest.String()), credentials); err != nil {
		t.Fatal(err)
	}
	if _, err := s.registry.Manifest("slipway/catalog", "a"); !errors.Is(err, registry.ErrNotFound) {
		t.Errorf("a tag outlived its image: %v", err)
	}
	catalog, err := remote.Catalog(t.Context(), s.ref(t, "x").Context().Registry, credentials)
	if err != nil || !slices.Equal(catalog, []string{"slipway/catalog"}) {
		t.Errorf("catalog = %v, %v", catalog, err)
	}
}

func TestReferrers(t *testing.T) {
	s := serve(t, t.TempDir())
	image, _ := random.Image(64, 1)
	if err := remote.Write(s.ref(t, "a:v1"), image, credentials); err != nil {
		t.Fatal(err)
	}
	subject, _ := image.Digest()
	if got := wantStatus(t, s.do(t, "GET", "/v2/a/referrers/"+subject.String(), nil), 200); !strings.Contains(got, `"manifests":[]`) {
		t.Errorf("no referrers: %s", got)
	}
	head, err := remote.Head(s.ref(t, "a:v1"), credentials)
	if err != nil {
		t.Fatal(err)
	}
	bill := mutate.Annotations(artifact(t), map[string]string{"k": "v"}).(v1.Image)
	// Subject goes last: the other mutations drop it.
	bill = mutate.Subject(mutate.ConfigMediaType(mutate.MediaType(bill, types.OCIManifestSchema1), "application/spdx+json"), *head).(v1.Image)
	digest, _ := bill.Digest()
	if err := remote.Write(s.ref(t, "a@"+digest.String()), bill, credentials); err != nil {
		t.Fatal(err)
	}
	index, err := remote.Referrers(s.ref(t, "a@"+subject.String()).(name.Digest), credentials)
	if err != nil {
		t.Fatal(err)
	}
	manifest, _ := index.IndexManifest()
	if len(manifest.Manifests) != 1 || manifest.Manifests[0].Digest != digest || manifest.Manifests[0].ArtifactType != "application/spdx+json" || manifest.Manifests[0].Annotations["k"] != "v" {
		t.Errorf("referrers = %+v", manifest.Manifests)
	}
	other := wantStatus(t, s.do(t, "GET", "/v2/a/referrers/"+subject.String()+"?artifactType=text/plain", nil), 200)
	if !strings.Contains(other, `"manifests":[]`) {
		t.Errorf("filtered by another type: %s", other)
	}
}

func artifact(t *testing.T) v1.Image {
	t.Helper()
	image, err := random.Image(1, 0)
	if err != nil {
		t.Fatal(err)
	}
	image, err = mutate.AppendLayers(image, static.NewLayer([]byte("bill"), "text/plain"))
	if err != nil {
		t.Fatal(err)
	}
	return image
}

func TestManifestNeedsItsBlobs(t *testing.T) {
	s := serve(t, t.TempDir())
	image, _ := random.Image(64, 1)
	raw, _ := image.RawManifest()
	kind, _ := image.MediaType()
	body := wantStatus(t, s.do(t, "PUT", "/v2/a/manifests/v1", bytes.NewReader(raw), "Content-Type", string(kind)), 404)
	if !strings.Contains(body, "MANIFEST_BLOB_UNKNOWN") {
		t.Errorf("body = %s", body)
	}
	wantStatus(t, s.do(t, "PUT", "/v2/a/manifests/v1", strings.NewReader("{"), "Content-Type", string(kind)), 400)
}
