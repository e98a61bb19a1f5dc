package lifecycle

import (
	"net"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

func TestPorts(t *testing.T) {
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	taken := busy.Addr().(*net.TCPAddr).Port
	p := &ports{from: taken, to: taken + 200, next: taken, used: map[int]bool{}}
	seen := map[int32]bool{int32(taken): true} // another program's
	for i := range 20 {
		got, err := p.take([]types.PortMapping{{}, {}})
		if err != nil {
			t.Fatal(err)
		}
		for _, g := range got {
			if seen[g.HostPort] {
				t.Fatalf("port %d was given twice or is in use", g.HostPort)
			}
			seen[g.HostPort] = true
		}
		if i%2 == 0 {
			p.release(got) // not given again before the range has gone round
		}
	}
}
