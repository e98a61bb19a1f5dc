package gateway

import (
	"context"
	"fmt"
)

// Register adds a target and begins to probe it; requests reach it after its
// first good answer. Registering a target anew at another address drains the
// old address; at the same address it changes nothing.
func (g *Gateway) Register(groupARN string, tg Target) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if err := g.done.Err(); err != nil {
		return fmt.Errorf("register target %s: gateway is closed", tg.ID)
	}
	gr, ok := g.groups[groupARN]
	if !ok {
		return fmt.Errorf("register target %s: %w: %s", tg.ID, ErrNotFound, groupARN)
	}
	gr.mu.Lock()
	defer gr.mu.Unlock()
	if old, ok := gr.targets[tg.ID]; ok && !old.draining {
		if old.addr == tg.addr() {
			return nil
		}
		g.drain(gr, old)
	}
	ctx, stop := context.WithCancel(g.done)
	t := &target{
		id:        tg.ID,
		addr:      tg.addr(),
		transport: newTransport(gr.protocol, gr.cfg.IdleTimeout),
		stop:      stop,
		kick:      make(chan struct{}, 1),
		check:     checker{state: StateInitial, registered: g.clock.Now()},
		flights:   map[*flight]struct{}{},
		drained:   make(chan struct{}),
	}
	t.proxy = g.newProxy(gr, t)
	gr.targets[t.id] = t
	g.workers.Go(func() { g.watch(ctx, gr, t) })
	return nil
}

// Deregister takes the target out of the choice at once. The channel is closed
// when no request is in flight to it and its idle connections are closed, or
// when the deregistration delay is over and what was left has been cut. From
// then on nothing reaches the target. An unknown target is drained already.
func (g *Gateway) Deregister(groupARN, id string) <-chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	if gr, ok := g.groups[groupARN]; ok {
		gr.mu.Lock()
		defer gr.mu.Unlock()
		if t, ok := gr.targets[id]; ok {
			return g.drain(gr, t)
		}
	}
	drained := make(chan struct{})
	close(drained)
	return drained
}

// drain starts draining and bounds it by the deregistration delay. The group's
// lock is held.
func (g *Gateway) drain(gr *group, t *target) <-chan struct{} {
	if t.draining {
		return t.drained
	}
	drained := gr.drain(t)
	if t.gone {
		return drained
	}
	timer := g.clock.NewTimer(gr.cfg.DeregistrationDelay)
	g.workers.Go(func() {
		defer timer.Stop()
		select {
		case <-drained:
		case <-g.done.Done():
			gr.cut(t)
		case <-timer.Chan():
			gr.cut(t)
		}
	})
	return drained
}

// Health is the target's present state; "unused" for one that is not registered.
func (g *Gateway) Health(groupARN, id string) TargetHealth {
	g.mu.Lock()
	gr, ok := g.groups[groupARN]
	g.mu.Unlock()
	if !ok {
		return TargetHealth{StateUnused, "Target.NotRegistered", "Target group does not exist"}
	}
	return gr.health(id)
}

// Targets lists the group's targets by ID with their state.
func (g *Gateway) Targets(groupARN string) map[string]TargetHealth {
	g.mu.Lock()
	gr, ok := g.groups[groupARN]
	g.mu.Unlock()
	if !ok {
		return nil
	}
	gr.mu.Lock()
	ids := make([]string, 0, len(gr.targets))
	for id := range gr.targets {
		ids = append(ids, id)
	}
	gr.mu.Unlock()
	out := make(map[string]TargetHealth, len(ids))
	for _, id := range ids {
		out[id] = gr.health(id)
	}
	return out
}
