// Package fleet does something to many services in the order of their calls:
// to a callee before its callers, to what does not depend on each other at
// once. It knows the order, not what is done.
package fleet

import (
	"context"
	"slices"
	"sync"

	"github.com/slipway-dev/slipway/platform/kit/event"
	"github.com/slipway-dev/slipway/platform/kit/manifest"
)

// Work is what is done to each service. What has failed stops what has not
// begun; what has begun goes on to its end.
type Work struct {
	// Prepare is called for one service after another, in order, before Do and
	// while that of others is under way. Nil prepares nothing.
	Prepare func(ctx context.Context, service string) error
	// Do is called once Do of every callee among the services has ended. Its
	// verdict says how that went; an error, why there is none.
	Do func(ctx context.Context, service string) (event.Verdict, error)
	// Reverse does callers before those that they call.
	Reverse bool
	// Limit is how many Do run at a time; 0 takes 4.
	Limit int
}

const defaultLimit = 4

// Run does the work to the named services and reports on each, in the order in
// which they were to be done.
func Run(ctx context.Context, work *manifest.Workspace, names []string, w Work) Report {
	if w.Limit == 0 {
		w.Limit = defaultLimit
	}
	ordered := Order(work, names)
	if w.Reverse {
		slices.Reverse(ordered)
	}
	r := &run{work: w, slots: make(chan struct{}, w.Limit), done: map[string]chan struct{}{}, rows: make(Report, len(ordered))}
	ready := map[string]chan struct{}{}
	for i, name := range ordered {
		ready[name], r.done[name] = make(chan struct{}), make(chan struct{})
		r.rows[i] = Row{Service: name, Outcome: NotBegun, reverse: w.Reverse}
	}
	var all sync.WaitGroup
	all.Go(func() {
		for i, name := range ordered {
			if w.Prepare != nil && !r.stopped(ctx) {
				if err := w.Prepare(ctx, name); err != nil {
					r.note(ctx, i, event.Verdict{}, err)
				}
			}
			close(ready[name])
		}
	})
	for i, name := range ordered {
		before := r.before(work, name, ordered[:i])
		all.Go(func() {
			defer close(r.done[name])
			<-ready[name]
			for _, other := range before {
				<-r.done[other]
			}
			r.do(ctx, i)
		})
	}
	all.Wait()
	for i := range r.rows {
		r.rows[i].because(ctx, r.rows, r.before(work, r.rows[i].Service, ordered[:i]))
	}
	return r.rows
}

// run is one Run.
type run struct {
	work  Work
	slots chan struct{}
	done  map[string]chan struct{}

	mu   sync.Mutex
	rows Report
	bad  bool // something failed
}

// before lists those that have to be done before a service: its callees, or in
// reverse its callers.
func (r *run) before(work *manifest.Workspace, service string, earlier []string) []string {
	if !r.work.Reverse {
		return callees(work, service, earlier)
	}
	var callers []string
	for _, other := range earlier {
		if slices.Contains(callees(work, other, []string{service}), service) {
			callers = append(callers, other)
		}
	}
	return callers
}

func (r *run) do(ctx context.Context, i int) {
	r.slots <- struct{}{}
	defer func() { <-r.slots }()
	if r.stopped(ctx) {
		return
	}
	verdict, err := r.work.Do(ctx, r.rows[i].Service)
	r.note(ctx, i, verdict, err)
}

// note writes down how a service ended.
func (r *run) note(ctx context.Context, i int, v event.Verdict, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.rows[i].end(ctx, v, err)
	r.bad = r.bad || r.rows[i].Outcome != event.Completed
}

// stopped reports whether nothing more is to begin.
func (r *run) stopped(ctx context.Context) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.bad || ctx.Err() != nil
}

// Order returns the names with every callee before its callers, else sorted.
// Of services that call each other in a circle the first by name is the last of
// them: somebody has to be there without its callees.
func Order(work *manifest.Workspace, names []string) []string {
	sorted := slices.Sorted(slices.Values(names))
	var out []string
	visited := map[string]bool{}
	var visit func(name string)
	visit = func(name string) {
		if visited[name] {
			return
		}
		visited[name] = true
		for _, callee := range callees(work, name, sorted) {
			visit(callee)
		}
		out = append(out, name)
	}
	for _, name := range sorted {
		visit(name)
	}
	return out
}

// callees are those of a service that are among the names, sorted.
func callees(work *manifest.Workspace, service string, among []string) []string {
	svc, err := work.Service(service)
	if err != nil {
		return nil // whoever does the work says so
	}
	var out []string
	for _, callee := range svc.Calls {
		if slices.Contains(among, callee) {
			out = append(out, callee)
		}
	}
	slices.Sort(out)
	return out
}
