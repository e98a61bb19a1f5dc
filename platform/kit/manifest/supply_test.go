package manifest_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/slipway-dev/slipway/platform/kit/manifest"
)

// supplied is staging with these lines as its supply_chain.
func supplied(block string) string {
	head, _, _ := strings.Cut(stagingYAML, "supply_chain")
	return head + "supply_chain:\n" + block
}

func TestSupplyChain(t *testing.T) {
	t.Parallel()
	fresh := manifest.Vulnerabilities{FailOn: manifest.FailCalled, Database: "https://vuln.go.dev", MaxAge: manifest.Duration(168 * time.Hour)}
	atHome := fresh
	atHome.Database = ""
	const key = "awskms:///alias/slipway-signing"
	base := "account: \"111111111111\"\nregion: eu-central-1\nzones: [eu-central-1a, eu-central-1b]\n"
	cases := map[string]struct {
		environment, block string
		want               manifest.SupplyChain
	}{
		"local by default":      {"local", "", manifest.SupplyChain{Dirty: manifest.DirtyAllow, Vulnerabilities: atHome}},
		"staging by default":    {"staging", "supply_chain: {key: \"" + key + "\"}", manifest.SupplyChain{Key: key, Dirty: manifest.DirtyAllow, Vulnerabilities: fresh}},
		"production by default": {"production", "supply_chain: {key: \"" + key + "\"}", manifest.SupplyChain{Key: key, Dirty: manifest.DirtyRefuse, Vulnerabilities: fresh}},
		"everything": {"production", `
supply_chain:
  key: keys/release.pem
  dirty: allow
  vulnerabilities:
    fail_on: required
    database: ../vulndb.zip
    max_age: 24h
    ignore:
      GO-2026-0001: {reason: "the parser is never given user input", until: 2026-12-31, services: [orders]}
`, manifest.SupplyChain{Key: "keys/release.pem", Dirty: manifest.DirtyAllow, Vulnerabilities: manifest.Vulnerabilities{
			FailOn: manifest.FailRequired, Database: "../vulndb.zip", MaxAge: manifest.Duration(24 * time.Hour),
			Ignore: map[string]manifest.Exemption{"GO-2026-0001": {Reason: "the parser is never given user input", Until: "2026-12-31", Services: []string{"orders"}}},
		}}},
	}
	for name, tc := range cases {
		file := "platform/environments/" + tc.environment + ".yaml"
		w := load(t, map[string]string{catalog: catalogYAML, orders: ordersYAML, file: "name: " + tc.environment + "\n" + base + tc.block})
		env, err := w.Environment(tc.environment)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(tc.want, env.SupplyChain); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestDateEndsWithItsDay(t *testing.T) {
	t.Parallel()
	if got, want := manifest.Date("2026-12-31").End(), time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC); !got.Equal(want) {
		t.Errorf("it ends at %s; want %s", got, want)
	}
	if !manifest.Date("2026-02-30").End().IsZero() {
		t.Error("a day that does not exist has an end")
	}
}
