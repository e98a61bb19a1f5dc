package targets

import (
	"context"
	"fmt"
	"os"
	"time"

	"golang.org/x/term"

	"github.com/slipway-dev/slipway/platform/kit/event"
	"github.com/slipway-dev/slipway/platform/kit/trace"
)

// Defaults of the options.
const (
	tracesSince = time.Hour
	tracesLimit = 20
)

// Traces lists an environment's traces, newest first, or draws the one of an id (or its beginning) given behind the environment. Example: mage traces local --status=error.
func Traces(ctx context.Context, env string, id *string, since *time.Duration, service, status *string, min *time.Duration, limit *int, verbose, json *bool) error { //nolint:predeclared // the option's name
	return run(ctx, 1, json, func(s *session) error {
		wanted := trace.Status(value(status))
		if wanted != "" && wanted != trace.OK && wanted != trace.Error {
			return &usageError{text: fmt.Sprintf("list traces: status %q is neither ok nor error", wanted), next: "go tool mage traces " + env + " --status=error"}
		}
		on, err := s.on(env)
		if err != nil {
			return err
		}
		now := time.Now()
		query := trace.Query{
			From: now.Add(-or(since, tracesSince)), To: now.Add(time.Second),
			Service: value(service), Status: wanted, Least: value(min), Limit: or(limit, tracesLimit),
		}
		if id != nil {
			return s.drawTrace(on, *id, query, set(verbose))
		}
		traces, err := trace.List(s.ctx, on.aws, query)
		if err != nil {
			return err
		}
		s.emit.For(on.env.Name, "").Emit(event.Result{Kind: "traces", Text: trace.Table(traces), Data: traces})
		return nil
	})
}

// drawTrace shows one trace.
func (s *session) drawTrace(on *target, id string, query trace.Query, verbose bool) error {
	found, err := trace.Find(s.ctx, on.aws, id, query)
	if err != nil {
		return err
	}
	text := found.Waterfall(trace.View{Columns: width(os.Stdout), Verbose: verbose})
	s.emit.For(on.env.Name, "").Emit(event.Result{Kind: "trace", Text: text, Data: found})
	return nil
}

// width is a terminal's, or 80.
func width(f *os.File) int {
	if columns, _, err := term.GetSize(int(f.Fd())); err == nil && columns > 0 {
		return columns
	}
	return 80
}
