package rollout

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/slipway-dev/slipway/platform/kit/event"
)

// Bounds of a watch.
const (
	// appear is how long a deployment may take to be listed after the update.
	appear = time.Minute
	// blind is how long reads may fail before the watch gives up; a restart of
	// the embedded cluster or a throttled API is shorter.
	blind = time.Minute
	// recent is how many deployments a look lists: ours and a few later ones.
	recent = 5
	// settleFor is how long reads may lag behind: our deployment may be listed
	// after a later one, and a later one after ours was seen stopped.
	settleFor = 2 * time.Second
)

// Watch watches the newest deployment of a service to its end, whoever began
// it. Sink and ctx are as in [Deployer.Apply].
func (d *Deployer) Watch(ctx context.Context, service string, opts Options, sink event.Sink) (Verdict, error) {
	b, err := d.begin(ctx, service, opts)
	if err != nil {
		return Verdict{}, fail(fmt.Sprintf("watch %s in %s", service, d.cfg.Environment), err, d.shell())
	}
	if len(b.deployments) == 0 {
		return Verdict{}, fail(fmt.Sprintf("watch %s in %s", service, d.cfg.Environment),
			errors.New("it has never been deployed"), d.command("deploy", service))
	}
	td, err := d.cfg.ECS.TaskDefinition(ctx, b.deployments[0].TaskDefinition)
	if err != nil {
		return Verdict{}, fail(fmt.Sprintf("watch %s in %s", service, d.cfg.Environment), err, d.command("status", ""))
	}
	b.plan.To, b.plan.Action = revisionOf(td, b.plan.Contract.Container), ActResume
	return d.Apply(ctx, b.plan, sink)
}

// watch follows one deployment: the one that aims at the plan's revision and
// was not there before.
type watch struct {
	d        *Deployer
	plan     Plan
	emit     *event.Emitter
	releases *releases
	known    map[string]bool // deployments from before ours; nil when resuming
	began    time.Time
	old      map[string]bool // events of the service from before ours
	arn      string          // our deployment, once found
	since    time.Time       // when it was created
	told     map[string]bool // events and stopped tasks that were told of
	last     event.DeploymentChanged
	stages   stages
	seen     time.Time // last successful read
	// stoppedAt is after what wait ours was first seen stopped; 0 before.
	stoppedAt time.Duration
}

func newWatch(d *Deployer, p Plan, emit *event.Emitter, r *releases, known map[string]bool, before *Service) *watch {
	now := d.cfg.Clock.Now()
	w := &watch{
		d: d, plan: p, emit: emit, releases: r, known: known, began: now, seen: now,
		old: map[string]bool{}, told: map[string]bool{},
	}
	if before != nil {
		for _, m := range before.Events {
			w.old[m.ID] = true
		}
	}
	return w
}

// run polls until the deployment ended, time is up, or ctx ends.
func (w *watch) run(ctx context.Context) (Verdict, error) {
	started := w.d.cfg.Clock.Now()
	for n := 0; ; n++ {
		ours, later, err := w.look(ctx)
		now := w.d.cfg.Clock.Now()
		switch {
		case ctx.Err() != nil:
			return w.interrupted(ctx), nil //nolint:nilerr // the verdict says it
		case err != nil && now.Sub(w.seen) > blind:
			return Verdict{}, w.lost(err)
		case err == nil:
			w.seen = now
			if v, over := w.judge(ctx, ours, later, now.Sub(started)); over {
				return v, nil
			}
			if ours == nil && now.Sub(started) > appear {
				return Verdict{}, fail("watch the rollout", fmt.Errorf("ECS lists no deployment of %s", w.plan.To.Name), w.d.command("status", ""))
			}
		}
		if now.Sub(started) >= w.plan.Timeout {
			return w.timedOut(ctx, ours), nil
		}
		if err := w.d.wait(ctx, n); err != nil {
			return w.interrupted(ctx), nil //nolint:nilerr // the verdict says it
		}
	}
}

// lost is the error when ECS cannot be read any more: nothing is known of the
// end, not even that there is one.
func (w *watch) lost(err error) error {
	seen := "it was never seen"
	if w.last.Deployment != "" {
		seen = fmt.Sprintf("%s was %s when last seen, at %s", w.last.Deployment, w.last.State, w.seen.UTC().Format("15:04:05Z"))
	}
	return fail(fmt.Sprintf("lost sight of the rollout of release %s to %s (%s)", w.plan.To.Release, w.plan.Environment, seen), err, w.d.command("watch", w.plan.Service))
}

// look reads our deployment, and whether a later one took the service over.
func (w *watch) look(ctx context.Context) (ours *Deployment, later *Deployment, err error) {
	c := w.plan.Contract
	service, err := w.d.cfg.ECS.Service(ctx, c.Cluster, c.ECSService)
	if err != nil {
		return nil, nil, err
	}
	deployments, err := w.d.cfg.ECS.Deployments(ctx, c.Cluster, c.ECSService, recent)
	if err != nil {
		return nil, nil, err
	}
	ours = w.find(deployments)
	if ours == nil && w.arn != "" { // not listed yet, or no longer
		dep, err := w.d.cfg.ECS.Deployment(ctx, w.arn)
		switch {
		case err == nil:
			ours = &dep
		case !isNotFound(err) || !w.since.IsZero():
			return nil, nil, err
		}
	}
	if ours != nil && w.since.IsZero() {
		w.arn, w.since = ours.ARN, ours.CreatedAt
	}
	later = w.takenOver(ours, deployments)
	w.tell(ctx, service, ours)
	return ours, later, nil
}

// find returns our deployment: the one whose ARN is known, else the first of
// our revision that was not there before.
func (w *watch) find(deployments []Deployment) (ours *Deployment) {
	for i := range deployments { // newest first
		dep := &deployments[i]
		switch {
		case w.arn != "" && dep.ARN == w.arn && w.since.IsZero() && dep.TaskDefinition != w.plan.To.TaskDefinition:
			w.arn = "" // what ECS called the current one was not ours
			return w.find(deployments)
		case w.arn != "" && dep.ARN == w.arn:
			return dep
		case w.arn == "" && !w.known[dep.ARN] && dep.TaskDefinition == w.plan.To.TaskDefinition:
			if ours = dep; w.known == nil {
				return dep // who resumes means the newest
			}
		}
	}
	return ours
}

// takenOver returns the first deployment that came after ours, or, when ours
// cannot be seen, after the update.
func (w *watch) takenOver(ours *Deployment, deployments []Deployment) (next *Deployment) {
	for i := range deployments { // newest first
		dep := &deployments[i]
		switch {
		case ours != nil && dep.ARN == ours.ARN:
			return next
		case ours != nil, !w.known[dep.ARN] && w.known != nil, w.arn != "":
			next = dep
		}
	}
	return next
}

// judge decides whether our deployment is over, and how it ended.
func (w *watch) judge(ctx context.Context, ours, later *Deployment, waited time.Duration) (Verdict, bool) {
	if ours == nil {
		// ECS may list a later deployment first; ours counts as superseded only
		// if it stays out of sight.
		if later != nil && waited > settleFor {
			return w.superseded(ctx, nil, later), true
		}
		return Verdict{}, false
	}
	outcome, over := OutcomeOf(*ours, later)
	switch {
	case !over:
		return Verdict{}, false
	case outcome == event.Completed:
		return w.completed(ctx, ours), true
	case outcome == event.RolledBack:
		return w.rolledBack(ctx, ours), true
	case outcome == event.Superseded:
		return w.superseded(ctx, ours, later), true
	}
	if ours.State == StateStopped && ours.Breaker != breakerTriggered {
		// What stopped ours may be listed after we saw it stopped.
		if w.stoppedAt == 0 {
			w.stoppedAt = waited
		}
		if waited-w.stoppedAt <= settleFor {
			return Verdict{}, false
		}
	}
	return w.failed(ctx, ours), true
}

// tell emits what changed since the last look.
func (w *watch) tell(ctx context.Context, service Service, ours *Deployment) {
	if ours == nil {
		return
	}
	for _, m := range slices.Backward(service.Events) { // oldest first
		if w.told[m.ID] || !w.mine(m) {
			continue
		}
		w.told[m.ID] = true
		w.emit.Emit(event.ServiceMessage{ID: m.ID, At: m.At, Message: m.Message})
	}
	w.tellIgnored(ours)
	if ended, ok := w.stages.see(*ours, w.d.cfg.Clock.Now()); ok {
		w.emit.Emit(event.StageEnded{Deployment: ours.ID, Stage: ended})
	}
	state := event.DeploymentChanged{
		Deployment: ours.ID, Revision: w.plan.To.Name, Release: w.plan.To.Release,
		State: ours.State, Stage: ours.Stage, Weight: ours.Weight, Desired: ours.Requested, Running: ours.Running, Pending: ours.Pending,
		Failed: ours.Failures, Reason: ours.Reason,
	}
	for _, part := range service.Parts {
		if part.TaskDefinition == w.plan.To.TaskDefinition && part.Failed > state.Failed {
			state.Failed = part.Failed
		}
	}
	if state.Failed > w.last.Failed || ours.Ended() && ours.State != StateSuccessful {
		w.tellStopped(ctx)
	}
	state.Healthy = w.healthy(ctx, state)
	if state != w.last {
		w.last = state
		w.emit.Emit(state)
	}
}

// tellIgnored says once that no alarm will roll the deployment back.
func (w *watch) tellIgnored(ours *Deployment) {
	if len(ours.Ignored) == 0 || w.told[ours.ID] {
		return
	}
	w.told[ours.ID] = true
	w.emit.Emit(event.Notice{Level: event.Warning, Message: "ECS ignores the alarms of this deployment, for " +
		strings.Join(ours.Ignored, " and ") + " was firing when it began"})
}

// mine reports whether a service event is of our deployment's time.
func (w *watch) mine(m ServiceMessage) bool {
	return !w.old[m.ID] && !m.At.Before(w.since)
}

// healthy counts our healthy tasks; as health needs a call of its own it is
// asked for only while some task runs and the deployment is not over.
func (w *watch) healthy(ctx context.Context, state event.DeploymentChanged) int {
	if state.Running == 0 {
		return 0
	}
	if state.State == StateSuccessful {
		return state.Running // ECS counts a deployment successful only then
	}
	tasks, err := w.d.cfg.ECS.Tasks(ctx, TaskQuery{Cluster: w.plan.Contract.Cluster, Service: w.plan.Contract.ECSService})
	if err != nil {
		return w.last.Healthy
	}
	healthy := 0
	for _, t := range tasks {
		if t.TaskDefinition == w.plan.To.TaskDefinition && t.Status == "RUNNING" && t.Health != "UNHEALTHY" {
			healthy++
		}
	}
	return healthy
}

// tellStopped emits tasks of ours that stopped and were not told of yet.
func (w *watch) tellStopped(ctx context.Context) {
	for _, t := range w.stopped(ctx) {
		if w.told[t.ARN] {
			continue
		}
		w.told[t.ARN] = true
		stopped := event.TaskStopped{Task: t.ID, Revision: w.plan.To.Name, Code: t.StopCode, Reason: t.StoppedReason}
		for _, c := range t.Containers {
			stopped.Containers = append(stopped.Containers, event.ContainerStopped{Name: c.Name, ExitCode: c.ExitCode, Reason: c.Reason})
		}
		w.emit.Emit(stopped)
	}
}

// stopped returns the tasks of our revision that stopped since we began,
// newest first.
func (w *watch) stopped(ctx context.Context) []Task {
	c := w.plan.Contract
	tasks, err := w.d.cfg.ECS.Tasks(ctx, TaskQuery{Cluster: c.Cluster, Service: c.ECSService, Stopped: true, Limit: 50})
	if err != nil {
		return nil
	}
	var ours []Task
	for _, t := range tasks {
		if t.TaskDefinition == w.plan.To.TaskDefinition && !t.CreatedAt.Before(w.since) {
			ours = append(ours, t)
		}
	}
	return ours
}

// whole is all of the production traffic, in percent.
const whole = 100

// stages follows a deployment through its lifecycle. ECS tells the present stage
// alone, so that times are as exact as the looks are frequent.
type stages struct {
	past  []event.Stage
	now   event.Stage // no name: none yet
	since time.Time
}

// see takes a look in and returns the stage that ended since the one before.
func (s *stages) see(d Deployment, at time.Time) (ended event.Stage, ok bool) {
	next := event.Stage{Name: d.Stage, Weight: d.Weight}
	if d.State != StateInProgress && d.State != StatePending {
		next = event.Stage{} // what follows is no stage of ours
	}
	if next == s.now {
		return event.Stage{}, false
	}
	ended, ok = s.now, s.now.Name != ""
	if ok {
		ended.Duration = event.Duration(at.Sub(s.since))
		s.past = append(s.past, ended)
	}
	s.now, s.since = next, at
	return ended, ok
}

// reached says how far the deployment came, for one that failed: " at 10 % of
// the traffic (production traffic shift)".
func (s *stages) reached() string {
	if len(s.past) == 0 {
		return ""
	}
	last := s.past[len(s.past)-1]
	return fmt.Sprintf(" at %g %% of the traffic (%s)", last.Weight, stageWords(last.Name))
}

// stageWords is a stage as people read it.
func stageWords(name string) string { return strings.ToLower(strings.ReplaceAll(name, "_", " ")) }
