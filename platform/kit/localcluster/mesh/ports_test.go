package mesh_test

import (
	"fmt"
	"net"
	"slices"
	"testing"

	"github.com/slipway-dev/slipway/platform/kit/localcluster/mesh"
)

// TestPortsStay: across restarts, and when other routes come and go.
func TestPortsStay(t *testing.T) {
	b := setup(t, self)
	other := route
	other.Caller = "audit"
	before, err := b.mesh.Set([]mesh.Route{other, route})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.mesh.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.mesh = b.open(self, 0)
	if got := b.mesh.Links(); !slices.Equal(got, before) {
		t.Fatalf("after a restart %v, before %v", got, before)
	}
	if got := b.link(); got != before[1].Address {
		t.Errorf("orders' link moved from %s to %s when audit's went", before[1].Address, got)
	}
	if c, err := net.Dial("tcp", before[0].Address); err == nil {
		c.Close()
		t.Error("a route that is gone is still listened for")
	}
	// Another program has taken the port meanwhile.
	if err := b.mesh.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	taken, err := net.Listen("tcp", before[1].Address)
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	b.mesh = b.open(self, 0)
	moved := b.link()
	if moved == before[1].Address {
		t.Error("two listen at one address")
	}
	// A base that leaves the old port out moves the link there.
	if err := b.mesh.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.mesh = b.open(self, 33000)
	if _, port, _ := net.SplitHostPort(b.link()); fmt.Sprint(port) < "33000" {
		t.Errorf("the link is at port %s, below its base", port)
	}
}
