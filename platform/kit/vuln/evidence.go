package vuln

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/slipway-dev/slipway/platform/kit/manifest"
	"github.com/slipway-dev/slipway/platform/kit/rollout"
)

// CheckName is the name of the check that a gate makes.
const CheckName = "vulnerabilities"

var _ rollout.Evidence = (*Gate)(nil)

// Examine checks an image by today's database. For a rollback nothing it finds
// is a refusal: the release has served before, and keeping a broken one in its
// place would be worse.
func (g *Gate) Examine(ctx context.Context, q rollout.EvidenceQuery) []rollout.Check {
	c := rollout.Check{Name: CheckName}
	report, err := g.Report(ctx, q.Repository, q.Digest)
	if err != nil {
		c.Detail, c.Next = err.Error(), orNext(err, "go tool mage check:vuln "+q.Service)
		var lacking *DatabaseError
		atHome := errors.As(err, &lacking) && !lacking.Damaged && g.cfg.Environment.IsLocal()
		c.Skipped = atHome || q.Rollback
		return []rollout.Check{c}
	}
	return []rollout.Check{g.Policy(q.Service).check(report, g.Now(), q.Rollback)}
}

// check turns a report into a check.
func (p Policy) check(r Report, now time.Time, rollback bool) rollout.Check {
	j := p.Judge(r, now)
	c := rollout.Check{Name: CheckName, OK: true, Detail: p.Text(r, j, now)}
	stale := j.Stale && p.Environment != manifest.Local && p.FailOn != manifest.FailNever
	switch {
	case len(j.Failing) > 0:
		c.OK, c.Next = false, mend(p.Service, j.Failing)
	case stale:
		c.OK, c.Next = false, FetchCommand
	case j.Stale:
		c.Next = FetchCommand
	}
	if !c.OK && rollback {
		c.Skipped, c.Detail = true, "this does not stop a rollback: "+c.Detail
	}
	return c
}

// shownFindings is how many findings a check spells out.
const shownFindings = 5

// Text says in a few words what the judgement is, and of which database.
func (p Policy) Text(r Report, j Judgement, now time.Time) string {
	var parts []string
	for i, f := range j.Failing {
		if i == shownFindings {
			parts = append(parts, fmt.Sprintf("and %d more (go tool mage check:vuln %s)", len(j.Failing)-i, p.Service))
			break
		}
		text := f.String()
		if day := j.Expired[f.ID]; day != "" {
			text += "; it was passed over until " + day
		}
		parts = append(parts, text)
	}
	if len(j.Ignored) > 0 {
		parts = append(parts, "passed over: "+p.reasons(j.Ignored))
	}
	if len(j.Below) > 0 {
		parts = append(parts, "known without failing: "+ids(j.Below))
	}
	if len(parts) == 0 {
		parts = []string{"nothing is known"}
	}
	about := age(r, now)
	if j.Stale {
		about += fmt.Sprintf(", where %s are allowed", shortly(time.Duration(p.MaxAge)))
	}
	return strings.Join(append(parts, about), "; ")
}

// reasons lists findings with why they are passed over.
func (p Policy) reasons(list []Finding) string {
	var texts []string
	for _, f := range list {
		for _, id := range slices.Sorted(maps.Keys(p.Ignore)) {
			if f.goes(id) {
				texts = append(texts, fmt.Sprintf("%s until %s (%s)", f.ID, p.Ignore[id].Until, p.Ignore[id].Reason))
			}
		}
	}
	return strings.Join(texts, ", ")
}

func ids(list []Finding) string {
	var texts []string
	for _, f := range list {
		texts = append(texts, fmt.Sprintf("%s (%s, %s)", f.ID, f.Module, f.Level))
	}
	return strings.Join(texts, ", ")
}

// shortly writes a time in whole days where it is one.
func shortly(d time.Duration) string {
	const day = 24 * time.Hour
	if d > day && d%day == 0 {
		return fmt.Sprintf("%d days", d/day)
	}
	return strings.TrimSuffix(strings.TrimSuffix(d.String(), "0s"), "0m")
}
