package referrer_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/slipway-dev/slipway/platform/kit/attest/referrer"
	"github.com/slipway-dev/slipway/platform/kit/image"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/registry"
)

// between stands between client and registry.
type between struct {
	next http.Handler

	mu    sync.Mutex
	calls map[string]int
	meet  func(w http.ResponseWriter, r *http.Request, nth int) bool // answers itself
}

func (b *between) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	b.mu.Lock()
	b.calls[r.Method+" "+r.URL.Path]++
	nth := b.calls[r.Method+" "+r.URL.Path]
	meet := b.meet
	b.mu.Unlock()
	if meet == nil || !meet(w, r, nth) {
		b.next.ServeHTTP(w, r)
	}
}

func open(t *testing.T, meet func(http.ResponseWriter, *http.Request, int) bool) *referrer.Repository {
	t.Helper()
	r, err := registry.New(registry.Config{Dir: t.TempDir(), Authorize: registry.Basic("AWS", func(p string) bool { return p == "token" })})
	if err != nil {
		t.Fatal(err)
	}
	web := httptest.NewServer(&between{next: r, calls: map[string]int{}, meet: meet})
	t.Cleanup(web.Close)
	repo, err := referrer.Open(referrer.Config{
		Repository:  strings.TrimPrefix(web.URL, "http://") + "/slipway/tiny",
		Credentials: func(context.Context) (string, string, error) { return "AWS", "token", nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	return repo
}

// nobody is a subject that is not in the registry, which it need not be.
func nobody() referrer.Subject {
	return referrer.Subject{MediaType: "application/vnd.oci.image.index.v1+json", Digest: digest.FromString("image").String(), Size: 5}
}

func note(text string) referrer.Artifact {
	return referrer.Artifact{Type: "text/x-note", Content: []byte(text), Annotations: map[string]string{"says": text}}
}

func attach(t *testing.T, repo *referrer.Repository, notes ...referrer.Artifact) []string {
	t.Helper()
	if err := repo.Upload(t.Context(), notes...); err != nil {
		t.Fatal(err)
	}
	digests, err := repo.Attach(t.Context(), nobody(), notes...)
	if err != nil {
		t.Fatal(err)
	}
	return digests
}

func TestWhatIsAttachedIsListedAndRead(t *testing.T) {
	repo := open(t, nil)
	digests := attach(t, repo, note("one"), note("two"))
	if again := attach(t, repo, note("one")); again[0] != digests[0] {
		t.Errorf("attached again it is %s, not %s", again[0], digests[0])
	}
	list, err := repo.List(t.Context(), nobody().Digest)
	if err != nil || len(list) != 2 {
		t.Fatalf("list = %v, %v", list, err)
	}
	for _, l := range list {
		got, err := repo.Read(t.Context(), nobody().Digest, l.Digest)
		if err != nil || string(got.Content) != l.Annotations["says"] || l.Type != "text/x-note" || got.Type != l.Type {
			t.Errorf("%+v holds %+v, %v", l, got, err)
		}
	}
	if _, err := repo.Read(t.Context(), digest.FromString("other").String(), digests[0]); !errors.Is(err, referrer.ErrBroken) {
		t.Errorf("read for another subject: %v", err)
	}
	for range 2 { // what is gone already is as good as deleted
		if err := repo.Delete(t.Context(), digests[0]); err != nil {
			t.Errorf("delete: %v", err)
		}
	}
	if list, err := repo.List(t.Context(), nobody().Digest); err != nil || len(list) != 1 {
		t.Errorf("after deleting: %v, %v", list, err)
	}
	if _, _, err := repo.Manifest(t.Context(), nobody().Digest); !errors.Is(err, referrer.ErrNotFound) {
		t.Errorf("an image that is not there: %v", err)
	}
}

func TestARegistryThatHandsOutOtherContent(t *testing.T) {
	var of string
	repo := open(t, func(w http.ResponseWriter, r *http.Request, _ int) bool {
		if r.Method != http.MethodGet || of == "" || !strings.Contains(r.URL.Path, of) {
			return false
		}
		_, _ = fmt.Fprint(w, `{"schemaVersion":2}`)
		return true
	})
	made := attach(t, repo, note("one"))
	for _, of = range []string{made[0], digest.FromString("one").String()} {
		if got, err := repo.Read(t.Context(), nobody().Digest, made[0]); !errors.Is(err, referrer.ErrBroken) || !strings.Contains(err.Error(), "has digest") {
			t.Errorf("%s: %+v, %v", of, got, err)
		}
	}
	of = nobody().Digest
	if _, _, err := repo.Manifest(t.Context(), of); err == nil || !strings.Contains(err.Error(), "has digest") {
		t.Errorf("manifest: %v", err)
	}
}

func TestPagesAreFollowed(t *testing.T) {
	page := func(n int) string {
		return fmt.Sprintf(`{"manifests":[{"digest":"%s","artifactType":"text/x-note"}]}`, digest.FromString(fmt.Sprint(n)))
	}
	endless := false
	repo := open(t, func(w http.ResponseWriter, r *http.Request, nth int) bool {
		if !strings.Contains(r.URL.Path, "/referrers/") {
			return false
		}
		if nth < 3 || endless {
			w.Header().Set("Link", fmt.Sprintf(`<%s?last=%d>; rel="next"`, r.URL.Path, nth))
		}
		_, _ = fmt.Fprint(w, page(nth))
		return true
	})
	if list, err := repo.List(t.Context(), nobody().Digest); err != nil || len(list) != 3 {
		t.Errorf("list = %v, %v", list, err)
	}
	endless = true
	if _, err := repo.List(t.Context(), nobody().Digest); err == nil || !strings.Contains(err.Error(), "more than 100 pages") {
		t.Errorf("an endless list: %v", err)
	}
}

func TestWhatPassesIsTriedAgain(t *testing.T) {
	for name, tc := range map[string]struct {
		status int
		times  int
		kind   image.Kind // of the failure; empty succeeds
	}{
		"busy":             {http.StatusTooManyRequests, 2, ""},
		"out of order":     {http.StatusBadGateway, 2, ""},
		"always":           {http.StatusBadGateway, 99, image.KindRegistry},
		"not allowed":      {http.StatusForbidden, 99, image.KindUnauthorized},
		"refuses the type": {http.StatusBadRequest, 99, image.KindRegistry},
	} {
		t.Run(name, func(t *testing.T) {
			repo := open(t, func(w http.ResponseWriter, r *http.Request, nth int) bool {
				if r.Method != http.MethodPut || !strings.Contains(r.URL.Path, "/manifests/") || nth > tc.times {
					return false
				}
				w.WriteHeader(tc.status)
				return true
			})
			if err := repo.Upload(t.Context(), note("one")); err != nil {
				t.Fatal(err)
			}
			_, err := repo.Attach(t.Context(), nobody(), note("one"))
			failure := new(image.Error)
			if tc.kind == "" && err != nil || tc.kind != "" && (!errors.As(err, &failure) || failure.Kind != tc.kind || failure.Next() == "") {
				t.Errorf("attach: %v", err)
			}
		})
	}
}
