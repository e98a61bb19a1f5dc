package rollout

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/slipway-dev/slipway/platform/kit/contract"
	"github.com/slipway-dev/slipway/platform/kit/event"
)

// simultaneous is how far the clocks of two records of ECS may differ: a
// deployment ends as superseded when the next one begins.
const simultaneous = time.Second

// OutcomeOf returns how a deployment ended, from ECS' own record of it; next is
// the deployment that came after it, nil when there is none. It returns false
// for one that has not ended. Verdicts, status and history all ask here.
func OutcomeOf(d Deployment, next *Deployment) (event.Outcome, bool) {
	switch d.State {
	case StateSuccessful:
		return event.Completed, true
	case StateRollbackSuccessful:
		return event.RolledBack, true
	case StateRollbackFailed:
		return event.Failed, true
	case StateStopped:
		// One that began later than this ended did not take its place.
		if next != nil && (d.FinishedAt.IsZero() || !next.CreatedAt.After(d.FinishedAt.Add(simultaneous))) {
			return event.Superseded, true
		}
		return event.Failed, true
	default:
		return "", false
	}
}

// Going names the state of a deployment that has not ended: "in_progress" or
// "rolling_back".
func Going(d Deployment) string {
	if d.State == StateRollbackInProgress || d.State == StateRollbackRequested {
		return puttingBack
	}
	return underWay
}

// ReleaseOf returns the release that a revision carries, or [UnknownRelease].
func ReleaseOf(td TaskDefinition, container string) string {
	if release := releaseOf(td, container); release != "" {
		return release
	}
	return UnknownRelease
}

// Why returns in one sentence why a deployment did not complete, from what ECS
// keeps of it, so that it is the same whenever it is asked; "" when it did, or
// has not ended. By is the release that took its place, if one did.
func Why(d Deployment, outcome event.Outcome, by string) string {
	switch {
	case outcome == event.Completed || outcome == "":
		return ""
	case outcome == event.Superseded:
		return "a rollout of release " + by + " took its place"
	case len(d.Alarms) > 0:
		noun := "alarm "
		if len(d.Alarms) > 1 {
			noun = "alarms "
		}
		return noun + strings.Join(d.Alarms, " and ") + " went off"
	case d.Breaker == breakerTriggered:
		return fmt.Sprintf("the circuit breaker triggered: %s failed to start or to pass the checks (threshold %d)", tasksText(d.Failures), d.Threshold)
	case d.RollbackReason != "":
		return d.RollbackReason
	case d.Reason != "":
		return d.Reason
	default:
		return "ECS gives no reason"
	}
}

// breakerTriggered is the status of a circuit breaker that ended a deployment.
const breakerTriggered = "TRIGGERED"

// SourceOf returns the beginning of the commit that a release was built from,
// empty without one, and whether it was built from files that no commit has. A
// release's version says both: see package release.
func SourceOf(version string) (commit string, dirty bool) {
	m := versions.FindStringSubmatch(version)
	if m == nil {
		return "", strings.HasPrefix(version, "v0-src.")
	}
	return m[1], m[2] != ""
}

var versions = regexp.MustCompile(`^v0-([0-9a-f]{12})(-dirty\.[0-9a-f]+)?$`)

func tasksText(n int) string {
	if n == 1 {
		return "1 task"
	}
	return fmt.Sprintf("%d tasks", n)
}

// UnknownRelease stands for the release of a revision that the kit did not
// make, such as the one that the shell is created with.
const UnknownRelease = "unknown"

func revisionOf(td TaskDefinition, container string) Revision {
	r := Revision{TaskDefinition: td.ARN, Name: revisionName(td.ARN), Release: releaseOf(td, container)}
	for _, c := range td.Containers {
		if c.Name == container {
			r.Image, r.Digest = c.Image, digestOf(c.Image)
		}
	}
	return r
}

// releaseOf returns the release of a revision: by its tag, else by the label
// that every container of ours has, as tags can be removed; "" when none.
func releaseOf(td TaskDefinition, container string) string {
	if release := td.Tags[contract.TagRelease]; release != "" {
		return release
	}
	for _, c := range td.Containers {
		if c.Name == container {
			return c.Labels[contract.LabelRelease]
		}
	}
	return ""
}

// revisionName returns family:revision of a task definition's ARN.
func revisionName(arn string) string {
	return arn[strings.LastIndex(arn, "/")+1:]
}

// releases resolves revisions to releases, each read once.
type releases struct {
	ecs       ECS
	container string
	known     map[string]string
}

func newReleases(ecs ECS, container string) *releases {
	return &releases{ecs: ecs, container: container, known: map[string]string{}}
}

// of returns the release of a revision, UnknownRelease when it has none or
// cannot be read.
func (r *releases) of(ctx context.Context, arn string) string {
	if release, ok := r.known[arn]; ok {
		return release
	}
	td, err := r.ecs.TaskDefinition(ctx, arn)
	if err != nil {
		return UnknownRelease // not kept: the next read may succeed
	}
	release := releaseOf(td, r.container)
	if release == "" {
		release = UnknownRelease
	}
	r.known[arn] = release
	return release
}
