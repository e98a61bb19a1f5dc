package model_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/jonboulle/clockwork"

	"github.com/slipway-dev/slipway/platform/kit/contract"
	"github.com/slipway-dev/slipway/platform/kit/event"
	"github.com/slipway-dev/slipway/platform/kit/rollout"
)

// answer is what becomes of a kit's call.
type answer int

const (
	goOn   answer = iota
	refuse        // it has no effect and fails, as a throttled one does
	lose          // it takes effect and the answer is lost
	kill          // the kit dies before it
	bury          // the kit dies after it took effect
)

var (
	errThrottled = errors.New("ThrottlingException: Rate exceeded")
	errLost      = fmt.Errorf("connection reset: %w", rollout.ErrUncertain)
	errDead      = errors.New("the kit is dead")
	errWatched   = errors.New("it was a watcher")
)

// kit is one command of somebody, in a goroutine of its own that stands still
// at each call to ECS and each wait until it is told what becomes of it.
type kit struct {
	rollout.ECS
	clockwork.Clock

	w       *world
	name    string
	asks    chan string
	answers chan answer
	ended   chan struct{}
	cancel  func()
	dead    bool
	over    bool
	until   time.Time // the wait's end
	pending string    // what it stands before; "" when over
	calls   []string
	began   []string // deployments that its updates began
	plan    rollout.Plan
	verdict rollout.Verdict
	err     error
}

func (k *kit) String() string {
	switch {
	case k.dead:
		return k.name + " was killed"
	case !k.over:
		return k.name + " stands before " + k.pending
	case k.err != nil:
		return k.name + " ended with " + k.err.Error()
	default:
		return fmt.Sprintf("%s ended with %s of %s: %s", k.name, k.verdict.Outcome, k.verdict.Deployment, k.verdict.Summary)
	}
}

type work func(ctx context.Context, d *rollout.Deployer) (rollout.Plan, error)

func deploy(digit string, opts rollout.Options) work {
	return func(ctx context.Context, d *rollout.Deployer) (rollout.Plan, error) {
		return d.Plan(ctx, "web", release(digit), opts)
	}
}

func rollback(to string) work {
	return func(ctx context.Context, d *rollout.Deployer) (rollout.Plan, error) {
		return d.PlanRollback(ctx, "web", to, rollout.Options{})
	}
}

// begin types a command; it stands before its first call then.
func (w *world) begin(name string, plan work) *kit {
	w.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	k := &kit{
		ECS: w.client, Clock: w.clock, w: w, name: name, cancel: cancel,
		asks: make(chan string), answers: make(chan answer), ended: make(chan struct{}),
	}
	d, err := rollout.New(rollout.Config{
		Environment: "local", Local: true, Platform: "linux/amd64", ECS: k, Clock: k,
		Images: around{w}, Secrets: around{w}, Contracts: around{w}, Logs: around{w}, Alarms: around{w},
		Pace: func(int) time.Duration { return 10 * time.Second },
	})
	w.must(err)
	go func() {
		defer close(k.ended)
		if k.plan, k.err = plan(ctx, d); k.err == nil {
			k.verdict, k.err = d.Apply(ctx, k.plan, event.Discard())
		}
	}()
	w.kits = append(w.kits, k)
	k.await()
	return k
}

// await waits until the kit stands before something, or is over.
func (k *kit) await() {
	patience := time.NewTimer(20 * time.Second)
	defer patience.Stop()
	select {
	case k.pending = <-k.asks:
	case <-k.ended:
		k.pending, k.over = "", true
	case <-patience.C:
		k.w.Fatalf("%s does not come back from %s", k.name, k.pending)
	}
}

// step lets the kit go on to what it does next. Time passes when it waits.
func (k *kit) step(a answer) {
	if k.over {
		return
	}
	if a == kill || a == bury {
		k.dead = true
	}
	if k.pending == "wait" {
		if d := k.until.Sub(k.w.clock.Now()); d > 0 {
			k.w.clock.Advance(d)
			k.w.sched.Tick()
		}
	}
	k.w.clock.Advance(time.Millisecond) // no two calls are made at the same time
	k.answers <- a
	k.await()
	if k.dead { // it is gone: nothing that it asks for happens
		for !k.over {
			k.cancel()
			k.answers <- kill
			k.await()
		}
	}
}

// run lets the kit go on to its end.
func (k *kit) run() *kit {
	for n := 0; !k.over; n++ {
		if n > 4000 {
			k.w.Fatalf("%s does not end\n%s", k.name, k.w.story())
		}
		k.step(goOn)
	}
	return k
}

// ask stands still before a call, makes it if it may, and fails it if it must.
func (k *kit) ask(name string, call func() error) error {
	k.asks <- name
	k.calls = append(k.calls, name)
	switch <-k.answers {
	case refuse:
		return errThrottled
	case lose:
		if err := call(); err != nil {
			return err
		}
		return errLost
	case bury:
		_ = call() // nobody hears
		return errDead
	case kill:
		return errDead
	default:
		return call()
	}
}

// After implements [clockwork.Clock].
func (k *kit) After(d time.Duration) <-chan time.Time {
	k.until = k.Now().Add(d)
	_ = k.ask("wait", func() error { return nil })
	fired := make(chan time.Time, 1)
	fired <- k.Now()
	return fired
}

func (k *kit) Service(ctx context.Context, cluster, service string) (s rollout.Service, err error) {
	err = k.ask("Service", func() error { s, err = k.ECS.Service(ctx, cluster, service); return err })
	return s, err
}

func (k *kit) TaskDefinition(ctx context.Context, name string) (td rollout.TaskDefinition, err error) {
	err = k.ask("TaskDefinition", func() error { td, err = k.ECS.TaskDefinition(ctx, name); return err })
	return td, err
}

func (k *kit) Register(ctx context.Context, definition json.RawMessage) (td rollout.TaskDefinition, err error) {
	err = k.ask("Register", func() error { td, err = k.ECS.Register(ctx, definition); return err })
	return td, err
}

func (k *kit) Deregister(ctx context.Context, arn string) error {
	return k.ask("Deregister", func() error { return k.ECS.Deregister(ctx, arn) })
}

func (k *kit) Update(ctx context.Context, u rollout.Update) (s rollout.Service, err error) {
	err = k.ask("Update", func() error {
		before := aws.ToString(k.w.service().CurrentServiceDeployment)
		s, err = k.ECS.Update(ctx, u)
		if now := aws.ToString(k.w.service().CurrentServiceDeployment); now != before {
			k.began = append(k.began, last(now))
		}
		return err
	})
	return s, err
}

func (k *kit) Deployments(ctx context.Context, cluster, service string, limit int) (list []rollout.Deployment, err error) {
	err = k.ask("Deployments", func() error {
		list, err = k.ECS.Deployments(ctx, cluster, service, limit)
		return err
	})
	return list, err
}

func (k *kit) Tasks(ctx context.Context, q rollout.TaskQuery) (list []rollout.Task, err error) {
	err = k.ask("Tasks", func() error { list, err = k.ECS.Tasks(ctx, q); return err })
	return list, err
}

func (k *kit) Task(ctx context.Context, cluster, arn string) (t rollout.Task, err error) {
	err = k.ask("Task", func() error { t, err = k.ECS.Task(ctx, cluster, arn); return err })
	return t, err
}

func (k *kit) Run(ctx context.Context, r rollout.Run) (t rollout.Task, err error) {
	err = k.ask("Run", func() error { t, err = k.ECS.Run(ctx, r); return err })
	return t, err
}

// around is what else a deployer asks, always there.
type around struct{ w *world }

func (around) Platforms(context.Context, string, string) ([]string, error) {
	return []string{"linux/amd64"}, nil
}
func (around) Check(context.Context, string) error { return nil }
func (a around) Contract(context.Context, string, string) (contract.Contract, error) {
	return a.w.shell, nil
}

func (around) Tail(context.Context, string, string, int) ([]rollout.LogEvent, error) {
	return nil, nil
}

func (around) Filter(context.Context, rollout.LogQuery) (rollout.LogPage, error) {
	return rollout.LogPage{}, nil
}

func (a around) Alarms(_ context.Context, names []string) ([]rollout.Alarm, error) {
	firing, err := a.w.alarms.Firing(names)
	return []rollout.Alarm{{Name: "errors", Firing: len(firing) > 0, Reason: "too many errors"}}, err
}
