package trace

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Source is where traces are kept.
type Source interface {
	// FindTraces lists the ids of at least the newest Limit traces that match, in
	// any order; 0 means all.
	FindTraces(ctx context.Context, q Query) ([]ID, error)
	// Traces reads traces by their ids, in any order; one that is not there is
	// left out.
	Traces(ctx context.Context, ids []ID) ([]Trace, error)
}

// Query selects traces. Zero values select all.
type Query struct {
	// From and To bound the time at which a trace began.
	From, To time.Time
	// Service took part.
	Service string
	// Status is how the trace ended.
	Status Status
	// Least is the shortest duration.
	Least time.Duration
	Limit int
}

// List reads the newest traces that match, newest first.
func List(ctx context.Context, from Source, q Query) ([]Trace, error) {
	ids, err := from.FindTraces(ctx, q)
	if err != nil {
		return nil, err //nolint:wrapcheck // a source says what failed
	}
	if q.Limit > 0 && len(ids) > q.Limit {
		ids = ids[:q.Limit]
	}
	traces, err := from.Traces(ctx, ids)
	if err != nil {
		return nil, err //nolint:wrapcheck // likewise
	}
	if traces == nil {
		traces = []Trace{} // an empty list for programs, too
	}
	slices.SortFunc(traces, func(a, b Trace) int {
		first, _ := a.Bounds()
		second, _ := b.Bounds()
		return cmp.Or(second.Compare(first), strings.Compare(string(a.ID), string(b.ID)))
	})
	return traces, nil
}

// Find reads the trace of an id, or of the beginning of one that only one of
// the traces that match q has.
func Find(ctx context.Context, from Source, text string, q Query) (Trace, error) {
	id, err := ParseID(text)
	if err != nil {
		return Trace{}, err
	}
	if !id.Complete() {
		if id, err = complete(ctx, from, id, q); err != nil {
			return Trace{}, err
		}
	}
	traces, err := from.Traces(ctx, []ID{id})
	if err != nil {
		return Trace{}, err //nolint:wrapcheck // a source says what failed
	}
	if len(traces) == 0 || len(traces[0].Spans) == 0 {
		return Trace{}, &NotFoundError{ID: id}
	}
	return traces[0], nil
}

func complete(ctx context.Context, from Source, prefix ID, q Query) (ID, error) {
	q.Limit = 0
	ids, err := from.FindTraces(ctx, q)
	if err != nil {
		return "", err //nolint:wrapcheck // a source says what failed
	}
	ids = slices.DeleteFunc(ids, func(id ID) bool { return !strings.HasPrefix(string(id), string(prefix)) })
	slices.Sort(ids)
	switch ids = slices.Compact(ids); len(ids) {
	case 0:
		return "", &NotFoundError{ID: prefix}
	case 1:
		return ids[0], nil
	default:
		return "", &AmbiguousError{Prefix: prefix, IDs: ids}
	}
}

// NotFoundError says that there is no such trace.
type NotFoundError struct{ ID ID }

// Error says so.
func (e *NotFoundError) Error() string {
	return fmt.Sprintf("find trace %s: there is none; it may not have been sampled, or not have arrived yet, or be too old", e.ID)
}

// Next is the command to type next.
func (e *NotFoundError) Next() string {
	return "go tool mage traces ENV --since=24h   # what there is"
}

// AmbiguousError says that several traces begin with an id.
type AmbiguousError struct {
	Prefix ID
	IDs    []ID
}

// Error names some of them.
func (e *AmbiguousError) Error() string {
	shown := make([]string, 0, len(e.IDs))
	for _, id := range e.IDs[:min(5, len(e.IDs))] {
		shown = append(shown, string(id))
	}
	return fmt.Sprintf("find trace %s: %d traces begin so: %s", e.Prefix, len(e.IDs), strings.Join(shown, ", "))
}

// ExitCode is that of wrong use.
func (e *AmbiguousError) ExitCode() int { return 2 }

// Next is what to do about it.
func (e *AmbiguousError) Next() string { return "repeat the command with more digits of the id" }
