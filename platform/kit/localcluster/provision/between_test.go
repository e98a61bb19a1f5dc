package provision

import (
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/slipway-dev/slipway/platform/kit/contract"
)

var three = map[string]string{
	"catalog":    "grpc: {service: slipway.catalog.v1.CatalogService}\ndatabase: {engine: postgres}\n",
	"price-list": "grpc: {service: slipway.prices.v1.PriceService}\ncalls: [catalog]\n",
	"orders":     "http: {routes: [\"/v1/orders*\"]}\ngrpc: {service: slipway.orders.v1.OrderService}\ncalls: [catalog, price-list]\ndatabase: {engine: postgres}\nenv: {LOG_LEVEL: debug}\n",
}

// shells are those of all services, joined.
func joined(t *testing.T, services map[string]string) map[string]shell {
	t.Helper()
	work := workspace(t, services)
	_, client := administered(t)
	p := &Provisioner{work: work, admin: client}
	var list []shell
	for _, name := range work.ServiceNames() {
		list = append(list, shellOf(t, work, name))
	}
	if err := p.connect(t.Context(), list); err != nil {
		t.Fatal(err)
	}
	out := map[string]shell{}
	for _, s := range list {
		out[s.service.Name] = s
	}
	return out
}

func TestACallerIsToldOfItsCalleesAlone(t *testing.T) {
	shells := joined(t, three)
	orders := shells["orders"].environment()
	for _, name := range []string{"CATALOG_GRPC_ADDRESS", "PRICE_LIST_GRPC_ADDRESS"} {
		host, port, err := net.SplitHostPort(orders[name])
		if err != nil || host != "127.0.0.1" || port < "30000" {
			t.Errorf("%s is %q: %v", name, orders[name], err)
		}
		delete(orders, name)
	}
	want := map[string]string{
		"SERVICE_NAME": "orders", "ENVIRONMENT": "local", "BIND_ADDRESS": "0.0.0.0", "DRAIN_DELAY": "0s", "STREAM_MAX_AGE": "10s", "LOG_LEVEL": "debug",
		"HTTP_PORT": "8080", "GRPC_PORT": "9090", "INTERNAL_PORT": "9091", "DATABASE_SSLMODE": "disable",
		"AUTH_ISSUER": "http://127.0.0.1:4510/issuer", "AUTH_AUDIENCE": "slipway-local",
		"AUTH_JWKS_URL":  "http://127.0.0.1:4510/issuer/.well-known/jwks.json",
		"AUTH_TOKEN_URL": "http://127.0.0.1:4510/issuer/oauth2/token", "AUTH_CLIENT_ID": "orders",
		"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4510", "OTEL_TRACES_SAMPLER": "parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.05",
	}
	if diff := cmp.Diff(want, orders); diff != "" {
		t.Errorf("environment of orders (-want +got):\n%s", diff)
	}
	for name := range shells["catalog"].environment() {
		if strings.HasSuffix(name, "_GRPC_ADDRESS") || name == "AUTH_TOKEN_URL" || name == "AUTH_CLIENT_ID" {
			t.Errorf("catalog, which calls nobody, has %s", name)
		}
	}
	if a, b := shells["orders"].callees["catalog"], shells["price-list"].callees["catalog"]; a == b {
		t.Errorf("two callers share the address %s", a)
	}
}

func TestACallerShowsItsSecret(t *testing.T) {
	arns := map[string]string{"slipway/local/orders/oauth-client": "arn:client", "slipway/local/orders/database": "arn:database"}
	shells := joined(t, three)
	container := shells["orders"].template(arns).ContainerDefinitions[0]
	want := []secretVariant{{"DATABASE_SECRET", "arn:database"}, {"AUTH_CLIENT_SECRET", "arn:client"}}
	if diff := cmp.Diff(want, container.Secrets); diff != "" {
		t.Errorf("secrets (-want +got):\n%s", diff)
	}
	if secrets := shells["catalog"].template(arns).ContainerDefinitions[0].Secrets; len(secrets) != 1 {
		t.Errorf("catalog has the secrets %v", secrets)
	}
}

// TestInternalPortHasNoTargetGroup: nothing outside the task leads to it.
func TestInternalPortHasNoTargetGroup(t *testing.T) {
	s := joined(t, three)["price-list"]
	c, err := s.contract(nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(c.TargetGroups) != 1 || c.TargetGroups[0].ContainerPort != grpcPort {
		t.Errorf("target groups %+v, want that of gRPC alone", c.TargetGroups)
	}
	var names []string
	for _, m := range s.template(nil).ContainerDefinitions[0].PortMappings {
		names = append(names, fmt.Sprintf("%s:%d", m.Name, m.ContainerPort))
	}
	if got := strings.Join(names, " "); got != "http:8080 grpc:9090 internal:9091" {
		t.Errorf("port mappings %s", got)
	}
}

// TestContractOfAGreatCallerFits: a service that calls many, with long names
// and many secrets, still fits into an SSM parameter.
func TestContractOfAGreatCallerFits(t *testing.T) {
	services := map[string]string{}
	var calls, secrets []string
	for i := range 12 {
		name := fmt.Sprintf("a-service-with-a-long-name-%02d", i)
		services[name] = fmt.Sprintf("grpc: {service: slipway.s%d.v1.LongService}\n", i)
		calls = append(calls, name)
		secrets = append(secrets, fmt.Sprintf("caller/secret-number-%02d", i))
	}
	services["caller"] = "grpc: {service: slipway.caller.v1.CallerService}\ndatabase: {engine: postgres}\ncalls: [" + strings.Join(calls, ", ") +
		"]\nsecrets: [" + strings.Join(secrets, ", ") + "]\n"
	s := joined(t, services)["caller"]
	arns := map[string]string{}
	for _, name := range append(secrets, "caller/oauth-client", "caller/database") {
		arns["slipway/local/"+name] = "arn:aws:secretsmanager:us-east-1:000000000000:secret:slipway/local/" + name + "-AbCdEf"
	}
	c, err := s.contract(arns)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := c.Encode()
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d of %d bytes", len(raw), contract.MaxBytes)
}
