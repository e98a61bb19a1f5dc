// Package origin judges where a release's source came from: whether every file
// that went into it is in a commit that others can read. It believes the signed
// provenance; an image's own labels serve to name files alone. Whether the
// provenance is signed, and by whom, is package attest's business.
package origin

import (
	"context"
	"errors"
	"fmt"

	"github.com/slipway-dev/slipway/platform/kit/attest"
	"github.com/slipway-dev/slipway/platform/kit/attest/provenance"
	"github.com/slipway-dev/slipway/platform/kit/attest/statement"
	"github.com/slipway-dev/slipway/platform/kit/manifest"
	"github.com/slipway-dev/slipway/platform/kit/rollout"
)

// CheckName is the name of the check that a gate makes.
const CheckName = "clean tree"

// Statements are what an environment's key has signed about images.
type Statements interface {
	// Find returns the statements of a type whose signature holds.
	Find(ctx context.Context, repository, digest, predicateType string) ([]attest.Verified, error)
}

// Labels tell what an image says of itself.
type Labels interface {
	// Changes names the files that an image says were changed; "" when it says
	// nothing.
	Changes(ctx context.Context, repository, digest string) string
}

// Gate refuses releases of changes that are in no commit, where an environment
// does so.
type Gate struct {
	Rule       manifest.DirtyRule
	Statements Statements
	Labels     Labels // nil: files are not named
}

var _ rollout.Evidence = (*Gate)(nil)

// Examine checks one image. For a rollback nothing is a refusal: the release
// was let in once and has served.
func (g *Gate) Examine(ctx context.Context, q rollout.EvidenceQuery) []rollout.Check {
	c := rollout.Check{Name: CheckName}
	from, err := g.origin(ctx, q)
	switch {
	case err != nil:
		c.Detail, c.Next = "nobody vouches for where it came from: "+err.Error(), "go tool mage deploy "+q.Environment+" "+q.Service
	case from.Commit == "":
		c.Detail = "it was built where there is no commit, so nobody else can read its source"
		c.Next = "git commit   # then: go tool mage deploy " + q.Environment + " " + q.Service
	case from.Dirty:
		c.Detail = "it has changes that are not in commit " + short(from.Commit) + g.changes(ctx, q)
		c.Next = "git commit   # then: go tool mage deploy " + q.Environment + " " + q.Service
	default:
		c.OK, c.Detail = true, "commit "+short(from.Commit)
		return []rollout.Check{c}
	}
	switch {
	case g.Rule != manifest.DirtyRefuse:
		c.Skipped, c.Next = true, ""
		c.Detail += fmt.Sprintf("; %s allows that", q.Environment)
	case q.Rollback:
		c.Skipped, c.Next = true, ""
		c.Detail += "; this does not stop a rollback"
	}
	return []rollout.Check{c}
}

// origin returns what the signed provenance says. Where there is more than one,
// the worst counts.
func (g *Gate) origin(ctx context.Context, q rollout.EvidenceQuery) (provenance.Origin, error) {
	list, err := g.Statements.Find(ctx, q.Repository, q.Digest, statement.Provenance)
	if err != nil {
		return provenance.Origin{}, err
	}
	var found *provenance.Origin
	for _, v := range list {
		from, err := provenance.Read(v.Predicate)
		if err != nil {
			return provenance.Origin{}, err
		}
		if found == nil || from.Commit == "" || from.Dirty {
			found = &from
		}
	}
	if found == nil {
		return provenance.Origin{}, errors.New("it has no signed provenance")
	}
	return *found, nil
}

func (g *Gate) changes(ctx context.Context, q rollout.EvidenceQuery) string {
	if g.Labels == nil {
		return ""
	}
	if files := g.Labels.Changes(ctx, q.Repository, q.Digest); files != "" {
		return ": " + files
	}
	return ""
}

// short is how much of a commit's hash people get to see.
func short(commit string) string { return commit[:min(len(commit), 12)] }
