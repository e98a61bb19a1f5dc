// Package fleet does something to many services in the order of their calls:
// to a callee before its callers, to what does not depend on each other at
// once. It knows the order, not what is done.
package fleet

import (
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/slipway-dev/slipway/platform/kit/manifest"
)

// Work is what is done to each service. What has failed stops what has not
// begun; what has begun goes on to its end.
type Work struct {
	// Prepare is called for one service after another, in order, before Do and
	// while that of others is under way. Nil prepares nothing.
	Prepare func(ctx context.Context, service string) error
	// Do is called once Do of every callee among the services has ended.
	Do func(ctx context.Context, service string) error
	// Limit is how many Do run at a time; 0 takes 4.
	Limit int
}

const defaultLimit = 4

// Run does the work to the named services and returns every error.
func Run(ctx context.Context, work *manifest.Workspace, names []string, w Work) error {
	if w.Limit == 0 {
		w.Limit = defaultLimit
	}
	ordered := Order(work, names)
	r := &run{work: w, slots: make(chan struct{}, w.Limit), done: map[string]chan struct{}{}}
	ready := map[string]chan struct{}{}
	for _, name := range ordered {
		ready[name], r.done[name] = make(chan struct{}), make(chan struct{})
	}
	var all sync.WaitGroup
	all.Go(func() {
		for _, name := range ordered {
			if w.Prepare != nil && !r.failed() {
				r.note(w.Prepare(ctx, name))
			}
			close(ready[name])
		}
	})
	for i, name := range ordered {
		before := callees(work, name, ordered[:i])
		all.Go(func() {
			defer close(r.done[name])
			<-ready[name]
			for _, callee := range before {
				<-r.done[callee]
			}
			r.do(ctx, name)
		})
	}
	all.Wait()
	return errors.Join(r.errs...)
}

// run is one Run.
type run struct {
	work  Work
	slots chan struct{}
	done  map[string]chan struct{}

	mu   sync.Mutex
	errs []error
}

func (r *run) do(ctx context.Context, name string) {
	r.slots <- struct{}{}
	defer func() { <-r.slots }()
	if r.failed() {
		return
	}
	if err := ctx.Err(); err != nil {
		r.note(err)
		return
	}
	r.note(r.work.Do(ctx, name))
}

func (r *run) note(err error) {
	if err == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.errs = append(r.errs, err)
}

func (r *run) failed() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.errs) > 0
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
