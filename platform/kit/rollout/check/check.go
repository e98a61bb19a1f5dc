// Package check carries out what is examined before a rollout: each check within
// a time limit, those that do not depend on one another at the same time. It
// also holds the checks of load balancers, which concern nothing else.
package check

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/slipway-dev/slipway/platform/kit/event"
)

// Runner carries checks out.
type Runner struct {
	Limit time.Duration // bounds each check
	Next  string        // the command for a check that had no answer in time
}

// Finding is what a check found; the zero value is that all is well.
type Finding struct {
	Err    error  // why it failed
	Skip   string // why it refuses nothing
	Detail string // what was found
	Next   string // the command to type; that of Err is preferred
}

// Run carries one check out. One that does not heed the limit is left behind.
func (r Runner) Run(ctx context.Context, group, name string, examine func(context.Context) Finding) event.Check {
	found, ok := Within(ctx, r.Limit, examine)
	if !ok {
		return Late(ctx, group, name, r.Limit, r.Next)
	}
	c := event.Check{Group: group, Name: name, Detail: found.Detail, Next: found.Next}
	switch {
	case found.Err != nil:
		c.Detail = found.Err.Error()
		if next := event.Next(found.Err); next != "" {
			c.Next = next
		}
	case found.Skip != "":
		c.Skipped, c.Detail = true, found.Skip
	default:
		c.OK, c.Next = true, ""
	}
	return c
}

// Within runs work and returns its result, and whether it had it in time.
func Within[T any](ctx context.Context, limit time.Duration, work func(context.Context) T) (result T, ok bool) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	done := make(chan T, 1)
	go func() { done <- work(ctx) }()
	select {
	case result = <-done:
		return result, ctx.Err() == nil // an answer that the limit cut off says nothing
	case <-ctx.Done():
		return result, false
	}
}

// Late is a check that had no answer in time, or that the user cut short.
func Late(ctx context.Context, group, name string, limit time.Duration, next string) event.Check {
	if ctx.Err() != nil {
		return event.Check{Group: group, Name: name, Detail: "interrupted"}
	}
	return event.Check{Group: group, Name: name, Detail: fmt.Sprintf("no answer within %s", limit), Next: next}
}

// Skipped is a check that was not carried out, or refuses nothing.
func Skipped(group, name, why string) event.Check {
	return event.Check{Group: group, Name: name, Skipped: true, Detail: why}
}

// Because says why a check that depends on another was not carried out.
func Because(other string) string { return fmt.Sprintf("because %q failed", other) }

// Together carries checks out at the same time and keeps their order.
func Together(checks ...func() []event.Check) []event.Check {
	results := make([][]event.Check, len(checks))
	var every sync.WaitGroup
	for i, check := range checks {
		every.Go(func() { results[i] = check() })
	}
	every.Wait()
	return slices.Concat(results...)
}
