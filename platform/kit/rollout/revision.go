package rollout

import (
	"context"
	"strings"

	"github.com/slipway-dev/slipway/platform/kit/contract"
)

// unknownRelease stands for the release of a revision that the kit did not
// make, such as the one that the shell is created with.
const unknownRelease = "unknown"

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

// of returns the release of a revision, unknownRelease when it has none or
// cannot be read.
func (r *releases) of(ctx context.Context, arn string) string {
	if release, ok := r.known[arn]; ok {
		return release
	}
	td, err := r.ecs.TaskDefinition(ctx, arn)
	if err != nil {
		return unknownRelease // not kept: the next read may succeed
	}
	release := releaseOf(td, r.container)
	if release == "" {
		release = unknownRelease
	}
	r.known[arn] = release
	return release
}
