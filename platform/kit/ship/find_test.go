package ship_test

import (
	"context"
	"errors"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/slipway-dev/slipway/platform/kit/image"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/registry"
	"github.com/slipway-dev/slipway/platform/kit/release"
	"github.com/slipway-dev/slipway/platform/kit/ship"
)

// atHome is a registry on this machine.
type atHome struct{ host string }

func (r atHome) Login(context.Context) (user, password string, err error) { return "AWS", "token", nil }

func (r atHome) RepositoryURI(_ context.Context, repository string) (string, error) {
	return r.host + "/" + repository, nil
}

func TestFindTakesReleasesOfTheServiceAlone(t *testing.T) {
	t.Parallel()
	r, err := registry.New(registry.Config{Dir: t.TempDir(), Authorize: registry.Basic("AWS", func(p string) bool { return p == "token" })})
	if err != nil {
		t.Fatal(err)
	}
	web := httptest.NewServer(r)
	defer web.Close()
	home := atHome{strings.TrimPrefix(web.URL, "http://")}
	for tag, labels := range map[string]map[string]string{
		"v0-111111111111": {release.LabelTitle: "catalog", release.LabelVersion: "v0-111111111111"},
		"v0-222222222222": {release.LabelTitle: "orders", release.LabelVersion: "v0-222222222222"},
		"by-hand":         {"made": "by hand"},
	} {
		ref, err := name.NewTag(home.host + "/slipway/catalog:" + tag)
		if err != nil {
			t.Fatal(err)
		}
		labelled, ok := mutate.Annotations(empty.Index, labels).(v1.ImageIndex)
		if !ok {
			t.Fatal("an annotated index is none")
		}
		if err := remote.WriteIndex(ref, labelled, remote.WithAuth(&authn.Basic{Username: "AWS", Password: "token"})); err != nil {
			t.Fatal(err)
		}
	}
	for title, tc := range map[string]struct{ ref, says string }{
		"of the service":   {"v0-111111111111", ""},
		"of another":       {"v0-222222222222", "it is a release of orders"},
		"not by the kit":   {"by-hand", "it does not say of which service it is a release"},
		"never been there": {"v0-333333333333", "the repository has no"},
	} {
		found, err := ship.Find(t.Context(), ship.Config{Registry: home}, "catalog", tc.ref)
		switch {
		case tc.says == "" && (err != nil || found.Version != tc.ref || !strings.HasPrefix(found.Reference, home.host+"/slipway/catalog@sha256:")):
			t.Errorf("%s: %+v, %v", title, found, err)
		case tc.says != "" && (!errors.Is(err, image.ErrNotFound) || !strings.Contains(err.Error(), tc.says)):
			t.Errorf("%s: %v, want %q", title, err, tc.says)
		}
	}
}
