package scheduler

import (
	"context"
	"sync"
	"time"

	"github.com/slipway-dev/slipway/platform/kit/localcluster/task"
)

// effect is something done outside the records after they are written.
type effect func(ctx context.Context)

// queue executes effects one after the other in the order they were pushed,
// whoever drains it.
type queue struct {
	mu       sync.Mutex
	waiting  []effect
	draining bool
}

func (q *queue) push(effects ...effect) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.waiting = append(q.waiting, effects...)
}

func (q *queue) next() (effect, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.waiting) == 0 {
		q.draining = false
		return nil, false
	}
	e := q.waiting[0]
	q.waiting = q.waiting[1:]
	return e, true
}

// drain executes until nothing waits. A drain that is running already takes
// over whatever was pushed, so an effect may push more.
func (q *queue) drain(ctx context.Context) {
	q.mu.Lock()
	if q.draining {
		q.mu.Unlock()
		return
	}
	q.draining = true
	q.mu.Unlock()
	for e, more := q.next(); more; e, more = q.next() {
		e(ctx)
	}
}

// startTask hands a task to the runtime.
func (s *Scheduler) startTask(spec task.Spec) effect {
	return func(ctx context.Context) {
		err := s.cfg.Runtime.Start(ctx, spec)
		s.apply("note start", func(t *turn) { t.started(spec.ARN, err) })
	}
}

// stopTask has the runtime end a task's containers.
func (s *Scheduler) stopTask(arn string, grace map[string]time.Duration) effect {
	return func(context.Context) { s.cfg.Runtime.Stop(arn, grace) }
}

// registerTarget puts a task into a target group and notes its health.
func (s *Scheduler) registerTarget(group string, target Target) effect {
	return func(ctx context.Context) {
		if err := s.cfg.Targets.Register(group, target); err != nil {
			s.apply("note refused target", func(t *turn) { t.refused(target.ID, group, err) })
			return
		}
		s.probe(group, target.ID)(ctx)
	}
}

// deregisterTarget starts draining, and goes on once it is over.
func (s *Scheduler) deregisterTarget(group, arn string) effect {
	return func(context.Context) {
		drained := s.cfg.Targets.Deregister(group, arn)
		over := func() { s.apply("note drained target", func(t *turn) { t.drained(arn, group) }) }
		select {
		case <-drained:
			over()
			return
		default:
		}
		s.waiters.Go(func() {
			select {
			case <-drained:
				over()
			case <-s.done:
			}
		})
	}
}

// share has a listener rule divide its requests.
func (s *Scheduler) share(service, rule string, percent map[string]float64) effect {
	return func(context.Context) {
		if err := s.cfg.Targets.Share(rule, percent); err != nil {
			s.apply("note refused listener rule", func(t *turn) { t.unshared(service, rule, err) })
		}
	}
}

// probe reads a target's health. Only the queue does so, hence the latest
// reading is always the one that counts.
func (s *Scheduler) probe(group, arn string) effect {
	return func(context.Context) {
		health := s.cfg.Targets.Health(group, arn)
		s.apply("note target health", func(t *turn) { t.targetHealth(arn, group, health) })
	}
}

// TargetChanged tells the scheduler that a target's health is no longer what
// it was. It returns at once and may be called with locks held that
// Targets.Health takes, once Run is running.
func (s *Scheduler) TargetChanged(groupARN, id string) {
	s.queue.push(s.probe(groupARN, id))
	s.dispatch()
}

// apply runs a turn that no caller waits for. When the store refuses it, the
// next tick finds the records as they were.
func (s *Scheduler) apply(what string, fn func(*turn)) {
	err := s.change(func(t *turn) error {
		if !s.closed {
			fn(t)
		}
		return nil
	})
	if err != nil {
		s.cfg.Logger.Error("turn refused", "turn", what, "error", err)
	}
}
