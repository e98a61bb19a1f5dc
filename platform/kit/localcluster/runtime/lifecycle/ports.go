package lifecycle

import (
	"fmt"
	"net"
	"strconv"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/slipway-dev/slipway/platform/kit/localcluster/task"
)

// ports hands out host ports. It goes round its range, so that a port is not
// given again right after it was returned.
type ports struct {
	from, to int

	mu   sync.Mutex
	next int
	used map[int]bool
}

// take allots a free port to each mapping, all or none.
func (p *ports) take(mappings []types.PortMapping) ([]task.HostPort, error) {
	var out []task.HostPort
	for _, m := range mappings {
		port, err := p.one()
		if err != nil {
			p.release(out)
			return nil, err
		}
		protocol := m.Protocol
		if protocol == "" {
			protocol = types.TransportProtocolTcp
		}
		out = append(out, task.HostPort{
			Name: aws.ToString(m.Name), ContainerPort: aws.ToInt32(m.ContainerPort),
			HostPort: int32(port), Protocol: string(protocol), //nolint:gosec // ports fit
		})
	}
	return out, nil
}

func (p *ports) one() (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for range p.to - p.from + 1 {
		port := p.next
		if p.next++; p.next > p.to {
			p.next = p.from
		}
		if !p.used[port] && free(port) {
			p.used[port] = true
			return port, nil
		}
	}
	return 0, fmt.Errorf("no free port from %d to %d", p.from, p.to)
}

// free reports whether nothing listens on the port, be it on loopback or on all
// addresses.
func free(port int) bool {
	for _, host := range []string{"127.0.0.1", ""} {
		l, err := net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(port))) //nolint:noctx // at once
		if err != nil {
			return false
		}
		_ = l.Close()
	}
	return true
}

func (p *ports) release(given []task.HostPort) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, g := range given {
		delete(p.used, int(g.HostPort))
	}
}
