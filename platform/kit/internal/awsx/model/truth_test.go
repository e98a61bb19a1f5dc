package model_test

import (
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/slipway-dev/slipway/platform/kit/event"
	"github.com/slipway-dev/slipway/platform/kit/internal/awsx/model"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/scheduler/fake"
)

// stateOf is the model's state of a deployment.
func (w *world) stateOf(id string) (model.State, types.ServiceDeployment, bool) {
	list := w.deployments()
	for i, d := range list {
		if last(*d.ServiceDeploymentArn) == id {
			return model.Of(string(d.Status), i < len(list)-1), d, true
		}
	}
	return "", types.ServiceDeployment{}, false
}

// checkTruth holds what a command said against what became of its deployment.
func (w *world) checkTruth(k *kit) {
	w.Helper()
	v := k.verdict
	switch {
	case k.dead || !k.over:
		return
	case k.err != nil:
		if len(k.began) > 0 && !strings.Contains(k.err.Error(), "goes on by itself") {
			w.Fatalf("%s ended without a verdict although it began %v: %v\n%s", k.name, k.began, k.err, w.story())
		}
		return
	case len(k.began) > 0 && v.Deployment != k.began[len(k.began)-1] && v.Outcome != event.TimedOut:
		w.Fatalf("%s began %v and speaks of %q\n%s", k.name, k.began, v.Deployment, w.story())
	case v.Outcome == event.Completed && !w.works(v.Release):
		w.Fatalf("%s says that release %s completed, which cannot run\n%s", k.name, v.Release, w.story())
	case v.Deployment == "":
		w.checkNothingBegan(k)
		return
	}
	state, dep, found := w.stateOf(v.Deployment)
	if !found {
		w.Fatalf("%s speaks of %q, which there is not\n%s", k.name, v.Deployment, w.story())
	}
	want, over := state.Outcome()
	if v.Outcome == event.TimedOut || v.Outcome == event.Interrupted {
		return
	}
	if !over || want != v.Outcome {
		w.Fatalf("%s says %s of a deployment that is %s (%s)\n%s", k.name, v.Outcome, state, dep.Status, w.story())
	}
}

// works reports whether a release's tasks come up and answer.
func (w *world) works(release string) bool {
	digit := strings.TrimPrefix(release, "v")
	return w.act[digit] == fake.Run && !w.sick[digit]
}

// checkNothingBegan holds a verdict without a deployment against the rest.
func (w *world) checkNothingBegan(k *kit) {
	w.Helper()
	switch k.verdict.Outcome {
	case event.Completed:
		done := func(d types.ServiceDeployment) bool { return d.Status == types.ServiceDeploymentStatusSuccessful }
		if !k.verdict.AlreadyRan || !slices.ContainsFunc(w.deployments(), done) {
			w.Fatalf("%s says completed and names no deployment\n%s", k.name, w.story())
		}
	case event.Superseded:
		list := w.deployments()
		if len(list) == 0 || *list[len(list)-1].ServiceDeploymentArn == k.plan.Seen {
			w.Fatalf("%s gave way to nothing\n%s", k.name, w.story())
		}
	case event.Failed, event.RolledBack, event.TimedOut, event.Interrupted: // nothing follows for the cluster
	}
}

// checkWhole holds once everything is steady: one release has every task and
// all traffic, and no deployment is without its end.
func (w *world) checkWhole() {
	w.Helper()
	svc := w.service()
	completed := false
	for _, d := range w.deployments() {
		completed = completed || d.Status == types.ServiceDeploymentStatusSuccessful
	}
	if svc.Deployments[0].RolloutState == types.DeploymentRolloutStateFailed {
		if completed && w.digit(*svc.TaskDefinition) != "" && !w.neverRan() {
			w.Fatalf("failed for good although a release had completed\n%s", w.story())
		}
		return
	}
	for _, t := range w.live() {
		if *t.TaskDefinitionArn != *svc.TaskDefinition {
			w.Fatalf("task %s is of release %q, the service of %q\n%s", last(*t.TaskArn), w.digit(*t.TaskDefinitionArn), w.digit(*svc.TaskDefinition), w.story())
		}
	}
	if n := len(w.live()); n != int(svc.DesiredCount) {
		w.Fatalf("%d tasks, want %d\n%s", n, svc.DesiredCount, w.story())
	}
	if svc.DesiredCount > 0 && w.answering() != int(svc.DesiredCount) {
		w.Fatalf("%d of %d tasks answer\n%s", w.answering(), svc.DesiredCount, w.story())
	}
}

// neverRan reports whether no release with an image ever completed: the shell's
// own first deployment, of no tasks, counts for nothing.
func (w *world) neverRan() bool {
	return !slices.ContainsFunc(w.deployments()[1:], func(d types.ServiceDeployment) bool {
		return d.Status == types.ServiceDeploymentStatusSuccessful
	})
}

// checkTraffic holds at every moment: the rule's shares are a whole.
func (w *world) checkTraffic() {
	w.Helper()
	shares := w.targets.Shares(rule)
	if len(shares) > 0 && shares[blue]+shares[green] != 100 {
		w.Fatalf("the rule's shares are %v\n%s", shares, w.story())
	}
	open := 0
	for _, d := range w.deployments() {
		if d.FinishedAt == nil {
			open++
		}
	}
	if open > 1 {
		w.Fatalf("%d deployments are under way at once\n%s", open, w.story())
	}
}
