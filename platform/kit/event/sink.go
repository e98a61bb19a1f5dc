package event

import (
	"errors"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jonboulle/clockwork"
)

// Sink takes events. Implementations are safe for use by several goroutines,
// keep the order of one goroutine's events, and do not block for long.
type Sink interface{ Emit(Event) }

// SinkFunc makes a sink of a function, which must itself be safe for
// concurrent use.
type SinkFunc func(Event)

// Emit calls the function.
func (f SinkFunc) Emit(e Event) { f(e) }

// Discard returns a sink that drops every event.
func Discard() Sink { return SinkFunc(func(Event) {}) }

// Tee returns a sink that passes each event to all of sinks in turn.
func Tee(sinks ...Sink) Sink {
	return SinkFunc(func(e Event) {
		for _, s := range sinks {
			s.Emit(e)
		}
	})
}

// Recorder is a sink that keeps what it got. The zero value is ready.
type Recorder struct {
	mu     sync.Mutex
	events []Event
}

// Emit keeps e.
func (r *Recorder) Emit(e Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, e)
}

// Events returns a copy of what was emitted so far.
func (r *Recorder) Events() []Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]Event(nil), r.events...)
}

// Emitter stamps payloads with the time, an environment and a service, and
// passes them to a sink. It is safe for concurrent use.
type Emitter struct {
	sink        Sink
	clock       clockwork.Clock
	environment string
	service     string
	steps       *atomic.Int64
}

// NewEmitter returns an emitter that writes to sink with the time of clock.
func NewEmitter(sink Sink, clock clockwork.Clock) *Emitter {
	return &Emitter{sink: sink, clock: clock, steps: new(atomic.Int64)}
}

// For returns an emitter for one service of one environment; either may be
// empty. Step ids stay unique across emitters derived from one another, and
// name the service, so that they differ between emitters of different services.
func (e *Emitter) For(environment, service string) *Emitter {
	scoped := *e
	scoped.environment, scoped.service = environment, service
	return &scoped
}

// Emit sends one payload.
func (e *Emitter) Emit(p Payload) {
	e.sink.Emit(Event{Time: e.clock.Now().UTC(), Environment: e.environment, Service: e.service, Data: p})
}

// Start begins a step. Title says what is being done, in lower case.
func (e *Emitter) Start(title string) *Step { return e.start("", title) }

func (e *Emitter) start(parent, title string) *Step {
	id := "s" + strconv.FormatInt(e.steps.Add(1), 10)
	if e.service != "" {
		id = e.service + "-" + id
	}
	s := &Step{emitter: e, id: id, began: e.clock.Now()}
	e.Emit(StepStarted{ID: s.id, Parent: parent, Title: title})
	return s
}

// Run does work as a step: done with the returned detail, or failed with the
// error, which it returns.
func (e *Emitter) Run(title string, work func(*Step) (detail string, err error)) error {
	step := e.Start(title)
	detail, err := work(step)
	step.End(detail, err)
	return err
}

// Step is a piece of work that was begun; it ends once, by Done, Skip, Fail
// or End. Later ends are ignored.
type Step struct {
	emitter *Emitter
	id      string
	began   time.Time
	ended   atomic.Bool
}

// Start begins a step within this one.
func (s *Step) Start(title string) *Step { return s.emitter.start(s.id, title) }

// Progress says how far the step is; total is 0 when unknown.
func (s *Step) Progress(message string, done, total int64, unit string) {
	s.emitter.Emit(StepProgress{ID: s.id, Message: message, Done: done, Total: total, Unit: unit})
}

// Done ends the step well.
func (s *Step) Done(detail string) { s.finish(StepDone{ID: s.id, Duration: s.took(), Detail: detail}) }

// Skip ends the step without its having been needed.
func (s *Step) Skip(why string) {
	s.finish(StepDone{ID: s.id, Duration: s.took(), Detail: why, Skipped: true})
}

// Fail ends the step badly. An error with a method Next() string names the
// command to type next.
func (s *Step) Fail(err error) {
	s.finish(StepFailed{ID: s.id, Duration: s.took(), Error: err.Error(), Next: Next(err)})
}

// End is Done when err is nil, else Fail.
func (s *Step) End(detail string, err error) {
	if err != nil {
		s.Fail(err)
		return
	}
	s.Done(detail)
}

func (s *Step) took() Duration { return Duration(s.emitter.clock.Since(s.began)) }

func (s *Step) finish(p Payload) {
	if s.ended.CompareAndSwap(false, true) {
		s.emitter.Emit(p)
	}
}

// Next returns the command that an error tells the user to type next, or "".
// An error in err's chain says so by a method Next() string.
func Next(err error) string {
	var with interface{ Next() string }
	if errors.As(err, &with) {
		return with.Next()
	}
	return ""
}
