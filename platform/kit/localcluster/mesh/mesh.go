// Package mesh is the way from service to service in the embedded cluster, as
// ECS Service Connect is in AWS: for each callee that a manifest names its
// caller gets one address on loopback, and every call that arrives there is
// passed to one of the callee's healthy tasks, picked call by call. Picking,
// health and draining are the gateway's, whose target groups it uses.
//
// An address is for the tasks of its caller alone. On Linux the process at the
// other end of a connection is looked up, and one that is no task of the caller
// is refused with PERMISSION_DENIED; elsewhere that is not checked. It is no
// general proxy: it retries nothing but a refused connection, and keeps to the
// callers and callees that it is given.
package mesh

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strconv"
	"sync"

	"github.com/jonboulle/clockwork"
)

// Route is one service's way to another.
type Route struct {
	// Caller and Callee are services.
	Caller string `json:"caller"`
	Callee string `json:"callee"`
	// Family is the task definition family of the caller: whose tasks may call.
	Family string `json:"family"`
	// Rule is the ARN of the production listener rule of the callee's gRPC:
	// calls go to the same shares of its target groups as requests from outside.
	Rule string `json:"rule"`
}

func (r Route) key() string { return r.Caller + "/" + r.Callee }

// Link is a route with the host:port at which the caller finds its callee.
type Link struct {
	Route

	Address string `json:"address"`
}

// Store keeps routes with their ports between runs.
type Store interface {
	// Put writes v as JSON.
	Put(key string, v any) error
	// Delete removes a key; one that is not there is no error.
	Delete(key string) error
	// List calls fn for every key that begins with prefix, in key order.
	List(prefix string, fn func(key string, raw []byte) error) error
}

// Process is a process that leads the process group of a task's container.
type Process struct {
	PID int
	// Family is the task definition family, Service what to call the task's
	// service in a message.
	Family, Service string
}

// Config says what a Mesh needs.
type Config struct {
	// Forward returns what passes a request to where a listener rule sends its
	// own, or, of records from before there were such rules, to a target group.
	Forward func(to string) http.Handler
	// Store keeps routes and ports.
	Store Store
	// Processes lists the tasks' processes. Nil lets everybody call.
	Processes func() []Process
	// Carried tells whose connection it is that is carried for a task from a
	// network of its own, by the address that it comes from. Nil knows of none.
	Carried func(from *net.TCPAddr) (Process, bool)
	// Base is the first port to give out; 0 takes 30000.
	Base   int
	Clock  clockwork.Clock
	Logger *slog.Logger
}

// Ports that are given out: span of them from the base on. The default lies
// above the tasks' ports and below those that systems give to clients.
const (
	defaultBase = 30000
	span        = 2000
)

// Mesh holds the ways between services. Its methods may be called by many at
// once.
type Mesh struct {
	cfg   Config
	peers *peers

	mu     sync.Mutex
	links  map[string]*link // by Route.key
	closed bool
}

// record is a route as it is kept.
type record struct {
	Route

	Port int `json:"port"`
	// TargetGroup is what earlier versions kept instead of Rule.
	TargetGroup string `json:"target_group,omitempty"`
}

// New returns a mesh that serves the routes its store kept, at their ports
// where these are free.
func New(cfg Config) (*Mesh, error) {
	if cfg.Forward == nil || cfg.Store == nil {
		return nil, errors.New("mesh: Forward and Store must be set")
	}
	cfg.Base = cmp.Or(cfg.Base, defaultBase)
	if cfg.Clock == nil {
		cfg.Clock = clockwork.NewRealClock()
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	m := &Mesh{cfg: cfg, peers: newPeers(cfg), links: map[string]*link{}}
	var kept []record
	err := cfg.Store.List("", func(key string, raw []byte) error {
		var r record
		if err := json.Unmarshal(raw, &r); err != nil {
			return fmt.Errorf("decode %s: %w", key, err)
		}
		r.Rule = cmp.Or(r.Rule, r.TargetGroup)
		kept = append(kept, r)
		return nil
	})
	for i := 0; err == nil && i < len(kept); i++ {
		err = m.open(kept[i].Route, kept[i].Port)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("load mesh: %w", err), m.Close(context.Background()))
	}
	return m, nil
}

// Set makes the routes all that there are: new ones get an address, those that
// are gone lose it, and calls that are under way there are cut. An address
// stays the same for as long as its route is there. It returns the links in the
// order of the routes.
func (m *Mesh) Set(routes []Route) ([]Link, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return nil, errors.New("set mesh routes: the mesh is closed")
	}
	wanted := map[string]bool{}
	for _, r := range routes {
		if r.Caller == "" || r.Callee == "" || r.Family == "" || r.Rule == "" {
			return nil, fmt.Errorf("set mesh routes: %q to %q: caller, callee, family and rule are needed", r.Caller, r.Callee)
		}
		wanted[r.key()] = true
	}
	for key, l := range m.links {
		if wanted[key] {
			continue
		}
		if err := m.cfg.Store.Delete(key); err != nil {
			return nil, fmt.Errorf("drop mesh route %s: %w", key, err)
		}
		l.cut()
		delete(m.links, key)
	}
	out := make([]Link, 0, len(routes))
	for _, r := range routes {
		if err := m.set(r); err != nil {
			return nil, err
		}
		out = append(out, m.links[r.key()].told())
	}
	return out, nil
}

// set makes one route what it should be. Where only the rule changes, calls that
// are under way go on. The lock is held.
func (m *Mesh) set(r Route) error {
	l := m.links[r.key()]
	switch {
	case l == nil:
		return m.open(r, 0)
	case l.route == r:
		return nil
	case l.route.Family == r.Family:
		if err := m.cfg.Store.Put(r.key(), record{Route: r, Port: l.port}); err != nil {
			return fmt.Errorf("keep mesh route %s: %w", r.key(), err)
		}
		l.aim(m.cfg.Forward(r.Rule))
		l.route = r
		return nil
	default:
		l.cut()
		delete(m.links, r.key())
		return m.open(r, l.port)
	}
}

// Links lists the links by caller and callee.
func (m *Mesh) Links() []Link {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := make([]Link, 0, len(m.links))
	for _, l := range m.links {
		out = append(out, l.told())
	}
	slices.SortFunc(out, func(a, b Link) int { return cmp.Compare(a.key(), b.key()) })
	return out
}

// open serves a route, at the port if that is free and in the range, else at
// another, and keeps it. The lock is held, or nobody else has the mesh yet.
func (m *Mesh) open(r Route, port int) error {
	l, err := m.listen(port)
	if err != nil {
		return fmt.Errorf("listen for calls of %s to %s: %w", r.Caller, r.Callee, err)
	}
	opened := m.serve(r, l)
	if port != 0 && opened.port != port {
		m.cfg.Logger.Warn("the port of a way between services is taken; it moves", "caller", r.Caller, "callee", r.Callee, "from", port, "to", opened.port)
	}
	if err := m.cfg.Store.Put(r.key(), record{Route: r, Port: opened.port}); err != nil {
		opened.cut()
		return fmt.Errorf("keep mesh route %s: %w", r.key(), err)
	}
	m.links[r.key()] = opened
	return nil
}

func (m *Mesh) listen(port int) (net.Listener, error) {
	var lc net.ListenConfig
	at := func(port int) (net.Listener, error) {
		return lc.Listen(context.Background(), "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	}
	if port >= m.cfg.Base && port < m.cfg.Base+span {
		if l, err := at(port); err == nil {
			return l, nil
		}
	}
	last := errors.New("no port is left")
	for port := m.cfg.Base; port < min(m.cfg.Base+span, 1<<16); port++ {
		if m.reserved(port) {
			continue
		}
		l, err := at(port)
		if err == nil {
			return l, nil
		}
		last = err
	}
	return nil, fmt.Errorf("find a free port from %d on: %w", m.cfg.Base, last)
}

// reserved reports whether a port is another route's.
func (m *Mesh) reserved(port int) bool {
	for _, l := range m.links {
		if l.port == port {
			return true
		}
	}
	return false
}

// Close stops listening and lets calls finish until ctx ends.
func (m *Mesh) Close(ctx context.Context) error {
	m.mu.Lock()
	m.closed = true
	links := m.links
	m.links = map[string]*link{}
	m.mu.Unlock()
	errs := make([]error, 0, len(links))
	for _, l := range links {
		errs = append(errs, l.close(ctx))
	}
	return errors.Join(errs...)
}
