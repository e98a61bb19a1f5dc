package provision

import (
	"context"
	"log/slog"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/slipway-dev/slipway/platform/kit/contract"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/admin"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/daemon"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/gateway"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/issuer"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/mesh"
	"github.com/slipway-dev/slipway/platform/kit/manifest"
)

const local = `
name: local
account: "000000000000"
region: us-east-1
ports: {gateway: 0, aws: 0, postgres: 0}
`

// workspace has two services, of which one's route lies within the other's.
func workspace(t *testing.T, services map[string]string) *manifest.Workspace {
	t.Helper()
	files := fstest.MapFS{"platform/environments/local.yaml": {Data: []byte(local)}}
	for name, text := range services {
		files["services/"+name+"/service.yaml"] = &fstest.MapFile{Data: []byte("name: " + name + "\nteam: t\n" + text)}
	}
	work, err := manifest.LoadFS(files)
	if err != nil {
		t.Fatal(err)
	}
	return work
}

var two = map[string]string{
	"shop":   "http: {routes: [\"/v1/*\"]}\n",
	"orders": "http: {routes: [\"/v1/orders*\"]}\ngrpc: {service: slipway.orders.v1.OrderService}\ndatabase: {engine: postgres}\nsecrets: [orders/webhook-key]\n",
}

func shellOf(t *testing.T, work *manifest.Workspace, name string) shell {
	t.Helper()
	env, err := work.Environment("local")
	if err != nil {
		t.Fatal(err)
	}
	svc, err := env.Service(name)
	if err != nil {
		t.Fatal(err)
	}
	return shell{env: env, service: svc, gateway: "http://127.0.0.1:8080", endpoint: "http://127.0.0.1:4510"}
}

// nowhere keeps nothing.
type nowhere struct{}

func (nowhere) Put(string, any) error                           { return nil }
func (nowhere) Delete(string) error                             { return nil }
func (nowhere) List(string, func(string, []byte) error) error   { return nil }
func (nowhere) Resolve(context.Context, string) (string, error) { return "secret", nil }

// administered serves the administration of a real gateway, mesh and issuer.
func administered(t *testing.T) (*gateway.Gateway, *admin.Client) {
	t.Helper()
	gw, err := gateway.New(gateway.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(gw.Close)
	info := daemon.Info{Token: "secret"}
	ways, err := mesh.New(mesh.Config{Forward: gw.Forward, Store: nowhere{}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ways.Close(context.Background()) })
	tokens, err := issuer.New(issuer.Config{URL: "http://127.0.0.1:4510/issuer", Store: nowhere{}, Secrets: nowhere{}})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(admin.NewHandler(admin.Config{
		Info: info, Gateway: gw, Mesh: ways, Issuer: tokens, Logger: slog.New(slog.DiscardHandler),
	}))
	t.Cleanup(server.Close)
	info.Endpoint = server.URL
	return gw, admin.NewClient(info)
}

func TestRulesFollowTheManifests(t *testing.T) {
	gw, client := administered(t)
	apply := func(services map[string]string) []string {
		work := workspace(t, services)
		p := &Provisioner{work: work, admin: client}
		var shells []shell
		for _, name := range work.ServiceNames() {
			s := shellOf(t, work, name)
			shells = append(shells, s)
			if err := p.putTargetGroups(t.Context(), s); err != nil {
				t.Fatal(err)
			}
		}
		if err := p.route(t.Context(), shells); err != nil {
			t.Fatal(err)
		}
		var patterns []string
		for _, r := range productionRules(gw) {
			patterns = append(patterns, strings.Join(r.Conditions[0].Values, " "))
		}
		return patterns
	}
	for _, step := range []struct {
		what     string
		services map[string]string
		want     []string
	}{
		{"one service", map[string]string{"shop": two["shop"]}, []string{"/docs/shop /docs/shop/*", "/v1/*"}},
		{"a more specific one comes before it", two, []string{"/slipway.orders.v1.OrderService/*", "/docs/orders /docs/orders/*", "/docs/shop /docs/shop/*", "/v1/orders*", "/v1/*"}},
		{"the same again", two, []string{"/slipway.orders.v1.OrderService/*", "/docs/orders /docs/orders/*", "/docs/shop /docs/shop/*", "/v1/orders*", "/v1/*"}},
		{
			"one rule for all routes of a service",
			map[string]string{"shop": "http: {routes: [\"/v1/a*\", \"/v1/b*\"]}\n", "other": "http: {routes: [\"/v1/*\"]}\n"},
			[]string{"/docs/other /docs/other/*", "/docs/shop /docs/shop/*", "/v1/a* /v1/b*", "/v1/*"},
		},
		{
			"one more where another service's lies between",
			map[string]string{"shop": "http: {routes: [\"/v1/*\", \"/v1/orders/old/*\"]}\n", "orders": two["orders"]},
			[]string{
				"/slipway.orders.v1.OrderService/*", "/docs/orders /docs/orders/*", "/docs/shop /docs/shop/*",
				"/v1/orders/old/*", "/v1/orders*", "/v1/*",
			},
		},
		{"a service goes", map[string]string{"orders": two["orders"]}, []string{"/slipway.orders.v1.OrderService/*", "/docs/orders /docs/orders/*", "/v1/orders*"}},
	} {
		if got := apply(step.services); !slices.Equal(got, step.want) {
			t.Errorf("%s: rules in order %q, want %q", step.what, got, step.want)
		}
	}
}

func TestContractHoldsWhatTheManifestSays(t *testing.T) {
	s := shellOf(t, workspace(t, two), "orders")
	c, err := s.contract(map[string]string{
		"slipway/local/orders/database": "arn:database", "slipway/local/orders/webhook-key": "arn:webhook",
	})
	if err != nil {
		t.Fatal(err)
	}
	raw, err := c.Encode()
	if err != nil {
		t.Fatal(err)
	}
	read, err := contract.Decode(raw)
	if err != nil {
		t.Fatalf("the deploy kit cannot read the contract: %v", err)
	}
	if read.Migration == nil || len(read.TargetGroups) != 2 || read.DesiredCount < 1 {
		t.Errorf("contract %+v: want a migration, two target groups and a task", read)
	}
	container := s.template(map[string]string{
		"slipway/local/orders/database": "arn:database", "slipway/local/orders/webhook-key": "arn:webhook",
	}).ContainerDefinitions[0]
	want := []secretVariant{{"DATABASE_SECRET", "arn:database"}, {"WEBHOOK_KEY", "arn:webhook"}}
	if !slices.Equal(container.Secrets, want) {
		t.Errorf("secrets %v, want %v", container.Secrets, want)
	}
}

func TestAServiceWithoutDatabaseMigratesNothing(t *testing.T) {
	s := shellOf(t, workspace(t, two), "shop")
	c, err := s.contract(nil)
	if err != nil {
		t.Fatal(err)
	}
	if c.Migration != nil {
		t.Errorf("migration %v, want none", c.Migration)
	}
	if len(s.entries()) != 1 {
		t.Errorf("%d load balancer entries, want one for REST", len(s.entries()))
	}
}
