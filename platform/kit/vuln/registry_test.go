package vuln_test

import (
	"context"
	"errors"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/slipway-dev/slipway/platform/kit/image"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/registry"
	"github.com/slipway-dev/slipway/platform/kit/vuln"
)

// access is a registry's, as an account gives it.
type access struct{ host string }

func (access) Login(context.Context) (user, password string, err error) { return "AWS", "token", nil }

func (a access) RepositoryURI(_ context.Context, name string) (string, error) {
	return a.host + "/" + name, nil
}

func TestBinariesAreReadFromAPushedImage(t *testing.T) {
	t.Parallel()
	store, err := registry.New(registry.Config{Dir: t.TempDir(), Authorize: registry.Basic("AWS", func(p string) bool { return p == "token" })})
	if err != nil {
		t.Fatal(err)
	}
	web := httptest.NewServer(store)
	t.Cleanup(web.Close)
	at := access{strings.TrimPrefix(web.URL, "http://")}
	pushed, err := image.Build(t.Context(), image.Config{
		Service: "tiny", Dir: filepath.Dir(called.build(t)), Package: ".", Platforms: image.Fargate(), CacheDir: t.TempDir(),
		Repository: at.host + "/slipway/tiny", Credentials: at.Login,
	})
	if err != nil {
		t.Fatal(err)
	}
	binaries, err := vuln.Registry{Access: at}.Binaries(t.Context(), "slipway/tiny", pushed.Digest)
	if err != nil {
		t.Fatal(err)
	}
	for i, b := range binaries {
		if want := image.Fargate()[i].String(); b.Platform != want {
			t.Errorf("binary %d is for %s; want %s", i, b.Platform, want)
		}
		content, err := b.Open(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		got, err := vuln.ReadBinary(content)
		if err := errors.Join(err, content.Close()); err != nil {
			t.Fatal(err)
		}
		want := inventory(t, pushed.Images[i].Binary)
		if diff := cmp.Diff(want.Functions, got.Functions); diff != "" || got.Info.String() != want.Info.String() {
			t.Errorf("the pushed binary for %s is not the one built (-want +got):\n%s", b.Platform, diff)
		}
	}
	if len(binaries) != len(image.Fargate()) {
		t.Errorf("%d binaries; want one a platform", len(binaries))
	}
	if _, err := (vuln.Registry{Access: at}).Binaries(t.Context(), "slipway/tiny", "sha256:"+strings.Repeat("0", 64)); err == nil {
		t.Error("an image that is not there was read")
	}
}
