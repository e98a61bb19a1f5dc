package local

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/slipway-dev/slipway/platform/kit/event"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/issuer"
	"github.com/slipway-dev/slipway/platform/kit/manifest"
)

func TestScopes(t *testing.T) {
	work, err := manifest.LoadFS(fstest.MapFS{"services/catalog/service.yaml": {Data: []byte("name: catalog\n")}})
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		list string
		want []string
		says string
	}{
		"one":             {"catalog.read", []string{"catalog.read"}, ""},
		"many":            {"catalog.read,catalog.write catalog.x", []string{"catalog.read", "catalog.write", "catalog.x"}, ""},
		"none":            {" , ", nil, "it needs a scope"},
		"no right":        {"catalog", nil, `"catalog" is no scope`},
		"nobody's":        {"catalgo.read", nil, `did you mean "catalog"?`},
		"one is nobody's": {"catalog.read,x.y", nil, `scope "x.y"`},
	} {
		got, err := Scopes(work, tc.list)
		if !slices.Equal(got, tc.want) || (err == nil) != (tc.says == "") || err != nil && !strings.Contains(err.Error(), tc.says) {
			t.Errorf("%s: %v, %v; want %v, %q", name, got, err, tc.want, tc.says)
		}
		var coded interface{ ExitCode() int }
		if err != nil && (!errors.As(err, &coded) || coded.ExitCode() != 2 || event.Next(err) == "") {
			t.Errorf("%s: %v has neither exit code 2 nor a next command", name, err)
		}
	}
}

func TestATokenNeedsACluster(t *testing.T) {
	c := &Cluster{state: t.TempDir()}
	_, err := c.Token(t.Context(), issuer.Request{Subject: "me", Scopes: []string{"catalog.read"}})
	if err == nil || !strings.Contains(err.Error(), "get a token: the embedded cluster is not running") || event.Next(err) != "go tool mage up" {
		t.Errorf("got %v, next %q", err, event.Next(err))
	}
}

func TestATokenDoesNotLastForEver(t *testing.T) {
	c := &Cluster{state: t.TempDir()}
	for _, lifetime := range []time.Duration{-time.Second, issuer.MaxLifetime + time.Second} {
		_, err := c.Token(t.Context(), issuer.Request{Subject: "me", Scopes: []string{"a.read", "b.read"}, Lifetime: lifetime})
		if err == nil || !strings.Contains(err.Error(), "the longest is 720h0m0s") || event.Next(err) != "go tool mage token --scope=a.read,b.read --expires=1h" {
			t.Errorf("%s: got %v, next %q", lifetime, err, event.Next(err))
		}
	}
}
