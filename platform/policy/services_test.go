package policy

import (
	"slices"
	"strings"
	"testing"

	"github.com/slipway-dev/slipway/platform/policy/internal/check"
	"github.com/slipway-dev/slipway/platform/policy/internal/schema"
)

// manifests are those of all services.
func manifests(t *testing.T) []check.Service {
	t.Helper()
	services, found := check.Services(tree(t))
	report(t, found)
	if len(services) == 0 {
		t.Fatal("found no service below services/: the rules for services bind nothing")
	}
	return services
}

func TestServiceParts(t *testing.T) {
	report(t, check.ServiceParts(tree(t)))
}

func TestMethods(t *testing.T) {
	report(t, check.Methods(tree(t)))
}

// What stands at the edge of a service, by the name of its package: the API,
// the tables, the work done later, and the services that are called. All other
// packages are the domain.
const (
	rpcLayer    = "rpc"
	storeLayer  = "store"
	jobsLayer   = "jobs"
	calleeLayer = "callee"
)

// edge is what one of them must not know: other edges, and libraries.
type edge struct {
	others, libraries []string
	reason            string
}

// edges meet in the domain only, but store may queue a job in the transaction
// that makes it necessary.
func edges() map[string]edge {
	sql := []string{"database/sql/...", "github.com/jackc/pgx/..."}
	wire := []string{"google.golang.org/grpc/...", proto + "/..."}
	return map[string]edge{
		rpcLayer: {
			others: []string{storeLayer, jobsLayer, calleeLayer}, libraries: sql,
			reason: "rpc turns messages into domain values and back; what it may store it asks of an interface",
		},
		storeLayer: {
			others: []string{rpcLayer, calleeLayer}, libraries: wire,
			reason: "tables change apart from messages; both know the domain only",
		},
		jobsLayer: {
			others: []string{rpcLayer, storeLayer, calleeLayer}, libraries: wire,
			reason: "a job says when something is done; what is done is the domain's",
		},
		calleeLayer: {
			others: []string{rpcLayer, storeLayer, jobsLayer}, libraries: sql,
			reason: "callee turns another service's messages into domain values; where those are kept is not its business",
		},
	}
}

// serviceRules keep one service to its own code, and its layers in order.
func serviceRules(graph *check.Graph, s check.Service) []check.ImportRule {
	own := prefix + "/" + s.Dir
	rules := []check.ImportRule{{
		Name:   s.Name + " stands on proto and serve",
		From:   []string{own + "/..."},
		Deny:   []string{prefix + "/...", mage + "/...", awsSDK + "/..."},
		But:    []string{own + "/...", proto + "/...", serve + "/..."},
		Tests:  true,
		Reason: "teams release services apart from each other, and a service in production carries no deploy tool",
	}}
	edges := edges()
	var inner []string
	for _, name := range graph.Children(own + "/internal") {
		if _, ok := edges[name]; !ok {
			inner = append(inner, own+"/internal/"+name+"/...")
		}
	}
	for _, name := range graph.Children(own + "/internal") {
		pkg := own + "/internal/" + name + "/..."
		edge, ok := edges[name]
		if !ok {
			rules = append(rules, domainRules(s.Name, name, pkg, inner)...)
			continue
		}
		deny := slices.Clone(edge.libraries)
		for _, other := range edge.others {
			deny = append(deny, own+"/internal/"+other+"/...")
		}
		rules = append(rules, check.ImportRule{
			Name: s.Name + ": " + name + " stays at its edge", From: []string{pkg}, Deny: deny, Direct: true, Reason: edge.reason,
		})
	}
	return rules
}

// domainRules keep types and rules apart from every transport and database.
func domainRules(service, name, pkg string, inner []string) []check.ImportRule {
	return []check.ImportRule{{
		Name:   service + ": " + name + " is the domain",
		From:   []string{pkg},
		Deny:   []string{"*"},
		But:    append([]string{"std", serve + "/errs/..."}, inner...),
		Reason: "types and rules have to be readable and testable without gRPC or SQL",
	}, {
		Name:   service + ": " + name + " speaks no SQL or HTTP",
		From:   []string{pkg},
		Deny:   []string{"database/sql/...", "net/http/..."},
		Direct: true,
		Reason: "types and rules have to be readable and testable without a transport or a database",
	}}
}

// callRule lets a service know the APIs that its manifest's calls name, and no
// other service's. It is none when there is nothing to forbid.
func callRule(s check.Service, all []check.Service) []check.ImportRule {
	var deny []string
	for _, other := range all {
		if other.Name != s.Name && other.Proto() != "" && !slices.Contains(s.Calls, other.Name) {
			deny = append(deny, proto+"/"+other.Proto()+"/...")
		}
	}
	if len(deny) == 0 {
		return nil
	}
	calls := "none"
	if len(s.Calls) > 0 {
		calls = strings.Join(s.Calls, ", ")
	}
	return []check.ImportRule{{
		Name:   s.Name + " calls whom its manifest names (" + calls + ")",
		From:   []string{prefix + "/" + s.Dir + "/..."},
		Deny:   deny,
		Tests:  true,
		Reason: "the manifest's calls open the network between services and draw the service map; a call that it lacks is refused where the service runs",
	}}
}

// TestACallThatTheManifestLacksIsTold proves the rule on a small tree.
func TestACallThatTheManifestLacksIsTold(t *testing.T) {
	small, err := check.NewTree(map[string][]byte{
		"proto/go.mod":                         []byte("module " + proto + "\n"),
		"proto/slipway/catalog/v1/c.go":        []byte("package catalogv1\n"),
		"services/orders/go.mod":               []byte("module " + prefix + "/services/orders\n"),
		"services/orders/internal/callee/c.go": []byte("package callee\n\nimport _ \"" + proto + "/slipway/catalog/v1\"\n"),
		"services/orders/cmd/orders/main.go":   []byte("package main\n\nimport _ \"" + prefix + "/services/orders/internal/callee\"\n"),
	})
	if err != nil {
		t.Fatal(err)
	}
	catalog := check.Service{Name: "catalog", Dir: "services/catalog"}
	catalog.GRPC.Service = "slipway.catalog.v1.CatalogService"
	orders := check.Service{Name: "orders", Dir: "services/orders"}
	found := check.Imports(check.NewGraph(small, nil), callRule(orders, []check.Service{catalog, orders}))
	if len(found) != 1 || !strings.Contains(found[0].What, "internal/callee -> "+proto+"/slipway/catalog/v1") {
		t.Errorf("found %v, want the chain to the catalog's API", found)
	}
	orders.Calls = []string{"catalog"}
	if rules := callRule(orders, []check.Service{catalog, orders}); rules != nil {
		t.Errorf("a call that the manifest names is forbidden: %v", rules)
	}
}

func TestMigrations(t *testing.T) {
	report(t, schema.Migrations(tree(t)))
}
