package model_test

import (
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"pgregory.net/rapid"

	"github.com/slipway-dev/slipway/platform/kit/internal/awsx/model"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/scheduler/fake"
	"github.com/slipway-dev/slipway/platform/kit/rollout"
)

// machine lets several people and all of misfortune at one service.
type machine struct {
	*world

	rt     *rapid.T
	typed  int
	states map[string]model.State // of each deployment, when last looked at
	hurt   bool                   // tasks were taken away since all was steady
}

func (m *machine) draw(n int, label string) int { return rapid.IntRange(0, n-1).Draw(m.rt, label) }

// some is one of the commands that are not over.
func (m *machine) some() *kit {
	var open []*kit
	for _, k := range m.kits {
		if !k.over {
			open = append(open, k)
		}
	}
	if len(open) == 0 {
		return nil
	}
	return open[m.draw(len(open), "who")]
}

// steps are everything that can happen, the frequent ones more than once.
func (m *machine) steps() map[string]func() {
	walk := func() {
		for range rapid.SampledFrom([]int{1, 4, 16, 40}).Draw(m.rt, "calls") {
			if k := m.some(); k != nil {
				k.step(goOn)
			}
		}
	}
	rush := func() { // until its deployment is under way
		if k := m.some(); k != nil {
			for n := 0; n < 60 && !k.over && len(k.began) == 0; n++ {
				k.step(goOn)
			}
		}
	}
	// misfortune strikes some way into a command, as often at its update as at
	// any of the looks before.
	misfortune := func() {
		k := m.some()
		if k == nil {
			return
		}
		for n := m.draw(30, "calls before"); n > 0 && !k.over; n-- {
			k.step(goOn)
		}
		if rapid.Bool().Draw(m.rt, "at the update") {
			for n := 0; n < 60 && !k.over && k.pending != "Update"; n++ {
				k.step(goOn)
			}
		}
		k.step(rapid.SampledFrom([]answer{refuse, lose, kill, bury}).Draw(m.rt, "answer"))
	}
	return map[string]func(){
		"deploy": m.deploy, "deploy too": m.deploy, "deploy as well": m.deploy, "roll back": func() { m.command("rollback", rollback("")) },
		"watch": func() { m.command("watch", nil) },
		"walk":  walk, "walk on": walk, "walk further": walk, "walk along": walk,
		"rush": rush, "rush on": rush,
		"overtake": func() { m.deploy(); rush() }, "overtake again": func() { m.deploy(); rush() },
		"misfortune": misfortune,
		"time":       func() { m.pass(time.Duration(1+m.draw(90, "seconds")) * time.Second) },
		"fire":       func() { m.alarms.Fire("errors") },
		"calm":       func() { m.alarms.Fire() },
		"restart":    m.restartAny,
		"stop task":  m.stopTask,
		"configure":  m.configure,
		"migration": func() {
			m.act["migrate"] = []fake.Behaviour{fake.Finish, fake.Finish, fake.Crash}[m.draw(3, "migration")]
		},
	}
}

func (m *machine) command(name string, w work) {
	open := 0
	for _, k := range m.kits {
		if !k.over {
			open++
		}
	}
	if open >= 4 {
		return
	}
	m.typed++
	k := fmt.Sprintf("%s %d", name, m.typed)
	if w == nil {
		w = watching
	}
	m.begin(k, w)
}

// watching plans what a watcher does: nothing but look at the newest deployment.
func watching(ctx context.Context, d *rollout.Deployer) (rollout.Plan, error) {
	_, err := d.Watch(ctx, "web", rollout.Options{}, nil)
	if err == nil {
		err = errWatched
	}
	return rollout.Plan{}, err
}

func (m *machine) deploy() {
	digit := fmt.Sprint(2 + m.draw(5, "release"))
	opts := rollout.Options{IfBusy: rollout.Supersede, Force: m.draw(8, "force") == 0}
	if m.draw(4, "busy") == 0 {
		opts.IfBusy = rollout.Refuse
	}
	if m.draw(4, "calm") > 0 {
		m.alarms.Fire() // with one firing every deploy is refused
	}
	m.command("deploy "+digit, deploy(digit, opts))
}

func (m *machine) restartAny() {
	m.hurt = true
	var adopted []string
	for _, arn := range m.runtime.Alive() {
		if m.draw(2, "adopt") == 0 {
			adopted = append(adopted, arn)
		}
	}
	m.restart(adopted...)
}

func (m *machine) stopTask() {
	if live := m.live(); len(live) > 0 {
		m.hurt = true
		arn := live[m.draw(len(live), "task")].TaskArn
		_, err := m.sched.StopTask(context.Background(), &ecs.StopTaskInput{Cluster: aws.String("local"), Task: arn})
		m.must(err)
	}
}

// configure changes the strategy, as the owner of the shell may at any time.
func (m *machine) configure() {
	all := strategies()
	names := slices.Sorted(maps.Keys(all))
	_, err := m.sched.UpdateService(context.Background(), &ecs.UpdateServiceInput{
		Cluster: aws.String("local"), Service: aws.String("web"),
		DeploymentConfiguration: all[names[m.draw(len(names), "strategy")]](),
	})
	m.must(err)
}

// check holds after every step.
func (m *machine) check() {
	m.checkTraffic()
	list := m.deployments()
	for i, d := range list {
		id, now := last(*d.ServiceDeploymentArn), model.Of(string(d.Status), i < len(list)-1)
		before, known := m.states[id]
		if !known {
			before = model.Shifting
		}
		if !before.Leads(now) {
			m.Fatalf("deployment %s went from %s to %s\n%s", id, before, now, m.story())
		}
		m.states[id] = now
	}
	for _, k := range m.kits {
		m.checkTruth(k)
	}
	if n := m.answering(); n < desired && !m.hurt {
		m.Fatalf("%d of %d tasks answer, and none was taken away\n%s", n, desired, m.story())
	}
}

// TestAnyScheduleEndsWholeAndTold: whatever happens, no request is without a
// task, every command says what became of its deployment, and in the end one
// release has everything.
func TestAnyScheduleEndsWholeAndTold(t *testing.T) {
	t.Parallel()
	dir, n := t.TempDir(), 0
	rapid.Check(t, func(rt *rapid.T) {
		n++
		names := slices.Sorted(maps.Keys(strategies()))
		strategy := rapid.SampledFrom(names).Draw(rt, "first strategy")
		w := newWorld(rt, filepath.Join(dir, fmt.Sprint(n)), strategies()[strategy](), rapid.Bool().Draw(rt, "migrates"))
		defer w.close()
		m := &machine{world: w, rt: rt, states: map[string]model.State{}}
		w.act["4"], w.act["5"], w.sick["6"] = fake.Crash, fake.NoImage, true
		w.begin("first", deploy("1", rollout.Options{})).run()
		w.steady()
		defer m.bury()
		steps := m.steps()
		order := slices.Sorted(maps.Keys(steps))
		for range rapid.SampledFrom([]int{10, 25, 40}).Draw(rt, "steps") {
			steps[rapid.SampledFrom(order).Draw(rt, "step")]()
			m.check()
		}
		m.alarms.Fire()
		m.act["migrate"] = fake.Finish
		for _, k := range m.kits {
			k.run()
			m.check()
		}
		m.steady()
		m.check()
		m.checkWhole()
	})
}

// bury ends the commands that a failed run leaves behind.
func (m *machine) bury() {
	for _, k := range m.kits {
		k.step(kill)
	}
}
