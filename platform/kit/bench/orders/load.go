package orders

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"
)

// load is a side with all that was placed on it.
type load struct {
	side    side
	clients int
	next    []int // of each client
	placed  []outcome
}

// sample is one round of a side.
type sample struct {
	accepted  int
	failures  map[string]int
	latencies []time.Duration // of the accepted ones, sorted
	took      time.Duration   // until the last answer
	settled   time.Duration   // until the last order was settled
}

// run has every client place orders without pause.
func (l *load) run(ctx context.Context, d time.Duration) (sample, error) {
	if l.next == nil {
		l.next = make([]int, l.clients)
	}
	each := make([][]outcome, l.clients)
	began := time.Now()
	end := began.Add(d)
	var clients sync.WaitGroup
	for c := range l.clients {
		clients.Go(func() {
			for now := time.Now(); now.Before(end) && ctx.Err() == nil; {
				o := l.side.place(ctx, c, l.next[c])
				l.next[c]++
				after := time.Now()
				o.took, now = after.Sub(now), after
				each[c] = append(each[c], o)
			}
		})
	}
	clients.Wait()
	got := sample{took: time.Since(began), failures: map[string]int{}}
	if err := ctx.Err(); err != nil {
		return sample{}, fmt.Errorf("load %s: %w", l.side.name(), err)
	}
	if err := l.side.settle(ctx); err != nil {
		return sample{}, fmt.Errorf("wait for %s: %w", l.side.name(), err)
	}
	got.settled = time.Since(began)
	round := slices.Concat(each...)
	l.placed = append(l.placed, round...)
	for _, o := range round {
		if o.failure != "" {
			got.failures[o.failure]++
			continue
		}
		got.accepted++
		got.latencies = append(got.latencies, o.took)
	}
	slices.Sort(got.latencies)
	return got, nil
}

func (s sample) rate() float64 { return float64(s.accepted) / s.took.Seconds() }

func (s sample) settledRate() float64 { return float64(s.accepted) / s.settled.Seconds() }
