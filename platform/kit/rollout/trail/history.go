package trail

import (
	"context"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/slipway-dev/slipway/platform/kit/contract"
	"github.com/slipway-dev/slipway/platform/kit/event"
	"github.com/slipway-dev/slipway/platform/kit/rollout"
)

// DefaultLimit is how many rollouts a history has unless another number is
// asked for; MaxLimit is the most that ECS lists at once.
const (
	DefaultLimit = 20
	MaxLimit     = 100
)

// History is what ECS keeps of a service's deployments, newest first.
type History struct {
	Environment string  `json:"environment"`
	Service     string  `json:"service"`
	Rollouts    []Entry `json:"rollouts"`
}

// Entry is one deployment.
type Entry struct {
	Deployment string `json:"deployment"`
	Release    string `json:"release"`
	Commit     string `json:"commit,omitempty"`
	Dirty      bool   `json:"dirty,omitempty"`
	Revision   string `json:"revision"`
	// Rollback says that an earlier revision than the one before was deployed.
	Rollback bool `json:"rollback,omitempty"`
	// By is who registered the revision; for a rollback nobody keeps who asked.
	By       string         `json:"by,omitempty"`
	Strategy string         `json:"strategy,omitempty"`
	Outcome  string         `json:"outcome"`            // an event.Outcome, "in_progress" or "rolling_back"
	Why      string         `json:"why,omitempty"`      // it did not complete, as the verdict said
	PutBack  string         `json:"put_back,omitempty"` // the release that ECS put back
	Began    time.Time      `json:"began"`
	Ended    time.Time      `json:"ended,omitzero"`
	Duration event.Duration `json:"duration,omitempty"`
}

// History reads the newest rollouts of a service; limit 0 takes [DefaultLimit].
func (r *Reader) History(ctx context.Context, service string, limit int) (History, error) {
	h := History{Environment: r.cfg.Environment, Service: service, Rollouts: []Entry{}}
	what := fmt.Sprintf("read the history of %s in %s", service, r.cfg.Environment)
	c, err := r.cfg.Contracts.Contract(ctx, r.cfg.Environment, service)
	if err != nil {
		return h, fail(what, err, r.shell())
	}
	if limit <= 0 {
		limit = DefaultLimit
	}
	// One more tells whether the oldest one went back.
	list, err := r.cfg.ECS.Deployments(ctx, c.Cluster, c.ECSService, min(limit+1, MaxLimit))
	if err != nil {
		return h, fail(what, err, r.shell())
	}
	revisions := revisions{ecs: r.cfg.ECS, known: map[string]rollout.TaskDefinition{}}
	for i, dep := range list[:min(limit, len(list))] {
		var next, previous *rollout.Deployment
		if i > 0 {
			next = &list[i-1]
		}
		if i+1 < len(list) {
			previous = &list[i+1]
		}
		entry, err := revisions.entry(ctx, c, dep, next, previous)
		if err != nil {
			return h, fail(what, err, r.shell())
		}
		if r.cfg.Local {
			entry.By = "" // it is always the same there
		}
		h.Rollouts = append(h.Rollouts, entry)
	}
	return h, nil
}

// revisions reads task definitions, each once.
type revisions struct {
	ecs   rollout.ECS
	known map[string]rollout.TaskDefinition
}

func (r revisions) of(ctx context.Context, arn string) (rollout.TaskDefinition, error) {
	if td, ok := r.known[arn]; ok {
		return td, nil
	}
	td, err := r.ecs.TaskDefinition(ctx, arn)
	if err == nil {
		r.known[arn] = td
	}
	return td, err
}

func (r revisions) release(ctx context.Context, arn, container string) string {
	td, err := r.of(ctx, arn)
	if err != nil {
		return rollout.UnknownRelease
	}
	return rollout.ReleaseOf(td, container)
}

func (r revisions) entry(ctx context.Context, c contract.Contract, dep rollout.Deployment, next, previous *rollout.Deployment) (Entry, error) {
	if err := ctx.Err(); err != nil {
		return Entry{}, err
	}
	e := Entry{
		Deployment: dep.ID, Release: r.release(ctx, dep.TaskDefinition, c.Container), Revision: revisionName(dep.TaskDefinition),
		Strategy: dep.Strategy, Began: dep.CreatedAt, Ended: dep.FinishedAt,
	}
	e.Commit, e.Dirty = rollout.SourceOf(e.Release)
	target, err := r.of(ctx, dep.TaskDefinition)
	if err == nil && previous != nil {
		if before, err := r.of(ctx, previous.TaskDefinition); err == nil {
			e.Rollback = target.Revision < before.Revision
		}
	}
	if !e.Rollback {
		e.By = target.RegisteredBy
	}
	by := ""
	if next != nil {
		by = r.release(ctx, next.TaskDefinition, c.Container)
	}
	outcome, over := rollout.OutcomeOf(dep, next)
	e.Outcome, e.Why = string(outcome), rollout.Why(dep, outcome, by)
	if !over {
		e.Outcome = rollout.Going(dep)
	}
	if dep.PutBack != "" && outcome != event.Superseded {
		e.PutBack = r.release(ctx, dep.PutBack, c.Container)
	}
	if !e.Ended.IsZero() {
		e.Duration = event.Duration(e.Ended.Sub(e.Began))
	}
	return e, nil
}

func revisionName(arn string) string { return arn[strings.LastIndex(arn, "/")+1:] }

// String returns the history as an aligned table, why a rollout did not
// complete below its row.
func (h History) String() string {
	if len(h.Rollouts) == 0 {
		return fmt.Sprintf("%s was never rolled out to %s\n", h.Service, h.Environment)
	}
	var b strings.Builder
	table := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "BEGAN\tRELEASE\tOUTCOME\tTOOK\tSTRATEGY\tDEPLOYMENT\tBY")
	for _, e := range h.Rollouts {
		took := "-"
		if !e.Ended.IsZero() {
			took = e.Duration.String()
		}
		release := e.Release
		if e.Rollback {
			release += " (rollback)"
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", e.Began.UTC().Format("2006-01-02 15:04:05Z"), release,
			strings.ReplaceAll(e.Outcome, "_", " "), took, or(strings.ToLower(e.Strategy), "-"), e.Deployment, or(e.By, "-"))
	}
	_ = table.Flush() // a builder takes everything
	rows := strings.Split(strings.TrimSuffix(b.String(), "\n"), "\n")
	var text strings.Builder
	for i, row := range rows {
		text.WriteString(strings.TrimRight(row, " ") + "\n")
		if i == 0 {
			continue
		}
		e := h.Rollouts[i-1]
		if e.Why != "" {
			text.WriteString("  why: " + e.Why + "\n")
		}
		if e.PutBack != "" {
			text.WriteString("  put back: " + e.PutBack + "\n")
		}
	}
	return text.String()
}

func or(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}
