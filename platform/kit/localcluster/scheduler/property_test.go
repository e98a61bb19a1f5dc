package scheduler_test

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"pgregory.net/rapid"

	"github.com/slipway-dev/slipway/platform/kit/localcluster/scheduler"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/scheduler/fake"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/scheduler/plan"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/task"
)

// machine drives one service through any schedule of requests, failures and
// restarts, and checks after each step what must always hold.
type machine struct {
	*world
	rt      *rapid.T
	images  map[string]string // by task definition
	harm    int               // tasks that the present step takes away
	besides bool              // the service has what the other strategies need
	peak    int               // the highest desired count so far
	clean   bool              // every target was as healthy as its image when the step began

	given map[string]map[string]float64 // how the rules were divided last
}

func newMachine(rt *rapid.T, dir string) *machine {
	w := newWorld(rt, dir)
	m := &machine{world: w, rt: rt, images: map[string]string{}, given: map[string]map[string]float64{}, besides: rapid.Bool().Draw(rt, "besides")}
	w.targets.Judge = func(_ string, t scheduler.Target) string { return m.fitness(t.ID) }
	w.targets.Shared = m.checkMove
	w.runtime.Stopped = m.checkDrained
	w.runtime.Behave = func(spec task.Spec) fake.Behaviour {
		m.checkMaximum()
		return behave(spec)
	}
	w.create(m.image("run"), int32(rapid.IntRange(1, 4).Draw(rt, "desired")), func(in *ecs.CreateServiceInput) {
		in.HealthCheckGracePeriodSeconds = aws.Int32(int32(rapid.IntRange(0, 20).Draw(rt, "grace")))
		if m.besides {
			twoPorts(m.strategy())(in)
		}
	})
	return m
}

// image registers a definition that runs an image.
func (m *machine) image(name string) string {
	arn := m.register(name)
	m.images[arn] = name
	return arn
}

func bad(image string) bool { return image == "crash" || image == "noimage" || image == "sick" }

// fitness is the health that a target has by its image.
func (m *machine) fitness(taskARN string) string {
	for _, t := range m.s.Tasks("test") {
		if *t.TaskArn == taskARN && m.images[*t.TaskDefinitionArn] == "sick" {
			return scheduler.TargetUnhealthy
		}
	}
	return scheduler.TargetHealthy
}

func (m *machine) bounds() plan.Bounds {
	svc := m.service()
	c := svc.DeploymentConfiguration
	return plan.BoundsOf(int(svc.DesiredCount), *c.MinimumHealthyPercent, *c.MaximumPercent)
}

// live lists the tasks that should be running.
func (m *machine) live() []types.Task {
	return slices.DeleteFunc(m.s.Tasks("test"), func(t types.Task) bool { return *t.DesiredStatus != "RUNNING" })
}

// strategy draws a deployment configuration.
func (m *machine) strategy() *types.DeploymentConfiguration {
	return rapid.SampledFrom([]func() *types.DeploymentConfiguration{blueGreen, canary, linear, func() *types.DeploymentConfiguration {
		return &types.DeploymentConfiguration{Strategy: types.DeploymentStrategyRolling}
	}}).Draw(m.rt, "strategy")()
}

// rolling reports whether deployments keep to the bounds.
func (m *machine) rolling() bool { return !m.besides }

// registered lists the targets of both groups.
func (m *machine) registered() []string {
	return append(m.targets.Registered(group), m.targets.Registered(green)...)
}

// healthy counts the tasks that get traffic and answer it.
func (m *machine) healthy() int {
	n, shares := 0, m.targets.Shares(rule)
	for _, t := range m.live() {
		for _, g := range []string{group, green} {
			carries := shares[g] > 0 || len(shares) == 0 && g == group
			if carries && *t.LastStatus == "RUNNING" && m.targets.Health(g, *t.TaskArn).State == scheduler.TargetHealthy {
				n++
			}
		}
	}
	return n
}

// checkMaximum runs whenever a task starts.
func (m *machine) checkMaximum() {
	most := m.bounds().Max
	if !m.rolling() {
		// Both releases, whole; one that serves is not scaled in while the other
		// comes up beside it.
		m.peak = max(m.peak, int(m.service().DesiredCount))
		most = max(most, 2*m.peak)
	}
	if n := len(m.live()); n > most {
		m.rt.Fatalf("%d tasks start or run, at most %d may", n, most)
	}
}

// checkMove runs whenever a rule was modified: while nothing is taken away, no
// group gets more traffic that has nobody to answer it, unless neither has.
func (m *machine) checkMove(rule string, percent map[string]float64) {
	groups := map[bool]string{false: group, true: green}
	if rule == grpcRule || rule == grpcTestRule {
		groups = map[bool]string{false: grpcGroup, true: grpcGreen}
	}
	if percent[groups[false]]+percent[groups[true]] != 100 {
		m.rt.Fatalf("rule %s gives %v", rule, percent)
	}
	before := m.given[rule]
	m.given[rule] = percent
	if !m.clean || m.harm > 0 || m.service().DesiredCount == 0 {
		return
	}
	for alternate, g := range groups {
		if percent[g] > before[g] && m.well(g) == 0 && m.well(groups[!alternate]) > 0 {
			m.rt.Fatalf("rule %s gives %g percent to a group without a healthy target: %s", rule, percent[g], m.story())
		}
	}
}

// checkDrained runs whenever a task is told to stop.
func (m *machine) checkDrained(arn string) {
	if m.targets.Draining(arn) {
		m.rt.Fatalf("task %s is stopped while it finishes requests", arn)
	}
}

// checkRules: REST and gRPC are at the same step, and test traffic is never
// behind production traffic.
func (m *machine) checkRules() {
	rest, grpc := m.targets.Shares(rule), m.targets.Shares(grpcRule)
	if rest[group] != grpc[grpcGroup] || rest[green] != grpc[grpcGreen] {
		m.rt.Fatalf("REST is divided %v, gRPC %v", rest, grpc)
	}
	rest, grpc = m.targets.Shares(testRule), m.targets.Shares(grpcTestRule)
	if rest[group] != grpc[grpcGroup] || rest[green] != grpc[grpcGreen] || len(rest) > 0 && rest[group] != 100 && rest[green] != 100 {
		m.rt.Fatalf("REST's test traffic is divided %v, gRPC's %v", rest, grpc)
	}
	production := m.targets.Shares(rule)
	for _, g := range []string{group, green} {
		if production[g] > 0 && production[g] < 100 && rest[g] == 0 && rest[other(g)] == 0 {
			m.rt.Fatalf("production traffic %v, test traffic %v", production, rest)
		}
	}
}

func other(g string) string {
	if g == group {
		return green
	}
	return group
}

// check holds after every step.
func (m *machine) check(before int) {
	m.checkRules()
	if after, least := m.healthy(), min(before-m.harm, m.bounds().Min); after < least {
		m.rt.Fatalf("healthy tasks fell from %d to %d, minimum %d, taken away %d", before, after, m.bounds().Min, m.harm)
	}
	svc := m.service()
	live := map[string]bool{}
	for _, t := range m.live() {
		live[*t.TaskArn] = true
		known := slices.ContainsFunc(svc.Deployments, func(d types.Deployment) bool { return *d.Id == *t.StartedBy })
		if !known {
			m.rt.Fatalf("task %s belongs to %s, which is no deployment of the service", *t.TaskArn, *t.StartedBy)
		}
	}
	for _, id := range m.registered() {
		if !live[id] {
			m.rt.Fatalf("task %s is stopping and still gets traffic", id)
		}
	}
	primary, open := 0, 0
	for _, d := range svc.Deployments {
		if *d.Status == "PRIMARY" {
			primary++
		}
	}
	for _, d := range m.s.ServiceDeployments("test", "web") {
		if d.FinishedAt == nil {
			open++
		}
	}
	if primary != 1 || open > 1 {
		m.rt.Fatalf("%d primary deployments, %d service deployments under way", primary, open)
	}
}

// idle waits until the scheduler has done what it decided.
func (m *machine) idle() { m.await(m.s.Idle) }

// ailing counts the targets that would not answer: a deployment that is
// superseded gives the traffic back to them.
func (m *machine) ailing() int {
	n := 0
	for _, g := range []string{group, green} {
		n += len(m.targets.Registered(g)) - m.well(g)
	}
	return n
}

// fit reports whether every target is as healthy as its image.
func (m *machine) fit() bool {
	for _, g := range []string{group, green, grpcGroup, grpcGreen} {
		for _, id := range m.targets.Registered(g) {
			if m.targets.Health(g, id).State != m.fitness(id) {
				return false
			}
		}
	}
	return true
}

// well counts the healthy targets of a group.
func (m *machine) well(g string) int {
	n := 0
	for _, id := range m.targets.Registered(g) {
		if m.targets.Health(g, id).State == scheduler.TargetHealthy {
			n++
		}
	}
	return n
}

// atLeast is what a deployment leaves: one that supersedes another half way
// gives all traffic back to one side, however many tasks both have.
func (m *machine) atLeast(before int) int {
	for _, g := range []string{group, green} {
		if m.besides && len(m.targets.Registered(g)) > 0 {
			before = min(before, m.well(g))
		}
	}
	return before
}

// pick draws one of the names.
func (m *machine) pick(names []string, label string) (string, bool) {
	if len(names) == 0 {
		return "", false
	}
	return rapid.SampledFrom(names).Draw(m.rt, label), true
}

// quiesce stops interfering and waits for the end state.
func (m *machine) quiesce() {
	m.targets.Busy, m.runtime.Linger = false, false
	// Some bounds leave a small service no room for a deployment, as in ECS.
	m.bound(100, 200)
	for range 60 {
		m.finishStops()
		for _, t := range m.tasks("PENDING") {
			m.runtime.Up(*t.TaskArn)
		}
		for _, id := range m.registered() {
			m.targets.Set(group, id, m.fitness(id))
			m.targets.Set(green, id, m.fitness(id))
		}
		if d := m.service().Deployments; len(d) == 1 && d[0].RolloutState != types.DeploymentRolloutStateInProgress && m.service().PendingCount == 0 {
			if d[0].RolloutState == types.DeploymentRolloutStateFailed || m.service().RunningCount == m.service().DesiredCount {
				return
			}
		}
		m.clock.Advance(6 * time.Minute)
		m.s.Tick()
	}
	m.rt.Fatalf("no end state: %s", m.story())
}

func (m *machine) story() string {
	svc := m.service()
	var b strings.Builder
	fmt.Fprintf(&b, "desired %d, running %d, pending %d\n", svc.DesiredCount, svc.RunningCount, svc.PendingCount)
	for _, d := range svc.Deployments {
		fmt.Fprintf(&b, "%s %s %s %s: %s\n", *d.Id, *d.Status, d.RolloutState, m.images[*d.TaskDefinition], *d.RolloutStateReason)
	}
	for _, e := range svc.Events[:min(len(svc.Events), 20)] {
		fmt.Fprintln(&b, *e.Message)
	}
	return b.String()
}

// checkEnd holds once everything has settled: one revision has every task.
func (m *machine) checkEnd() {
	svc := m.service()
	completed := false
	for _, d := range m.s.ServiceDeployments("test", "web") {
		if d.FinishedAt == nil {
			m.rt.Fatalf("service deployment %s has no verdict", *d.ServiceDeploymentArn)
		}
		completed = completed || d.Status == types.ServiceDeploymentStatusSuccessful
	}
	if svc.Deployments[0].RolloutState == types.DeploymentRolloutStateFailed {
		if completed {
			m.rt.Fatalf("failed for good although a revision had completed: %s", m.story())
		}
		return
	}
	for _, t := range m.live() {
		if *t.TaskDefinitionArn != *svc.TaskDefinition {
			m.rt.Fatalf("task %s is not of the service's revision: %s", *t.TaskArn, m.story())
		}
	}
	if n := len(m.live()); n != int(svc.DesiredCount) || len(m.registered()) != n || len(m.runtime.Alive()) != n {
		m.rt.Fatalf("%d tasks, %d targets, %d alive, want %d", n, len(m.registered()), len(m.runtime.Alive()), svc.DesiredCount)
	}
	if shares := m.targets.Shares(rule); len(shares) > 0 {
		for _, g := range []string{group, green} {
			if n := len(m.targets.Registered(g)); n > 0 && shares[g] != 100 || n == 0 && shares[g] != 0 && svc.DesiredCount > 0 {
				m.rt.Fatalf("%d targets in a group that gets %g percent: %s", n, shares[g], m.story())
			}
		}
	}
}

func TestAnyScheduleEndsWhole(t *testing.T) {
	dir, n := t.TempDir(), 0
	rapid.Check(t, func(rt *rapid.T) {
		n++
		m := newMachine(rt, filepath.Join(dir, fmt.Sprint(n)))
		defer func() { _ = m.store.Close() }()
		steps := m.steps()
		names := slices.Sorted(maps.Keys(steps))
		for range rapid.IntRange(1, 25).Draw(rt, "steps") {
			steps[rapid.SampledFrom(names).Draw(rt, "step")]()
		}
		m.quiesce()
		m.checkEnd()
	})
}
