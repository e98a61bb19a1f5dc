package rollout

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/slipway-dev/slipway/platform/kit/contract"
	"github.com/slipway-dev/slipway/platform/kit/event"
)

// logLines is how many last lines of a failed task a verdict shows.
const logLines = 20

// verdict says how our deployment ended; ours is nil when ECS never listed it.
func (w *watch) verdict(ctx context.Context, outcome event.Outcome, ours *Deployment) Verdict {
	now := w.d.cfg.Clock.Now()
	v := Verdict{
		Outcome: outcome, Service: w.plan.Service, Env: w.plan.Environment, Release: w.plan.To.Release,
		Revision: w.plan.To.Name, URL: w.plan.Contract.URL, Duration: event.Duration(now.Sub(w.began)), FinishedAt: now.UTC(),
	}
	if ours != nil {
		v.Deployment = ours.ID
		v.Why = Why(*ours, outcome, "")
	}
	v.Serving = w.d.serving(ctx, w.plan.Contract, w.releases)
	v.Stages = w.stages.past
	return v
}

func (w *watch) completed(ctx context.Context, ours *Deployment) Verdict {
	v := w.verdict(ctx, event.Completed, ours)
	v.Summary = fmt.Sprintf("release %s of %s is rolled out to %s in %s", v.Release, v.Service, v.Env, v.Duration)
	if w.plan.Rollback {
		v.Summary = fmt.Sprintf("%s in %s was rolled back to release %s in %s", v.Service, v.Env, v.Release, v.Duration)
	}
	v.Next = []string{w.d.command("status", "")}
	if !w.serves(ctx, &v, func(event.Serving) bool { return true }) {
		v.Summary = fmt.Sprintf("ECS counts release %s of %s as rolled out to %s, but no task is running", v.Release, v.Service, v.Env)
		w.explain(ctx, &v, ours)
		v.Next = []string{w.d.command("rollback", v.Service), w.d.command("logs", v.Service)}
	}
	return v
}

func (w *watch) rolledBack(ctx context.Context, ours *Deployment) Verdict {
	v := w.verdict(ctx, event.RolledBack, ours)
	before := "the release before it"
	switch {
	case ours.PutBack != "":
		v.PutBack = w.releases.of(ctx, ours.PutBack)
		before = "release " + v.PutBack
		if v.PutBack == v.Release {
			before = "revision " + revisionName(ours.PutBack) + " of it"
		}
	case w.plan.From.Release != "":
		before = "the release before it (" + w.plan.From.Release + ")"
	}
	failed := "failed"
	if ours.Breaker != breakerTriggered && len(ours.Alarms) == 0 {
		failed = "was not kept" // by request, say
	}
	v.Summary = fmt.Sprintf("release %s of %s %s in %s%s and ECS put %s back", v.Release, v.Service, failed, v.Env, w.stages.reached(), before)
	w.explain(ctx, &v, ours)
	v.Next = []string{w.d.command("logs", v.Service)}
	if strings.Contains(ours.RollbackReason, "listener rule") {
		v.Next = append([]string{w.d.shell()}, v.Next...)
	}
	if !w.serves(ctx, &v, func(s event.Serving) bool { return s.Revision != v.Revision }) {
		v.Summary = fmt.Sprintf("release %s of %s %s in %s%s; ECS says that it put %s back, but no task of that is running",
			v.Release, v.Service, failed, v.Env, w.stages.reached(), before)
		v.Next = []string{w.d.command("status", ""), w.d.command("rollback", v.Service), w.d.command("logs", v.Service)}
	}
	return v
}

// serves looks whether something serves as a good end promises, for a while, as
// ECS' count of tasks follows its verdict. If not, the verdict is a failure.
func (w *watch) serves(ctx context.Context, v *Verdict, promised func(event.Serving) bool) bool {
	began := w.d.cfg.Clock.Now()
	for n := 0; ; n++ {
		if v.Serving == nil || slices.ContainsFunc(v.Serving, promised) {
			return true // or not known, which the verdict says
		}
		s, err := w.d.cfg.ECS.Service(ctx, w.plan.Contract.Cluster, w.plan.Contract.ECSService)
		if err != nil || s.Desired == 0 {
			return true // nothing is meant to serve
		}
		if w.d.cfg.Clock.Since(began) > settleFor {
			v.Outcome = event.Failed
			return false
		}
		if w.d.wait(ctx, n) != nil {
			return true
		}
		v.Serving = w.d.serving(ctx, w.plan.Contract, w.releases)
	}
}

func (w *watch) failed(ctx context.Context, ours *Deployment) Verdict {
	v := w.verdict(ctx, event.Failed, ours)
	v.Summary = fmt.Sprintf("release %s of %s failed in %s and was not put back", v.Release, v.Service, v.Env)
	// What the shell was made with is no release that could serve.
	first := w.plan.From.Release == "" || strings.Contains(ours.Reason, "No rollback candidate")
	switch {
	case ours.State == StateStopped && ours.Breaker != breakerTriggered && len(ours.Alarms) == 0:
		v.Summary = fmt.Sprintf("the rollout of release %s of %s to %s was stopped from outside and nothing was put back", v.Release, v.Service, v.Env)
	case first:
		v.Summary = fmt.Sprintf("release %s of %s failed in %s, where no release was completely rolled out before that could be put back", v.Release, v.Service, v.Env)
	case ours.State == StateRollbackFailed:
		v.Summary = fmt.Sprintf("release %s of %s failed in %s, and so did putting the release before it back", v.Release, v.Service, v.Env)
	}
	w.explain(ctx, &v, ours)
	v.Next = []string{w.d.command("logs", v.Service)}
	if !first {
		v.Next = append([]string{w.d.command("rollback", v.Service)}, v.Next...)
	}
	return v
}

func (w *watch) superseded(ctx context.Context, ours, later *Deployment) Verdict {
	v := w.verdict(ctx, event.Superseded, ours)
	release := w.releases.of(ctx, later.TaskDefinition)
	v.Why = Why(*later, event.Superseded, release)
	v.Summary = fmt.Sprintf("the rollout of release %s of %s to %s was overtaken by one of release %s (%s, %s)",
		v.Release, v.Service, v.Env, release, revisionName(later.TaskDefinition), later.ID)
	v.Next = []string{w.d.command("watch", v.Service), w.d.command("status", "")}
	return v
}

// timedOut is the verdict on what was still going. Ours is nil when the last
// look failed, or ECS never listed our deployment.
func (w *watch) timedOut(ctx context.Context, ours *Deployment) Verdict {
	v := w.verdict(ctx, event.TimedOut, ours)
	v.Why = "it did not end within " + event.Duration(w.plan.Timeout).String()
	v.Summary = fmt.Sprintf("release %s of %s was not rolled out to %s within %s; ", v.Release, v.Service, v.Env, event.Duration(w.plan.Timeout))
	switch {
	case ours != nil:
		v.Summary += "the rollout goes on by itself"
		w.explain(ctx, &v, ours)
		v.Causes = append(v.Causes, fmt.Sprintf("%s is %s: %d of %d tasks running, %d pending",
			ours.ID, ours.State, ours.Running, ours.Requested, ours.Pending))
	case w.last.Deployment != "":
		v.Deployment = w.last.Deployment
		v.Summary += fmt.Sprintf("%s was %s when ECS last answered, at %s", w.last.Deployment, w.last.State, w.seen.UTC().Format("15:04:05Z"))
	default:
		v.Summary += "ECS has not listed its deployment yet"
	}
	v.Next = w.resume()
	return v
}

func (w *watch) interrupted(ctx context.Context) Verdict {
	bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), afterthought)
	defer cancel()
	v := w.verdict(bounded, event.Interrupted, nil)
	v.Deployment = w.last.Deployment
	v.Summary = fmt.Sprintf("stopped watching; the rollout of release %s of %s to %s goes on by itself", v.Release, v.Service, v.Env)
	v.Next = w.resume()
	return v
}

// resume returns the commands to see the rollout's end, or to undo it.
func (w *watch) resume() []string {
	next := []string{w.d.command("watch", w.plan.Service) + "   # watch it again"}
	if !w.plan.Rollback {
		next = append(next, w.d.command("rollback", w.plan.Service)+"   # put it back")
	}
	return next
}

// explain adds what ECS and the tasks say besides: how tasks ended, which check
// failed, and the last lines of a task that failed.
func (w *watch) explain(ctx context.Context, v *Verdict, ours *Deployment) {
	stopped := w.stopped(ctx)
	guilty, some := guiltyOf(stopped)
	v.Causes = append(v.Causes, w.alarmCauses(ctx, ours.Alarms)...)
	if some || len(v.Causes) == 0 {
		v.Causes = append(v.Causes, stoppedCauses(guilty)...)
	}
	v.Causes = append(v.Causes, w.serviceCauses(ctx, len(v.Causes) > 0)...)
	for _, reason := range []string{ours.RollbackReason, ours.Reason} {
		if reason != "" && reason != v.Why && !contains(v.Causes, reason) {
			v.Causes = append(v.Causes, reason)
		}
	}
	for _, task := range append(slices.Clone(guilty), stopped...) { // the guilty know more
		if v.Log, v.LogTask = w.d.lastLines(ctx, w.plan, task); len(v.Log) > 0 {
			return
		}
	}
}

func contains(causes []string, reason string) bool {
	for _, c := range causes {
		if strings.Contains(c, reason) {
			return true
		}
	}
	return false
}

// alarmCauses says which alarms went off, and why as far as they still tell.
func (w *watch) alarmCauses(ctx context.Context, names []string) []string {
	if len(names) == 0 {
		return nil
	}
	why := map[string]string{}
	if w.d.cfg.Alarms != nil {
		list, _ := w.d.cfg.Alarms.Alarms(ctx, names) // the names alone say enough
		for _, a := range list {
			if a.Firing && a.Reason != "" {
				why[a.Name] = ": " + a.Reason
			}
		}
	}
	var causes []string
	for _, name := range names {
		causes = append(causes, "alarm "+name+" went off"+why[name])
	}
	return causes
}

// guiltyOf returns the tasks that explain a failure: those that ECS did not take
// down itself in the end, or, when there are no others, these.
func guiltyOf(tasks []Task) (guilty []Task, some bool) {
	guilty = slices.DeleteFunc(slices.Clone(tasks), func(t Task) bool { return strings.HasPrefix(t.StoppedReason, "Scaling activity initiated by") })
	if len(guilty) > 0 {
		return guilty, true
	}
	return tasks, false
}

// stoppedCauses groups stopped tasks by how they ended.
func stoppedCauses(tasks []Task) []string {
	count := map[string]int{}
	var order []string
	for _, t := range tasks {
		text := stoppedText(t)
		if count[text] == 0 {
			order = append(order, text)
		}
		count[text]++
	}
	var causes []string
	for _, text := range order {
		if count[text] == 1 {
			causes = append(causes, "1 "+text)
		} else {
			causes = append(causes, fmt.Sprintf("%d %s", count[text], strings.Replace(text, "task stopped", "tasks stopped", 1)))
		}
	}
	return causes
}

// stoppedText says how a task ended: reason, then each container that ended
// badly with its exit code.
func stoppedText(t Task) string {
	reason := t.StoppedReason
	if reason == "" {
		reason = "no reason given"
	}
	var ends []string
	for _, c := range t.Containers {
		end := ""
		switch {
		case c.ExitCode != nil && *c.ExitCode != 0:
			end = fmt.Sprintf("container %s exited with code %d", c.Name, *c.ExitCode)
			if meaning := exitMeaning(*c.ExitCode); meaning != "" {
				end += " (" + meaning + ")"
			}
		case c.ExitCode == nil && c.Reason != "":
			end = "container " + c.Name
		}
		if c.ExitCode == nil && c.Reason == t.StoppedReason {
			continue
		}
		if end != "" && c.Reason != "" {
			end += ": " + c.Reason
		}
		if end != "" {
			ends = append(ends, end)
		}
	}
	text := "task stopped: " + reason
	if len(ends) > 0 {
		text += " [" + strings.Join(ends, "; ") + "]"
	}
	return text
}

// exitMeaning explains the exit codes that are signals.
func exitMeaning(code int) string {
	switch code {
	case 137:
		return "killed: out of memory, or it did not stop in time"
	case 143:
		return "stopped by SIGTERM"
	case 139:
		return "segmentation fault"
	default:
		return ""
	}
}

// checks matches the service events that name a failing check, telling those
// that explain a failure at all.
var (
	checks  = regexp.MustCompile(`(?i)unhealthy|health check|unable to modify|capacity`)
	telling = regexp.MustCompile(`(?i)unhealthy|health check|unable to|failed`)
)

var prefix = regexp.MustCompile(`^\(service [^)]*\)\s*`)

// serviceCauses returns the distinct telling events since we began, newest
// first, at most three; where stopped tasks explain the failure already, only
// the checks that failed.
func (w *watch) serviceCauses(ctx context.Context, explained bool) []string {
	wanted := telling
	if explained {
		wanted = checks
	}
	s, err := w.d.cfg.ECS.Service(ctx, w.plan.Contract.Cluster, w.plan.Contract.ECSService)
	if err != nil {
		return nil
	}
	var causes []string
	seen := map[string]bool{}
	for _, m := range s.Events {
		if !w.mine(m) || !wanted.MatchString(m.Message) {
			continue
		}
		text := prefix.ReplaceAllString(m.Message, "")
		kind := taskIDs.ReplaceAllString(text, "")
		if seen[kind] {
			continue
		}
		seen[kind] = true
		if causes = append(causes, text); len(causes) == 3 {
			break
		}
	}
	return causes
}

// taskIDs are the parts in which two events of one kind differ.
var taskIDs = regexp.MustCompile(`[0-9a-f]{32}|port \d+|\d+\.\d+\.\d+\.\d+`)

// lastLines returns the last log lines of a task's own container.
func (d *Deployer) lastLines(ctx context.Context, p Plan, task Task) ([]event.LogLine, string) {
	prefix := p.Contract.ECSService
	if td, err := d.cfg.ECS.TaskDefinition(ctx, task.TaskDefinition); err == nil {
		for _, c := range td.Containers {
			if c.Name == p.Contract.Container && c.LogPrefix != "" {
				prefix = c.LogPrefix
			}
		}
	}
	stream := prefix + "/" + p.Contract.Container + "/" + task.ID
	events, err := d.cfg.Logs.Tail(ctx, p.Contract.LogGroup, stream, logLines)
	if err != nil || len(events) == 0 {
		return nil, ""
	}
	lines := make([]event.LogLine, len(events))
	for i, e := range events {
		lines[i] = event.LogLine{At: e.At, Task: task.ID, Message: e.Message}
	}
	return lines, task.ID
}

// serving returns the releases that have running tasks, the service's aim
// first; nil when it cannot be read, which is not the same as none.
func (d *Deployer) serving(ctx context.Context, c contract.Contract, r *releases) []event.Serving {
	s, err := d.cfg.ECS.Service(ctx, c.Cluster, c.ECSService)
	if err != nil {
		return nil
	}
	return servingOf(ctx, s, r)
}

func servingOf(ctx context.Context, s Service, r *releases) []event.Serving {
	list := []event.Serving{}
	for _, part := range s.Parts {
		if part.Running > 0 {
			list = append(list, event.Serving{Release: r.of(ctx, part.TaskDefinition), Revision: revisionName(part.TaskDefinition), Running: part.Running})
		}
	}
	return list
}
