package mesh_test

import (
	"testing"

	testpb "google.golang.org/grpc/interop/grpc_testing"

	"github.com/slipway-dev/slipway/platform/kit/localcluster/gateway"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/mesh"
)

// TestAnotherRuleCutsNothing: a way that leads elsewhere from now on lets the
// calls under way go on, and keeps its address.
func TestAnotherRuleCutsNothing(t *testing.T) {
	b := setup(t, self)
	b.task("a")
	address := b.link()
	client := b.client(address)
	stream, err := client.FullDuplexCall(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	exchange := func(when string) {
		t.Helper()
		if err := stream.Send(&testpb.StreamingOutputCallRequest{}); err != nil {
			t.Fatalf("%s: %v", when, err)
		}
		if _, err := stream.Recv(); err != nil {
			t.Fatalf("%s: %v", when, err)
		}
	}
	exchange("before")
	const rule = "arn:aws:elasticloadbalancing:us-east-1:000000000000:listener-rule/app/x/1/2/3"
	if err := b.gateway.DeclareRules([]gateway.Rule{{ID: rule, Priority: 1, Forward: []gateway.WeightedGroup{{TargetGroupARN: groupARN, Weight: 1}}}}); err != nil {
		t.Fatal(err)
	}
	other := route
	other.Rule = rule
	links, err := b.mesh.Set([]mesh.Route{other})
	if err != nil || links[0].Address != address || links[0].Route != other {
		t.Fatalf("links %v, %v; want the address %s", links, err, address)
	}
	if _, err := client.UnaryCall(t.Context(), &testpb.SimpleRequest{}); err != nil {
		t.Errorf("by the rule: %v", err)
	}
	exchange("after")
}

// TestEarlierRecordsLeadOn: what an earlier version kept leads to its target
// group until it is set anew.
func TestEarlierRecordsLeadOn(t *testing.T) {
	b := setup(t, self)
	b.task("a")
	b.store.keys["orders/catalog"] = []byte(`{"caller":"orders","callee":"catalog","family":"slipway-local-orders","target_group":"` + groupARN + `","port":0}`)
	m := b.open(self, 31500)
	links := m.Links()
	if len(links) != 1 || links[0].Rule != groupARN {
		t.Fatalf("links %v", links)
	}
	if _, err := b.client(links[0].Address).UnaryCall(t.Context(), &testpb.SimpleRequest{}); err != nil {
		t.Error(err)
	}
}
