package gateway

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httputil"
	"slices"
	"strconv"
	"sync"
	"time"
)

// errCut ends the requests that outlast a target's deregistration delay.
var errCut = errors.New("target was deregistered and its deregistration delay is over")

// group is a target group at work. One lock guards the targets, which of them
// may be picked, and what is in flight to each: a target is picked and counted
// in one step, so that a drained target can have no request to come.
type group struct {
	protocol Protocol
	name     string
	metrics  metrics

	mu       sync.Mutex
	cfg      TargetGroup
	matcher  matcher
	targets  map[string]*target // registered or draining, by ID
	eligible []*target          // healthy and not draining
	next     int
}

// target is one registered address. All but the fields set when it is made is
// guarded by the group's lock.
type target struct {
	id, addr  string
	transport *http.Transport
	proxy     *httputil.ReverseProxy
	stop      context.CancelFunc // ends the prober
	kick      chan struct{}      // asks for a probe at once

	check    checker
	flights  map[*flight]struct{}
	draining bool
	drained  chan struct{}
	gone     bool // drained is closed
}

// flight is one request on its way through a target.
type flight struct {
	group    *group
	target   *target
	cancel   context.CancelCauseFunc
	began    time.Time
	answered time.Time // when the target's answer began; zero for one of our own
	status   int
	own      bool // the answer is the gateway's, not the target's
	direct   bool // it comes from another service, by Forward
	hop      hop  // its trace; zero for a direct one
	tried    int  // targets, the present one included
	refused  bool // the target refused the connection; the next one is to be tried
	response *http.Response
	body     *pacedBody // nil where none has to keep the pace
}

// pick chooses a healthy target and counts the flight to it. It reports false
// when there is none.
func (g *group) pick(f *flight) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	n := len(g.eligible)
	if n == 0 {
		return false
	}
	g.next = (g.next + 1) % n
	t := g.eligible[g.next]
	if g.cfg.Algorithm == LeastOutstanding {
		for i := range n {
			if c := g.eligible[(g.next+i)%n]; len(c.flights) < len(t.flights) {
				t = c
			}
		}
	}
	f.target = t
	t.flights[f] = struct{}{}
	return true
}

// land takes the flight off its target and lets a drained target go.
func (g *group) land(f *flight) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(f.target.flights, f)
	if f.target.draining && len(f.target.flights) == 0 {
		g.release(f.target)
	}
}

// release says that a draining target is free: its idle connections are closed
// first, so that whoever waits may stop the task at once. The lock is held.
func (g *group) release(t *target) {
	if t.gone {
		return
	}
	t.gone = true
	t.transport.CloseIdleConnections()
	if g.targets[t.id] == t {
		delete(g.targets, t.id)
	}
	close(t.drained)
}

// drain takes the target out of the choice and returns the channel that is
// closed once it is free. The lock is held.
func (g *group) drain(t *target) <-chan struct{} {
	if t.draining {
		return t.drained
	}
	t.draining = true
	t.stop()
	g.choose()
	if len(t.flights) == 0 {
		g.release(t)
	}
	return t.drained
}

// cut ends what is still in flight to a target and lets it go.
func (g *group) cut(t *target) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for f := range t.flights {
		f.cancel(errCut)
	}
	g.release(t)
}

// choose rebuilds the list of targets that may be picked, in the order of their
// names so that a change of one does not reshuffle the others. The lock is held.
func (g *group) choose() {
	g.eligible = g.eligible[:0:0]
	for _, t := range g.targets {
		if !t.draining && t.check.state == StateHealthy {
			g.eligible = append(g.eligible, t)
		}
	}
	slices.SortFunc(g.eligible, func(a, b *target) int {
		if a.id < b.id {
			return -1
		}
		return 1
	})
}

// health is the target's present state.
func (g *group) health(id string) TargetHealth {
	g.mu.Lock()
	defer g.mu.Unlock()
	t, ok := g.targets[id]
	switch {
	case !ok:
		return TargetHealth{StateUnused, "Target.NotRegistered", "Target is not registered to the target group"}
	case t.draining:
		return TargetHealth{StateDraining, "Target.DeregistrationInProgress", "Target deregistration is in progress"}
	default:
		return t.check.health()
	}
}

// newTransport returns a transport for one target. Each target has its own, so
// that its idle connections can be closed when it is drained.
func newTransport(p Protocol, idleTimeout time.Duration) *http.Transport {
	protocols := new(http.Protocols)
	if p == GRPC {
		protocols.SetUnencryptedHTTP2(true)
	} else {
		protocols.SetHTTP1(true)
	}
	return &http.Transport{
		Protocols:           protocols,
		DialContext:         (&net.Dialer{Timeout: connectTimeout, KeepAlive: 30 * time.Second}).DialContext,
		DisableCompression:  true,
		MaxIdleConns:        0, // no limit over all: there is one host
		MaxIdleConnsPerHost: 1024,
		// Shorter than what servers keep idle connections for, lest a request
		// meets a connection that its target is closing.
		IdleConnTimeout:       30 * time.Second,
		ResponseHeaderTimeout: idleTimeout,
		WriteBufferSize:       16 << 10,
		ReadBufferSize:        16 << 10,
	}
}

// closeAll cuts and drops every target.
func (g *group) closeAll() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, t := range g.targets {
		t.draining = true
		t.stop()
		for f := range t.flights {
			f.cancel(errCut)
		}
		g.release(t)
	}
	g.choose()
}

// connectTimeout is a load balancer's limit for opening a connection to a
// target (Elastic Load Balancing, "Troubleshoot": HTTP 504).
const connectTimeout = 10 * time.Second

func (t Target) addr() string { return net.JoinHostPort(t.Host, strconv.Itoa(t.Port)) }
