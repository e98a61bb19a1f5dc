package scheduler_test

import (
	"context"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"pgregory.net/rapid"

	"github.com/slipway-dev/slipway/platform/kit/localcluster/scheduler"
)

// steps are everything that can happen.
func (m *machine) steps() map[string]func() {
	step := func(fn func()) func() {
		return func() {
			m.harm = 0
			if m.besides {
				m.harm = m.ailing()
			}
			m.clean = m.fit()
			before := m.atLeast(m.healthy())
			fn()
			m.idle()
			m.check(before)
		}
	}
	return map[string]func(){
		"deploy":    step(m.deployAny),
		"force":     step(func() { m.update(func(in *ecs.UpdateServiceInput) { in.ForceNewDeployment = true }) }),
		"configure": step(m.configure),
		"scale":     step(m.scale),
		"crash": step(func() {
			if arn, some := m.pick(m.runtime.Alive(), "task"); some {
				m.harm++
				m.runtime.Exit(arn, 1)
			}
		}),
		"flip": step(m.flip),
		"up": step(func() {
			if arn, some := m.pick(m.runtime.Alive(), "task"); some {
				m.runtime.Up(arn)
			}
		}),
		"stop task": step(func() {
			if arn, some := m.pick(m.runtime.Alive(), "task"); some {
				m.harm++
				m.must(m.s.StopTask(context.Background(), &ecs.StopTaskInput{Cluster: aws.String("test"), Task: aws.String(arn)}))
			}
		}),
		"time": step(func() {
			m.clock.Advance(time.Duration(rapid.IntRange(1, 60).Draw(m.rt, "seconds")) * time.Second)
			m.s.Tick()
		}),
		"slow": step(func() {
			m.targets.Busy, m.runtime.Linger = rapid.Bool().Draw(m.rt, "busy"), rapid.Bool().Draw(m.rt, "linger")
		}),
		"finish":  step(m.finishStops),
		"restart": step(m.restartAny),
		"die":     step(m.die),
	}
}

func (m *machine) deployAny() {
	images := []string{"run", "wait", "crash", "noimage", "sick"}
	if m.service().DesiredCount == 0 {
		images = images[:2] // with no task to run, even a broken image completes
	}
	definition := m.image(rapid.SampledFrom(images).Draw(m.rt, "image"))
	m.update(func(in *ecs.UpdateServiceInput) {
		in.TaskDefinition = aws.String(definition)
		if m.besides {
			in.DeploymentConfiguration = m.strategy()
		}
	})
}

func (m *machine) configure() {
	low := int32(rapid.SampledFrom([]int{0, 50, 100}).Draw(m.rt, "min"))
	high := int32(rapid.SampledFrom([]int{150, 200, 300}).Draw(m.rt, "max"))
	m.bound(low, high)
}

func (m *machine) bound(low, high int32) {
	m.update(func(in *ecs.UpdateServiceInput) {
		in.DeploymentConfiguration = &types.DeploymentConfiguration{MinimumHealthyPercent: aws.Int32(low), MaximumPercent: aws.Int32(high)}
	})
}

func (m *machine) scale() {
	least := 0
	if bad(m.images[*m.service().TaskDefinition]) {
		least = 1
	}
	n := int32(rapid.IntRange(least, 4).Draw(m.rt, "desired"))
	m.update(func(in *ecs.UpdateServiceInput) { in.DesiredCount = aws.Int32(n) })
}

func (m *machine) flip() {
	// What gets no traffic is left alone: its ills would show only later, in a
	// step that is not to blame for them.
	targets := m.registered()
	if shares := m.targets.Shares(rule); len(shares) > 0 {
		targets = nil
		for _, g := range []string{group, green} {
			if shares[g] > 0 {
				targets = append(targets, m.targets.Registered(g)...)
			}
		}
	}
	id, some := m.pick(targets, "target")
	if !some {
		return
	}
	states := []string{scheduler.TargetInitial, scheduler.TargetUnhealthy}
	if m.fitness(id) == scheduler.TargetHealthy {
		states = append(states, scheduler.TargetHealthy)
	}
	m.harm++
	health := rapid.SampledFrom(states).Draw(m.rt, "health")
	m.targets.Set(group, id, health)
	m.targets.Set(green, id, health)
}

// finishStops lets everything that is draining or stopping come to its end.
func (m *machine) finishStops() {
	m.targets.Drain()
	// The scheduler notes each drained target from a goroutine of its own.
	m.await(func() bool { return len(m.tasks("DEACTIVATING")) == 0 && m.s.Idle() })
	for _, arn := range m.runtime.Stopping() {
		m.runtime.Exit(arn, 143)
	}
}

func (m *machine) restartAny() {
	m.harm += len(m.live())
	var adopted []string
	for _, arn := range m.runtime.Alive() {
		if rapid.Bool().Draw(m.rt, "adopt") {
			adopted = append(adopted, arn)
		}
	}
	m.restart(adopted...)
}

// die ends the process between the commit of a request and its effects.
func (m *machine) die() {
	m.idle()
	m.runtime.Deaf, m.targets.Deaf = true, true
	m.deployAny()
	m.runtime.Deaf, m.targets.Deaf = false, false
	m.restartAny()
}
