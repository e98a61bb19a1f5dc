// Package scheduler decides what runs on the embedded cluster. It keeps ECS
// clusters, task definitions, services, deployments and tasks as records in
// the state store, plans the next step from a snapshot of them, writes the
// plan down, and only then tells the task runtime and the load balancer. It
// knows nothing of wire formats (package ecsapi) or of processes (package
// runtime).
package scheduler

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/slipway-dev/slipway/platform/kit/localcluster/scheduler/ecserr"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/scheduler/ident"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/scheduler/ledger"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/task"
)

// Scheduler is the cluster's control plane. Every change goes through one
// turn: under the lock it changes records and plans what follows, commits all
// of it, and only then hands the effects (start, stop, register, drain) to the
// runtime and the load balancer, in the order of the commits.
//
// Until Run is called effects run in the caller's goroutine, which is what
// tests want; afterwards they run in Run's.
type Scheduler struct {
	cfg   Config
	names ident.Namer

	mu     sync.Mutex // guards the fields below
	ledger *ledger.Ledger
	ready  bool                   // Recover is done
	closed bool                   // Run has ended
	late   map[string]task.Report // reports that wait for Recover or for the store

	queue   queue
	async   atomic.Bool // Run executes effects
	wake    chan struct{}
	opened  chan struct{} // closed when ready
	done    chan struct{} // closed when closed
	waiters sync.WaitGroup
}

// New opens the records in cfg.Store. Call Run, or Recover, before anything
// else.
func New(cfg Config) (*Scheduler, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	records, err := ledger.Open(cfg.Store)
	if err != nil {
		return nil, fmt.Errorf("open scheduler: %w", err)
	}
	return &Scheduler{
		cfg:    cfg.complete(),
		names:  ident.Namer{Account: cfg.Account, Region: cfg.Region, Random: cfg.IDs},
		ledger: records,
		late:   map[string]task.Report{},
		wake:   make(chan struct{}, 1),
		opened: make(chan struct{}),
		done:   make(chan struct{}),
	}, nil
}

// Run recovers what an earlier run left, then executes effects and timers
// until ctx ends. Reports that arrive afterwards are ignored: tasks that end
// because the cluster goes down have not failed.
func (s *Scheduler) Run(ctx context.Context) error {
	s.async.Store(true)
	defer s.close()
	if err := s.Recover(ctx); err != nil {
		return err
	}
	for {
		s.queue.drain(ctx)
		var timer <-chan time.Time
		stop := func() bool { return false }
		if wait, set := s.untilNext(); set {
			t := s.cfg.Clock.NewTimer(wait)
			timer, stop = t.Chan(), t.Stop
		}
		select {
		case <-ctx.Done():
			stop()
			return nil
		case <-s.wake:
			stop()
		case <-timer:
			s.Tick()
		}
	}
}

func (s *Scheduler) close() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	close(s.done)
	s.waiters.Wait()
}

// turn is one atomic change.
type turn struct {
	*Scheduler
	now     time.Time
	effects []effect
	touched map[string]struct{} // keys of services to plan again
	written bool                // must be on disk before the turn ends
}

// touch has the service planned again at the end of the turn.
func (t *turn) touch(service string) {
	if service != "" {
		t.touched[service] = struct{}{}
	}
}

func (t *turn) then(e effect) { t.effects = append(t.effects, e) }

// request runs fn as a turn for an API call and waits until the scheduler has
// recovered. fn changes nothing when it returns an error.
func (s *Scheduler) request(ctx context.Context, fn func(*turn) error) error {
	select {
	case <-s.opened:
	case <-s.done:
	case <-ctx.Done():
		return ctx.Err()
	}
	return s.change(func(t *turn) error {
		if s.closed {
			return ecserr.Server("the cluster is shutting down")
		}
		t.written = true
		return fn(t)
	})
}

// change runs fn as a turn. Changes without consequences (a container's state,
// a target's health) are not worth a disk write of their own: they are written
// with the next turn that has any.
func (s *Scheduler) change(fn func(*turn) error) error {
	s.mu.Lock()
	t := &turn{Scheduler: s, now: s.now(), touched: map[string]struct{}{}}
	if err := fn(t); err != nil {
		s.mu.Unlock()
		return err
	}
	t.settle()
	if t.written || len(t.effects) > 0 {
		if err := s.ledger.Commit(); err != nil {
			if again := s.ledger.Reload(); again != nil {
				s.cfg.Logger.Error("read the records again", "error", again)
			}
			s.mu.Unlock()
			return err
		}
	}
	s.queue.push(t.effects...)
	s.mu.Unlock()
	s.dispatch()
	return nil
}

// read runs fn under the lock for a snapshot.
func (s *Scheduler) read(fn func(*turn)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fn(&turn{Scheduler: s, now: s.now(), touched: map[string]struct{}{}})
}

// dispatch has the queued effects executed.
func (s *Scheduler) dispatch() {
	if s.async.Load() {
		select {
		case s.wake <- struct{}{}:
		default:
		}
		return
	}
	s.queue.drain(context.Background())
}

// now is the clock's time as ECS reports it: UTC, milliseconds.
func (s *Scheduler) now() time.Time { return s.cfg.Clock.Now().UTC().Truncate(time.Millisecond) }
