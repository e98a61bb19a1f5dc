// Package rollout measures what a service's callers notice of a deployment: it
// keeps a steady load on the gateway while releases roll out, and counts every
// request that was not answered as it should be.
package rollout

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"time"

	vegeta "github.com/tsenart/vegeta/v12/lib"
)

// Config says what to load and what to roll out meanwhile.
type Config struct {
	// URL is what is read over and over.
	URL string
	// Token is sent with each request; empty sends none.
	Token string
	// Rate is the load in requests per second.
	Rate int
	// Deploys is how many rollouts follow one another.
	Deploys int
	// MinRequests is how many requests are sent at least: when the rollouts
	// are through before, the load goes on.
	MinRequests int
	// Deploy rolls the n-th release out, n from 1, and returns at its end.
	Deploy func(ctx context.Context, n int) error
}

// Report is what was measured.
type Report struct {
	Requests, Failures uint64
	P50, P99, Max      time.Duration
	Deploys            []time.Duration
	// Errors are the distinct failures that were seen, first ones first.
	Errors []string
	// Codes counts answers by status; 0 stands for no answer at all.
	Codes map[int]int
}

// maxErrors bounds how many distinct failures are kept.
const maxErrors = 10

// Run puts the load on, rolls out, and reports. A failed request is no error
// of Run; a failed rollout is.
func Run(ctx context.Context, cfg Config) (Report, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	load := startLoad(cfg)
	defer load.stop()
	var report Report
	for n := 1; n <= cfg.Deploys; n++ {
		if err := load.waitFor(ctx, uint64(max(cfg.Rate, 0))); err != nil { // about a second of quiet between two
			return Report{}, err
		}
		began := time.Now()
		if err := cfg.Deploy(ctx, n); err != nil {
			return Report{}, fmt.Errorf("roll out release %d: %w", n, err)
		}
		report.Deploys = append(report.Deploys, time.Since(began))
	}
	seen := load.seen()
	if missing := uint64(max(cfg.MinRequests, 0)); missing > seen {
		if err := load.waitFor(ctx, missing-seen); err != nil {
			return Report{}, err
		}
	}
	load.stop()
	load.fill(&report)
	return report, nil
}

// load is a running attack and what came back of it.
type load struct {
	attacker *vegeta.Attacker
	done     chan struct{}
	stopOnce sync.Once

	mu      sync.Mutex
	cond    *sync.Cond
	metrics vegeta.Metrics
	codes   map[int]int
	failed  uint64
	count   uint64
	errors  []string
}

func startLoad(cfg Config) *load {
	l := &load{
		attacker: vegeta.NewAttacker(vegeta.KeepAlive(true), vegeta.Timeout(10*time.Second), vegeta.Redirects(vegeta.NoFollow)),
		done:     make(chan struct{}),
		codes:    map[int]int{},
	}
	l.cond = sync.NewCond(&l.mu)
	request := vegeta.Target{Method: http.MethodGet, URL: cfg.URL, Header: http.Header{}}
	if cfg.Token != "" {
		request.Header.Set("Authorization", "Bearer "+cfg.Token)
	}
	target := vegeta.NewStaticTargeter(request)
	results := l.attacker.Attack(target, vegeta.Rate{Freq: cfg.Rate, Per: time.Second}, 0, "rollout")
	go func() {
		defer close(l.done)
		for r := range results {
			l.add(r)
		}
		l.cond.Broadcast()
	}()
	return l
}

func (l *load) add(r *vegeta.Result) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.metrics.Add(r)
	l.count++
	l.codes[int(r.Code)]++
	if r.Code != http.StatusOK {
		l.failed++
		text := fmt.Sprintf("%d %s", r.Code, r.Error)
		if len(l.errors) < maxErrors && !slices.Contains(l.errors, text) {
			l.errors = append(l.errors, text)
		}
	}
	l.cond.Broadcast()
}

func (l *load) seen() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.count
}

var errStopped = errors.New("the load stopped by itself")

// waitFor waits until n more requests have come back.
func (l *load) waitFor(ctx context.Context, n uint64) error {
	wake := context.AfterFunc(ctx, l.cond.Broadcast)
	defer wake()
	l.mu.Lock()
	defer l.mu.Unlock()
	for until := l.count + n; l.count < until; l.cond.Wait() {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		select {
		case <-l.done:
			return errStopped
		default:
		}
	}
	return nil
}

func (l *load) stop() {
	l.stopOnce.Do(func() {
		l.attacker.Stop()
		<-l.done
	})
}

func (l *load) fill(r *Report) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.metrics.Close()
	r.Requests, r.Failures = l.count, l.failed
	r.P50, r.P99, r.Max = l.metrics.Latencies.P50, l.metrics.Latencies.P99, l.metrics.Latencies.Max
	r.Errors, r.Codes = l.errors, l.codes
}

// Print writes the report for people.
func (r Report) Print(w io.Writer) {
	fmt.Fprintf(w, "requests  %d\nfailures  %d\n", r.Requests, r.Failures)
	fmt.Fprintf(w, "latency   p50 %s  p99 %s  max %s\n", r.P50.Round(10*time.Microsecond), r.P99.Round(10*time.Microsecond), r.Max.Round(10*time.Microsecond))
	for i, d := range r.Deploys {
		fmt.Fprintf(w, "deploy %d  %.2f s\n", i+1, d.Seconds())
	}
	for _, e := range r.Errors {
		fmt.Fprintf(w, "  failure: %s\n", e)
	}
}
