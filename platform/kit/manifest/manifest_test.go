package manifest_test

import (
	"errors"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/slipway-dev/slipway/platform/kit/manifest"
)

const (
	catalogYAML = "name: catalog\nhttp: {routes: [\"/v1/products*\"]}\ngrpc: {service: slipway.catalog.v1.CatalogService}\n"
	ordersYAML  = `# yaml-language-server: $schema=../../platform/kit/manifest/service.schema.json
name: orders
team: checkout
http: {routes: ["/v1/orders*"]}
grpc: {service: slipway.orders.v1.OrderService}
calls: [catalog]
database: {engine: postgres}
secrets: [orders/webhook-key]
size: {cpu: 512, memory: 2048, arch: arm64}
scale: {min: 2, max: 10, cpu: 60, requests_per_task: 800}
deploy: {strategy: blue_green, bake: 5m, alarms: [errors, latency]}
slo: {availability: 99.9, latency_p99: 300ms}
env: {LOG_LEVEL: info}
`
	stagingYAML = "name: staging\naccount: \"111111111111\"\nregion: eu-central-1\nzones: [eu-central-1a, eu-central-1b]\nsupply_chain: {key: \"awskms:///alias/slipway-signing\"}\n"
)

// tree is a repository's files by path.
func tree(files map[string]string) fstest.MapFS {
	fsys := fstest.MapFS{}
	for name, text := range files {
		fsys[name] = &fstest.MapFile{Data: []byte(text)}
	}
	return fsys
}

const (
	catalog = "services/catalog/service.yaml"
	orders  = "services/orders/service.yaml"
	staging = "platform/environments/staging.yaml"
	local   = "platform/environments/local.yaml"
)

func load(t *testing.T, files map[string]string) *manifest.Workspace {
	t.Helper()
	w, err := manifest.LoadFS(tree(files))
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func TestLoad(t *testing.T) {
	t.Parallel()
	w := load(t, map[string]string{catalog: catalogYAML, orders: ordersYAML, staging: stagingYAML})
	got, err := w.Service("orders")
	if err != nil {
		t.Fatal(err)
	}
	want := manifest.Service{
		Name: "orders", Team: "checkout", Dir: "services/orders",
		HTTP: &manifest.HTTP{Routes: []string{"/v1/orders*"}}, GRPC: &manifest.GRPC{Service: "slipway.orders.v1.OrderService"},
		Calls: []string{"catalog"}, Database: &manifest.Database{Engine: manifest.Postgres}, Secrets: []string{"orders/webhook-key"},
		Size:   manifest.Size{CPU: 512, Memory: 2048, Arch: manifest.ARM64},
		Scale:  manifest.Scale{Min: 2, Max: 10, CPU: 60, RequestsPerTask: 800},
		Deploy: manifest.Deploy{Strategy: manifest.BlueGreen, Bake: manifest.Duration(5 * time.Minute), Alarms: []manifest.Alarm{manifest.AlarmErrors, manifest.AlarmLatency}},
		SLO:    &manifest.SLO{Availability: 99.9, LatencyP99: manifest.Duration(300 * time.Millisecond)},
		Env:    map[string]string{"LOG_LEVEL": "info"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("orders differs (-want +got):\n%s", diff)
	}
}

func TestDefaults(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		yaml string
		want func(*manifest.Service)
	}{
		"none":   {"", func(*manifest.Service) {}},
		"max":    {"scale: {min: 6}", func(s *manifest.Service) { s.Scale = manifest.Scale{Min: 6, Max: 6} }},
		"memory": {"size: {cpu: 1024}", func(s *manifest.Service) { s.Size.CPU, s.Size.Memory = 1024, 2048 }},
		"bake": {"deploy: {strategy: canary}", func(s *manifest.Service) {
			s.Deploy = manifest.Deploy{Strategy: manifest.Canary, Bake: manifest.Duration(5 * time.Minute)}
		}},
		"no bake": {"deploy: {strategy: canary, bake: 0m}", func(s *manifest.Service) { s.Deploy.Strategy = manifest.Canary }},
	}
	for name, tc := range cases {
		w := load(t, map[string]string{catalog: "name: catalog\n" + tc.yaml})
		want := manifest.Service{
			Name: "catalog", Dir: "services/catalog", Size: manifest.Size{CPU: 256, Memory: 512, Arch: manifest.ARM64},
			Scale: manifest.Scale{Min: 1, Max: 4}, Deploy: manifest.Deploy{Strategy: manifest.Rolling},
		}
		tc.want(&want)
		if diff := cmp.Diff(want, w.Services[0]); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestOverrides(t *testing.T) {
	t.Parallel()
	w := load(t, map[string]string{
		catalog: catalogYAML, orders: ordersYAML,
		staging: stagingYAML + "all: {scale: {min: 1}, env: {LOG_LEVEL: debug, REGION: eu}}\nservices: {orders: {size: {cpu: 1024}, scale: {max: 3}, env: {LOG_LEVEL: warn}}}\n",
	})
	env, err := w.Environment("staging")
	if err != nil {
		t.Fatal(err)
	}
	got, err := env.Service("orders")
	if err != nil {
		t.Fatal(err)
	}
	base, _ := w.Service("orders")
	if base.Env["LOG_LEVEL"] != "info" || base.Scale.Min != 2 {
		t.Errorf("the manifest itself was changed: %+v", base)
	}
	if diff := cmp.Diff(manifest.Scale{Min: 1, Max: 3, CPU: 60, RequestsPerTask: 800}, got.Scale); diff != "" {
		t.Errorf("scale (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(manifest.Size{CPU: 1024, Memory: 2048, Arch: manifest.ARM64}, got.Size); diff != "" {
		t.Errorf("size (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]string{"LOG_LEVEL": "warn", "REGION": "eu"}, got.Env); diff != "" {
		t.Errorf("env (-want +got):\n%s", diff)
	}
}

func TestLocalDefaults(t *testing.T) {
	t.Parallel()
	base := "name: local\naccount: \"000000000000\"\nregion: us-east-1\n"
	for yaml, want := range map[string]string{
		"":                                  "http://127.0.0.1:4510",
		"ports: {aws: 4600}":                "http://127.0.0.1:4600",
		"ports: {aws: 0}":                   "",
		"endpoint: http://127.0.0.1:1":      "http://127.0.0.1:1",
		"ports: {gateway: 0, postgres: 0}":  "http://127.0.0.1:4510",
		"platforms: [host, linux/arm64]\n#": "http://127.0.0.1:4510",
	} {
		env, err := load(t, map[string]string{catalog: catalogYAML, local: base + yaml}).Environment("local")
		if err != nil || env.Endpoint != want || !env.IsLocal() {
			t.Errorf("%q: endpoint %q, %v; want %q", yaml, env.Endpoint, err, want)
		}
	}
}

func TestAuthAndTracing(t *testing.T) {
	t.Parallel()
	outside := manifest.Auth{
		Issuer: "https://login.example.com/", Audience: "shop",
		JWKSURL: "https://login.example.com/jwks.json", TokenURL: "https://login.example.com/oauth2/token",
	}
	cases := map[string]struct {
		yaml    string
		auth    manifest.Auth
		tracing manifest.Tracing
	}{
		"defaults": {"", manifest.Auth{Audience: "slipway-staging"}, manifest.Tracing{Ratio: 0.05}},
		"given": {
			"auth: {issuer: \"https://login.example.com/\", audience: shop, jwks_url: \"https://login.example.com/jwks.json\", token_url: \"https://login.example.com/oauth2/token\"}\ntracing: {ratio: 0.5}",
			outside,
			manifest.Tracing{Ratio: 0.5},
		},
		"nothing is traced": {"tracing: {ratio: 0}", manifest.Auth{Audience: "slipway-staging"}, manifest.Tracing{}},
	}
	for name, tc := range cases {
		env, err := load(t, map[string]string{catalog: catalogYAML, staging: stagingYAML + tc.yaml}).Environment("staging")
		if err != nil || env.Auth != tc.auth || env.Tracing != tc.tracing {
			t.Errorf("%s: %+v, %+v, %v; want %+v, %+v", name, env.Auth, env.Tracing, err, tc.auth, tc.tracing)
		}
	}
}

func TestAddressVariable(t *testing.T) {
	t.Parallel()
	if got := manifest.AddressVariable("price-list"); got != "PRICE_LIST_GRPC_ADDRESS" {
		t.Errorf("got %s", got)
	}
}

func TestUnknownNames(t *testing.T) {
	t.Parallel()
	w := load(t, map[string]string{catalog: catalogYAML, orders: ordersYAML, staging: stagingYAML})
	_, service := w.Service("ordres")
	_, environment := w.Environment("stagin")
	_, far := w.Service("zzzzzz")
	for err, want := range map[error]string{
		service:     `unknown service "ordres"; did you mean "orders"?`,
		environment: `unknown environment "stagin"; did you mean "staging"?`,
		far:         `unknown service "zzzzzz"; there is catalog, orders`,
	} {
		var unknown *manifest.UnknownNameError
		if err == nil || err.Error() != want || !errors.As(err, &unknown) || unknown.ExitCode() != 2 || unknown.Next() == "" {
			t.Errorf("error %v; want %q", err, want)
		}
	}
}

func TestCirclesAreWarnings(t *testing.T) {
	t.Parallel()
	w := load(t, map[string]string{catalog: catalogYAML + "calls: [orders]\n", orders: ordersYAML})
	if len(w.Warnings) != 1 || w.Warnings[0].Message != "services call each other in a circle: catalog -> orders -> catalog" {
		t.Errorf("warnings %v; want the one circle", w.Warnings)
	}
}

func TestRoutesOrder(t *testing.T) {
	t.Parallel()
	w := load(t, map[string]string{
		catalog: "name: catalog\nhttp: {routes: [\"/*\", \"/v1/orders/export\"]}",
		orders:  "name: orders\nhttp: {routes: [\"/v1/orders*\", \"/v1/orders/?\"]}",
	})
	var got []string
	for _, r := range w.Routes() {
		got = append(got, r.Pattern+" "+r.Service)
	}
	want := []string{"/v1/orders/export catalog", "/v1/orders/? orders", "/v1/orders* orders", "/* catalog"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("routes (-want +got):\n%s", diff)
	}
}

// TestRoutesNeverHideOneAnother: whatever patterns load, a path that matches
// two of them is given to the narrower one, never to one that swallows it.
func TestRoutesNeverHideOneAnother(t *testing.T) {
	t.Parallel()
	pattern := rapid.StringMatching(`/[ab*?]{0,5}`)
	rapid.Check(t, func(rt *rapid.T) {
		a, b, path := pattern.Draw(rt, "a"), pattern.Draw(rt, "b"), rapid.StringMatching(`/[ab]{0,6}`).Draw(rt, "path")
		w, err := manifest.LoadFS(tree(map[string]string{
			catalog: "name: catalog\nhttp: {routes: [\"" + a + "\"]}", orders: "name: orders\nhttp: {routes: [\"" + b + "\"]}",
		}))
		both := manifest.MatchRoute(a, path) && manifest.MatchRoute(b, path)
		if err != nil {
			if !strings.Contains(err.Error(), "claimed twice") && !strings.Contains(err.Error(), "overlaps") {
				rt.Fatal(err)
			}
			return
		}
		if !both {
			return
		}
		// They were taken together, so one lies within the other: the first
		// in order must be the one whose every match the second matches too.
		first, second := w.Routes()[0].Pattern, w.Routes()[1].Pattern
		sample := rapid.StringMatching(`/[ab]{0,6}`)
		for i := range 50 {
			p := sample.Example(i)
			if manifest.MatchRoute(first, p) && !manifest.MatchRoute(second, p) {
				rt.Fatalf("%q is tried before %q, which does not hold %q", first, second, p)
			}
		}
	})
}

func TestSecretVariable(t *testing.T) {
	t.Parallel()
	for secret, want := range map[string]string{"orders/webhook-key": "WEBHOOK_KEY", "shared/smtp.user": "SHARED_SMTP_USER"} {
		if got := manifest.SecretVariable("orders", secret); got != want {
			t.Errorf("%s arrives in %s; want %s", secret, got, want)
		}
	}
}
