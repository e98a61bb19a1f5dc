// Package deploy measures a deploy beside what cannot be done without: a bare go
// build and, where traffic is looked at, the start of its program. Commands are
// run as users run them, in a copy of the checkout with a cluster of its own;
// a client that polls the gateway says when traffic has moved.
//
// The figures come in pairs taken in turn within one run, because a machine is
// faster one minute and slower the next: ratios and differences hold where
// seconds do not.
package deploy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/slipway-dev/slipway/platform/kit/bench/figures"
	"github.com/slipway-dev/slipway/platform/kit/bench/sandbox"
	"github.com/slipway-dev/slipway/platform/kit/internal/awsx"
	"github.com/slipway-dev/slipway/platform/kit/manifest"
)

// Config says what to measure.
type Config struct {
	// Root is the checkout. Required.
	Root string
	// Runs is the number of pairs; 0 stands for 5. Rollbacks, which take longer,
	// are measured at most three times each.
	Runs int
	// Progress hears what happens; nil discards.
	Progress io.Writer
}

const (
	defaultRuns   = 5
	rollbackRuns  = 3
	quietLimit    = time.Minute
	quietLook     = time.Second
	alarmStrategy = "{strategy: canary, bake: 0m, alarms: [errors]}"
)

// bench is a measurement under way.
type bench struct {
	box      *sandbox.Sandbox
	floor    *floor
	url      string // of what tells the releases apart
	serial   int    // of the release that was made last
	progress io.Writer
}

// Run measures. It ends early, leaving nothing behind, when ctx is done.
func Run(ctx context.Context, cfg Config) (report *Report, err error) {
	if cfg.Runs <= 0 {
		cfg.Runs = defaultRuns
	}
	if cfg.Progress == nil {
		cfg.Progress = io.Discard
	}
	box, err := sandbox.New(ctx, sandbox.Config{Root: cfg.Root, Progress: cfg.Progress})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, box.Close(ctx)) }()
	b := &bench{box: box, progress: cfg.Progress}
	if err := b.prepare(ctx); err != nil {
		return nil, err
	}
	var m measured
	for _, part := range []func(context.Context, int, *measured) error{b.changes, b.nothingNew, b.unhealthy, b.alarming} {
		if err := part(ctx, cfg.Runs, &m); err != nil {
			return nil, err
		}
	}
	info, err := box.Info(ctx)
	if err != nil {
		return nil, err
	}
	m.cluster = sandbox.Peak(info.PID)
	return m.report(cfg.Runs), nil
}

// prepare starts the cluster and does everything once that is not counted.
func (b *bench) prepare(ctx context.Context) error {
	if err := b.next(); err != nil {
		return err
	}
	if err := b.box.Up(ctx); err != nil {
		return err
	}
	info, err := b.box.Info(ctx)
	if err != nil {
		return err
	}
	b.url = info.Gateway + sandbox.Path
	fmt.Fprintln(b.progress, "warm up")
	if b.floor, err = newFloor(ctx, b.box); err != nil {
		return err
	}
	if _, err := b.floor.start(ctx); err != nil {
		return err
	}
	_, err = b.change(ctx)
	return err
}

// next changes the source to that of another release.
func (b *bench) next() error {
	b.serial++
	return b.box.Change(b.serial)
}

// changed is one deploy of a change.
type changed struct {
	course course
	result sandbox.Result
	shift  shift
}

// change deploys a changed line, and watches the traffic.
func (b *bench) change(ctx context.Context) (changed, error) {
	if err := b.next(); err != nil {
		return changed{}, err
	}
	polled := startPoller(ctx, b.url)
	r, err := b.box.Mage(ctx, quickenAtPlan(polled), "deploy", "local", sandbox.Service)
	answers := polled.stop()
	if err != nil {
		return changed{}, err
	}
	if err := r.Want("deploy", 0); err != nil {
		return changed{}, err
	}
	s, err := shiftTo(answers, sandbox.MarkOf(b.serial))
	if err == nil && s.failures > 0 {
		err = fmt.Errorf("%d of the client's requests failed", s.failures)
	}
	return changed{courseOf(r), r, s}, err
}

// bare is what cannot be done without, for one change.
type bare struct{ build, start time.Duration }

func (b *bench) bare(ctx context.Context) (t bare, err error) {
	if err := b.next(); err != nil {
		return t, err
	}
	if t.build, err = b.floor.build(ctx); err != nil {
		return t, err
	}
	t.start, err = b.floor.start(ctx)
	return t, err
}

// changes measures deploys of one changed line, each beside its floor; which of
// the two comes first changes from pair to pair.
func (b *bench) changes(ctx context.Context, runs int, m *measured) error {
	for n := range runs {
		var floor bare
		var ours changed
		first := func() (err error) { floor, err = b.bare(ctx); return err }
		second := func() (err error) { ours, err = b.change(ctx); return err }
		if n%2 == 1 {
			first, second = second, first
		}
		if err := first(); err != nil {
			return err
		}
		if err := second(); err != nil {
			return err
		}
		m.addChange(floor, ours)
		fmt.Fprintf(b.progress, "change %d of %d: go build %.2f s, all traffic on the new release after %.2f s\n",
			n+1, runs, floor.build.Seconds(), ours.shift.alone.Sub(ours.result.Began).Seconds())
	}
	return nil
}

// nothingNew measures deploys of what runs already.
func (b *bench) nothingNew(ctx context.Context, runs int, m *measured) error {
	if _, err := b.floor.build(ctx); err != nil { // of what was deployed last
		return err
	}
	for n := range runs {
		floor, err := b.floor.build(ctx)
		if err != nil {
			return err
		}
		r, err := b.box.Mage(ctx, nil, "deploy", "local", sandbox.Service)
		if err != nil {
			return err
		}
		if err := r.Want("deploy of nothing new", 0); err != nil {
			return err
		}
		fmt.Fprintf(b.progress, "nothing new %d of %d: %.2f s\n", n+1, runs, r.Took().Seconds())
		m.noneFloor, m.noneOurs = append(m.noneFloor, floor.Seconds()), append(m.noneOurs, r.Took().Seconds())
		m.none = m.none.Larger(r.Memory)
	}
	return nil
}

// unhealthy measures how a release that fails its health check is put back.
func (b *bench) unhealthy(ctx context.Context, runs int, m *measured) error {
	mark := sandbox.MarkOf(b.serial)
	for n := range min(runs, rollbackRuns) {
		back, err := b.rollBack(ctx, true, mark)
		if err != nil {
			return err
		}
		fmt.Fprintf(b.progress, "failing health check %d: put back in %.2f s\n", n+1, back.over)
		m.unhealthy = append(m.unhealthy, back)
	}
	return nil
}

// alarming measures how a release that fails requests is put back by its alarm.
func (b *bench) alarming(ctx context.Context, runs int, m *measured) error {
	if err := b.next(); err != nil {
		return err
	}
	mark := sandbox.MarkOf(b.serial)
	if err := b.box.Deploy(ctx, alarmStrategy); err != nil {
		return err
	}
	r, err := b.box.Mage(ctx, nil, "deploy", "local", sandbox.Service)
	if err != nil {
		return err
	}
	if err := r.Want("deploy", 0); err != nil {
		return err
	}
	for n := range min(runs, rollbackRuns) {
		if err := b.quiet(ctx); err != nil {
			return err
		}
		back, err := b.rollBack(ctx, false, mark)
		if err != nil {
			return err
		}
		fmt.Fprintf(b.progress, "failing requests %d: last bad answer after %.2f s, put back in %.2f s\n", n+1, back.traffic, back.over)
		m.alarming = append(m.alarming, back)
	}
	return nil
}

// quiet waits until the alarm is over: no deploy begins before that.
func (b *bench) quiet(ctx context.Context) error {
	_, env, err := b.box.Workspace(ctx)
	if err != nil {
		return err
	}
	client, err := awsx.New(ctx, awsx.Config{Region: env.Region, Endpoint: env.Endpoint, Local: true})
	if err != nil {
		return err
	}
	limited, cancel := context.WithTimeout(ctx, quietLimit)
	defer cancel()
	tick := time.NewTicker(quietLook)
	defer tick.Stop()
	for {
		alarms, err := client.Alarms(limited, []string{manifest.AlarmName(env.Name, sandbox.Service, manifest.AlarmErrors)})
		if err != nil {
			return err
		}
		if len(alarms) == 1 && !alarms[0].Firing {
			return nil
		}
		select {
		case <-limited.Done():
			return fmt.Errorf("wait for the alarm's end: %w", limited.Err())
		case <-tick.C:
		}
	}
}

// measured is everything that the runs gave, in seconds.
type measured struct {
	build, start        []float64 // of the floor
	inProcess, signed   []float64
	begin               []float64
	lastOld, alone      []float64
	verdict, ended      []float64
	courses             []course
	noneFloor, noneOurs []float64
	unhealthy, alarming []putBack
	memory, none        sandbox.Memory
	cluster             int64
}

func (m *measured) addChange(floor bare, ours changed) {
	since := func(t time.Time) float64 { return t.Sub(ours.result.Began).Seconds() }
	c := ours.course
	m.build, m.start = append(m.build, floor.build.Seconds()), append(m.start, (floor.build+floor.start).Seconds())
	m.inProcess, m.signed = append(m.inProcess, c.built.Sub(c.building).Seconds()), append(m.signed, since(c.built))
	m.begin = append(m.begin, since(c.firstEvent))
	m.lastOld, m.alone = append(m.lastOld, since(ours.shift.lastOther)), append(m.alone, since(ours.shift.alone))
	m.verdict, m.ended = append(m.verdict, since(c.verdict)), append(m.ended, ours.result.Took().Seconds())
	m.courses = append(m.courses, c)
	m.memory = m.memory.Larger(ours.result.Memory)
}

func (m *measured) report(runs int) *Report {
	r := &Report{Service: sandbox.Service, Runs: runs, Phases: phasesOf(m.courses)}
	beside := func(ours, floor []float64, goal float64, name string, f func(a, b float64) float64) Row {
		return Row{Name: name, Seconds: figures.Of(ours), Beside: spread(figures.Pairs(ours, floor, f)), Goal: goal}
	}
	r.Change = []Row{
		{Name: "go build (floor)", Seconds: figures.Of(m.build)},
		beside(m.inProcess, m.build, buildGoal, "built, pushed, signed, with SBOM", figures.Ratio),
		beside(m.signed, m.build, buildGoal, "the same, from the command's start", figures.Ratio),
		{Name: "of that, before the kit's first event", Seconds: figures.Of(m.begin)},
	}
	r.Traffic = []Row{
		{Name: "go build, start, first healthy (floor)", Seconds: figures.Of(m.start)},
		beside(m.lastOld, m.start, 0, "last answer of the old release", figures.Difference),
		beside(m.alone, m.start, trafficGoal, "only the new release answers", figures.Difference),
		beside(m.ended, m.start, 0, "the command ends, after the bake time", figures.Difference),
	}
	r.NothingNew = []Row{
		{Name: "go build (floor)", Seconds: figures.Of(m.noneFloor)},
		beside(m.noneOurs, m.noneFloor, 0, "whole command", figures.Ratio),
	}
	r.Unhealthy, r.Alarming = backOf(m.unhealthy), backOf(m.alarming)
	r.Memory = Memory{Change: m.memory, Nothing: m.none, Cluster: m.cluster}
	return r
}

func spread(values []float64) *figures.Spread {
	s := figures.Of(values)
	return &s
}

func backOf(all []putBack) Back {
	var traffic, over []float64
	var b Back
	for _, one := range all {
		traffic, over = append(traffic, one.traffic), append(over, one.over)
		b.Failures += one.failures
	}
	b.Traffic, b.Over = figures.Of(traffic), figures.Of(over)
	return b
}
