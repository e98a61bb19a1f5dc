package trail

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/slipway-dev/slipway/platform/kit/event"
	"github.com/slipway-dev/slipway/platform/kit/rollout"
)

// LogsOptions select the lines of a service's tasks.
type LogsOptions struct {
	Follow bool          // go on until ctx ends
	Since  time.Duration // how far back to begin; 0 takes 10 minutes
	Filter string        // CloudWatch Logs filter pattern; empty for every line
}

const (
	defaultSince = 10 * time.Minute
	// late is how long after its time a line may still turn up.
	late = 10 * time.Second
)

// Logs emits the lines of a service's tasks as wanted [event.LogLine]s, oldest
// first. Following, it ends with ctx and returns nil.
func (r *Reader) Logs(ctx context.Context, service string, opts LogsOptions, sink event.Sink) error {
	what := fmt.Sprintf("read the logs of %s in %s", service, r.cfg.Environment)
	c, err := r.cfg.Contracts.Contract(ctx, r.cfg.Environment, service)
	if err != nil {
		return fail(what, err, r.shell())
	}
	if opts.Since <= 0 {
		opts.Since = defaultSince
	}
	f := &follower{
		r: r, emit: event.NewEmitter(sink, r.cfg.Clock).For(r.cfg.Environment, service), seen: map[string]time.Time{},
		query: rollout.LogQuery{Group: c.LogGroup, Filter: opts.Filter, From: r.cfg.Clock.Now().Add(-opts.Since), Limit: 1000},
	}
	for {
		err := f.read(ctx)
		if ctx.Err() != nil && opts.Follow {
			return nil
		}
		if err != nil {
			return fail(what, err, r.command("status"))
		}
		if !opts.Follow {
			if f.last.IsZero() {
				f.emit.Emit(event.Notice{
					Level: event.Info, Message: fmt.Sprintf("%s in %s wrote nothing that matches since %s", service, r.cfg.Environment, f.query.From.UTC().Format("15:04:05")),
					Next: r.command("logs", service) + " --since=" + longer(opts.Since),
				})
			}
			return nil
		}
		if r.wait(ctx) != nil {
			return nil //nolint:nilerr // to be ended is how following ends
		}
	}
}

// longer is six times as long, as an option has it.
func longer(d time.Duration) string {
	text := (6 * d).String()
	if short, ok := strings.CutSuffix(text, "m0s"); ok {
		text = short + "m"
	}
	if short, ok := strings.CutSuffix(text, "h0m"); ok {
		text = short + "h"
	}
	return text
}

// follower reads a group from where it was before.
type follower struct {
	r     *Reader
	emit  *event.Emitter
	query rollout.LogQuery
	seen  map[string]time.Time // ids of lines told, with their times
	last  time.Time
}

func (f *follower) read(ctx context.Context) error {
	for {
		page, err := f.r.cfg.Logs.Filter(ctx, f.query)
		if err != nil {
			return err
		}
		for _, e := range page.Events {
			f.tell(e)
		}
		f.query.Token = page.Token
		if page.Token == "" {
			break
		}
	}
	if start := f.last.Add(-late); start.After(f.query.From) {
		f.query.From = start
		for id, at := range f.seen {
			if at.Before(start) {
				delete(f.seen, id)
			}
		}
	}
	return nil
}

func (f *follower) tell(e rollout.LogEvent) {
	if _, told := f.seen[e.ID]; told && e.ID != "" {
		return
	}
	f.seen[e.ID] = e.At
	if e.At.After(f.last) {
		f.last = e.At
	}
	task := e.Stream[strings.LastIndex(e.Stream, "/")+1:]
	f.emit.Emit(event.LogLine{At: e.At, Task: task, Message: e.Message, Wanted: true})
}
