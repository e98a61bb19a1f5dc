// Package request measures what the runtime adds to a request: the catalog
// reading one product by its key, beside a bare net/http handler that gives the
// same answer out of the same table.
//
// All programs run at once and are loaded in turn, round by round, because a
// machine is faster one minute and slower the next: ratios within a round hold
// where requests per second do not. Nothing outside a temporary folder is
// written, save Go's build cache.
package request

import (
	"context"
	"fmt"
	"io"
	"os"
	"runtime"
	"time"
)

// What is measured with.
const (
	connections = 64
	products    = 1000
	poolSize    = 16
	warmUp      = 2 * time.Second
)

// Config says how long to measure. The zero value suits.
type Config struct {
	// Root is the checkout. Required.
	Root string
	// Rounds and Seconds are how often each program is loaded, and for how long;
	// 0 stands for 5 rounds of 4 seconds.
	Rounds, Seconds int
	// Generator makes the load: Builtin, which "" stands for, or Wrk.
	Generator string
	// Profile, where set, is a file that gets a CPU profile of the catalog under
	// load with 5 % of requests traced, taken apart from the rounds.
	Profile string
	// Progress hears what happens; nil discards.
	Progress io.Writer
}

// Run measures. It ends early, leaving nothing behind, when ctx is done.
func Run(ctx context.Context, cfg Config) (*Report, error) {
	if cfg.Rounds <= 0 {
		cfg.Rounds = 5
	}
	if cfg.Seconds <= 0 {
		cfg.Seconds = 4
	}
	if cfg.Generator == "" {
		cfg.Generator = Builtin
	}
	if cfg.Progress == nil {
		cfg.Progress = io.Discard
	}
	temp, err := os.MkdirTemp("", "slipway-bench-")
	if err != nil {
		return nil, fmt.Errorf("make folder: %w", err)
	}
	defer func() { _ = os.RemoveAll(temp) }()
	// The user that PostgreSQL runs as when started by root walks through.
	if err := os.Chmod(temp, 0o755); err != nil { //nolint:gosec // see above
		return nil, fmt.Errorf("open folder: %w", err)
	}
	e, err := newEnvironment(ctx, cfg.Root, temp, cfg.Progress)
	if err != nil {
		return nil, err
	}
	defer e.stop(ctx)
	by, err := cfg.generator(temp)
	if err != nil {
		return nil, err
	}
	subjects, err := e.subjects(ctx)
	defer func() {
		for _, s := range subjects {
			s.stop()
		}
	}()
	if err != nil {
		return nil, err
	}
	if err := agree(subjects); err != nil {
		return nil, err
	}
	report, err := measure(ctx, cfg, by, subjects)
	if err != nil {
		return nil, err
	}
	return report, complete(subjects)
}

// generator is the one that is asked for.
func (c Config) generator(folder string) (generator, error) {
	switch c.Generator {
	case Builtin:
		return builtin, nil
	case Wrk:
		program, script, err := findWrk(folder)
		return byWrk(program, script), err
	default:
		return nil, fmt.Errorf("choose generator: there is no %q\nnext: use --generator=%s or --generator=%s", c.Generator, Builtin, Wrk)
	}
}

// complete stops the subjects and checks that their logs hold every request.
func complete(subjects []*subject) error {
	for _, s := range subjects {
		s.stop()
		if lines := s.log.lines(); s.logs && lines < s.requests.Load() {
			return fmt.Errorf("%s wrote %d log lines for %d requests", s.name, lines, s.requests.Load())
		}
	}
	return nil
}

// measure warms every subject up and loads them in turn, each round beginning
// with another one.
func measure(ctx context.Context, cfg Config, by generator, subjects []*subject) (*Report, error) {
	for _, s := range subjects {
		fmt.Fprintf(cfg.Progress, "warm up %s\n", s.name)
		if _, err := s.load(ctx, by, warmUp); err != nil {
			return nil, err
		}
	}
	if cfg.Profile != "" {
		if err := profile(ctx, cfg, by, subjects[traced]); err != nil {
			return nil, err
		}
	}
	r := &Report{
		Processors: runtime.NumCPU(), Connections: connections, Products: products, Pool: poolSize,
		Rounds: cfg.Rounds, Seconds: cfg.Seconds, Generator: cfg.Generator,
	}
	samples := make([][]sample, len(subjects))
	for round := range cfg.Rounds {
		for i := range subjects {
			n := (round + i) % len(subjects)
			got, err := subjects[n].load(ctx, by, time.Duration(cfg.Seconds)*time.Second)
			if err != nil {
				return nil, err
			}
			samples[n] = append(samples[n], got)
			fmt.Fprintf(cfg.Progress, "round %d: %-28s %6.0f requests/s, p99 %5.1f ms, %5.1f us of processor\n",
				round+1, subjects[n].name, got.rate(), milliseconds(got.p99), got.cpu())
		}
	}
	for n, s := range subjects {
		r.Rows = append(r.Rows, rowOf(s.name, samples[n], samples[0]))
	}
	return r, nil
}
