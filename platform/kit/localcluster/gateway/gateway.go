package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jonboulle/clockwork"
)

// Gateway is the load balancer. Its methods may be called at any time and by
// many at once, also before and after it serves.
type Gateway struct {
	addr     string
	clock    clockwork.Clock
	log      *slog.Logger
	store    Store
	onChange func(groupARN, id string, health TargetHealth)
	tracing  Tracing
	pace     BodyPace
	linger   time.Duration

	routes atomic.Pointer[[]*route]          // by ascending priority
	byARN  atomic.Pointer[map[string]*group] // what groups holds, for Forward
	byID   atomic.Pointer[map[string]*route] // likewise the rules

	mu      sync.Mutex
	groups  map[string]*group
	rules   map[string]*Rule
	workers sync.WaitGroup
	done    context.Context // ended by Close
	stop    context.CancelFunc
}

// ErrNotFound is wrapped by what names a target group that is not there.
var ErrNotFound = errors.New("target group not found")

// ErrInUse is wrapped where a target group still has a rule, or a priority is
// another rule's.
var ErrInUse = errors.New("in use")

// New returns a gateway with the target groups and rules its store kept.
func New(cfg Config) (*Gateway, error) {
	g := &Gateway{
		addr:     cfg.Addr,
		clock:    cfg.Clock,
		log:      cfg.Logger,
		store:    cfg.Store,
		onChange: cfg.OnHealthChange,
		tracing:  cfg.Tracing,
		pace:     cfg.BodyPace.complete(),
		linger:   linger,
		groups:   map[string]*group{},
		rules:    map[string]*Rule{},
	}
	if g.clock == nil {
		g.clock = clockwork.NewRealClock()
	}
	if g.log == nil {
		g.log = slog.New(slog.DiscardHandler)
	}
	g.done, g.stop = context.WithCancel(context.Background())
	g.routes.Store(&[]*route{})
	g.byARN.Store(&map[string]*group{})
	g.byID.Store(&map[string]*route{})
	if err := g.load(); err != nil {
		return nil, fmt.Errorf("load gateway: %w", err)
	}
	return g, nil
}

// Keys in the store.
const (
	groupPrefix = "target-group/"
	rulePrefix  = "rule/"
)

func (g *Gateway) load() error {
	if g.store == nil {
		return nil
	}
	err := g.store.List(groupPrefix, func(key string, raw []byte) error {
		var tg TargetGroup
		if err := json.Unmarshal(raw, &tg); err != nil {
			return fmt.Errorf("decode %s: %w", key, err)
		}
		match, err := parseMatcher(tg.HealthCheck.Matcher)
		if err != nil {
			return fmt.Errorf("decode %s: %w", key, err)
		}
		g.groups[tg.ARN] = &group{protocol: tg.Protocol, name: tg.Name, cfg: tg, matcher: match, targets: map[string]*target{}}
		return nil
	})
	if err != nil {
		return err
	}
	err = g.store.List(rulePrefix, func(key string, raw []byte) error {
		var r Rule
		if err := json.Unmarshal(raw, &r); err != nil {
			return fmt.Errorf("decode %s: %w", key, err)
		}
		g.rules[r.ID] = &r
		return nil
	})
	if err != nil {
		return err
	}
	return g.rebuild()
}

func (g *Gateway) persist(key string, v any) error {
	if g.store == nil {
		return nil
	}
	if v == nil {
		return g.store.Delete(key)
	}
	return g.store.Put(key, v)
}

// PutTargetGroup creates the target group or changes it. The protocol of a
// target group cannot change, as in Elastic Load Balancing.
func (g *Gateway) PutTargetGroup(tg TargetGroup) error {
	tg, err := tg.complete()
	if err != nil {
		return err
	}
	match, err := parseMatcher(tg.HealthCheck.Matcher)
	if err != nil {
		return err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	gr, exists := g.groups[tg.ARN]
	if exists && gr.protocol != tg.Protocol {
		return fmt.Errorf("target group %s: the protocol cannot change from %s to %s", tg.Name, gr.protocol, tg.Protocol)
	}
	if err := g.persist(groupPrefix+tg.ARN, tg); err != nil {
		return fmt.Errorf("put target group %s: %w", tg.Name, err)
	}
	if !exists {
		g.groups[tg.ARN] = &group{protocol: tg.Protocol, name: tg.Name, cfg: tg, matcher: match, targets: map[string]*target{}}
		return g.rebuild()
	}
	gr.mu.Lock()
	defer gr.mu.Unlock()
	gr.cfg, gr.matcher = tg, match
	return nil
}

// TargetGroups lists the target groups by ARN, defaults filled in.
func (g *Gateway) TargetGroups() []TargetGroup {
	g.mu.Lock()
	defer g.mu.Unlock()
	out := make([]TargetGroup, 0, len(g.groups))
	for _, gr := range g.groups {
		gr.mu.Lock()
		out = append(out, gr.cfg)
		gr.mu.Unlock()
	}
	slices.SortFunc(out, func(a, b TargetGroup) int {
		if a.ARN < b.ARN {
			return -1
		}
		return 1
	})
	return out
}

// DeleteTargetGroup drains the group's targets and removes it. One that is not
// there is no error; one that a rule forwards to is ErrInUse.
func (g *Gateway) DeleteTargetGroup(arn string) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	gr, ok := g.groups[arn]
	if !ok {
		return nil
	}
	for _, r := range g.rules {
		for _, w := range r.Forward {
			if w.TargetGroupARN == arn {
				return fmt.Errorf("delete target group %s: rule %s forwards to it: %w", arn, r.ID, ErrInUse)
			}
		}
	}
	if err := g.persist(groupPrefix+arn, nil); err != nil {
		return fmt.Errorf("delete target group %s: %w", arn, err)
	}
	delete(g.groups, arn)
	gr.mu.Lock()
	defer gr.mu.Unlock()
	for _, t := range gr.targets {
		g.drain(gr, t)
	}
	return g.rebuild()
}

// PutRule creates the rule or replaces the one of the same ID in one step: a
// request meets the old rule or the new one, never none.
func (g *Gateway) PutRule(r Rule) error {
	if err := r.validate(); err != nil {
		return err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, other := range g.rules {
		if other.ID != r.ID && other.Priority == r.Priority {
			return fmt.Errorf("put rule %s: priority %d is rule %s's: %w", r.ID, r.Priority, other.ID, ErrInUse)
		}
	}
	return g.putRule(r)
}

// putRule replaces a rule or adds it. The lock is held.
func (g *Gateway) putRule(r Rule) error {
	before, existed := g.rules[r.ID]
	g.rules[r.ID] = &r
	err := g.rebuild()
	if err == nil {
		err = g.persist(rulePrefix+r.ID, r)
	}
	if err == nil {
		return nil
	}
	delete(g.rules, r.ID)
	if existed {
		g.rules[r.ID] = before
	}
	return errors.Join(fmt.Errorf("put rule %s: %w", r.ID, err), g.rebuild())
}

// DeleteRule removes a rule; one that is not there is no error.
func (g *Gateway) DeleteRule(id string) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if err := g.persist(rulePrefix+id, nil); err != nil {
		return fmt.Errorf("delete rule %s: %w", id, err)
	}
	delete(g.rules, id)
	return g.rebuild()
}

// Rules lists the rules by ascending priority.
func (g *Gateway) Rules() []Rule {
	routes := *g.routes.Load()
	out := make([]Rule, 0, len(routes))
	for _, rt := range routes {
		out = append(out, *rt.rule)
	}
	return out
}

// rebuild joins rules and groups into what the data path reads. The lock is held.
func (g *Gateway) rebuild() error {
	byARN := maps.Clone(g.groups)
	g.byARN.Store(&byARN)
	routes, byID := make([]*route, 0, len(g.rules)), make(map[string]*route, len(g.rules))
	for _, r := range g.rules {
		rt := &route{rule: r, shares: r.Forward}
		if r.Follow != "" {
			leader := g.rules[r.Follow]
			if leader == nil || len(leader.Forward) == 0 {
				return fmt.Errorf("rule %s follows %s: %w", r.ID, r.Follow, ErrNoRule)
			}
			rt.shares = leader.Forward
		}
		for _, w := range rt.shares {
			gr, ok := g.groups[w.TargetGroupARN]
			if !ok {
				return fmt.Errorf("%w: %s", ErrNotFound, w.TargetGroupARN)
			}
			rt.groups = append(rt.groups, gr)
			rt.total += uint64(w.Weight) //nolint:gosec // 0 to maxWeight
		}
		routes, byID[r.ID] = append(routes, rt), rt
	}
	slices.SortFunc(routes, func(a, b *route) int { return a.rule.Priority - b.rule.Priority })
	g.routes.Store(&routes)
	g.byID.Store(&byID)
	return nil
}

// ListenAndServe listens on Config.Addr and serves until ctx is done.
func (g *Gateway) ListenAndServe(ctx context.Context) error {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", g.addr)
	if err != nil {
		return fmt.Errorf("listen for the gateway: %w", err)
	}
	return g.Serve(ctx, l)
}

// shutdownGrace is how long requests may go on after the gateway was told to end.
const shutdownGrace = 5 * time.Second

// Serve answers on the listener until ctx is done, then lets requests finish
// for a few seconds. It closes the listener.
func (g *Gateway) Serve(ctx context.Context, l net.Listener) error {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	srv := &http.Server{
		Handler:           g,
		Protocols:         protocols,
		HTTP2:             &http.HTTP2Config{MaxConcurrentStreams: 1000},
		ReadHeaderTimeout: 30 * time.Second,
		MaxHeaderBytes:    maxHead,
		IdleTimeout:       2 * time.Minute,
		ErrorLog:          slog.NewLogLogger(g.log.Handler(), slog.LevelDebug),
	}
	failed := make(chan error, 1)
	go func() { failed <- srv.Serve(l) }()
	select {
	case err := <-failed:
		return fmt.Errorf("serve gateway: %w", err)
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownGrace)
	defer cancel()
	err := srv.Shutdown(grace)
	if err != nil {
		err = srv.Close()
	}
	<-failed //nolint:errcheck // it says that it was shut down
	return err
}

// Close ends all health checks and drops every target. It waits until no more
// OnHealthChange call is under way.
func (g *Gateway) Close() {
	g.mu.Lock()
	g.stop()
	g.mu.Unlock()
	g.workers.Wait()
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, gr := range g.groups {
		gr.closeAll()
	}
}
