package rollout

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/slipway-dev/slipway/platform/kit/event"
	"github.com/slipway-dev/slipway/platform/kit/rollout/check"
)

// The groups of checks, in the order in which they are told.
const (
	groupService  = "service"
	groupImage    = "image"
	groupEvidence = "supply chain"
	groupSecrets  = "secrets"
	groupNetwork  = "network"
	groupTraffic  = "traffic"
	groupAlarms   = "alarms"
	groupDatabase = "database"
)

// evidenceTimeout bounds one piece of evidence: a scan reads the whole image.
const evidenceTimeout = 3 * time.Minute

// Check is one thing that was verified before anything was changed; see
// [event.Check].
type Check = event.Check

// VerifyError holds the checks that failed.
type VerifyError struct {
	Service string
	Env     string
	Failed  []Check
	All     event.Checks    // the failed ones among the others
	Serving []event.Serving // what has running tasks; nil when that is not known
}

// Error tells every check as a tree, what serves, and what to type next.
func (e *VerifyError) Error() string {
	var text strings.Builder
	fmt.Fprintf(&text, "verify %s %s in %s: %s, nothing was changed\n%s  serving: %s",
		e.Service, e.All.Release, e.Env, e.All.Summary(), e.All.Tree(), event.ServingText(e.Serving))
	var told []string
	for _, c := range e.Failed {
		if c.Next != "" && !slices.Contains(told, c.Next) {
			told = append(told, c.Next)
			text.WriteString("\nnext: " + c.Next)
		}
	}
	return text.String()
}

// Next returns the command of the first failed check.
func (e *VerifyError) Next() string {
	for _, c := range e.Failed {
		if c.Next != "" {
			return c.Next
		}
	}
	return ""
}

// ExitCode returns 1.
func (e *VerifyError) ExitCode() int { return 1 }

// Verify checks everything that the plan needs before anything is changed, at
// the same time as far as checks do not depend on one another. It returns all
// checks by groups, and a *VerifyError that holds the failed ones.
func (d *Deployer) Verify(ctx context.Context, p Plan) ([]Check, error) {
	var checks [4][]Check
	var every sync.WaitGroup
	for i, part := range []func(context.Context, Plan) []Check{d.checkService, d.checkImage, d.checkDefinition, d.checkAlarms} {
		every.Go(func() { checks[i] = part(ctx, p) })
	}
	every.Wait()
	list := append(slices.Concat(checks[:]...), d.checkMigration(p)...)
	slices.SortStableFunc(list, func(a, b Check) int { return rank(a.Group) - rank(b.Group) })
	if err := ctx.Err(); err != nil {
		return list, err
	}
	all := event.NewChecks(p.Service, p.Environment, p.To.Release, list)
	if all.Failed == 0 {
		return list, nil
	}
	failed := &VerifyError{Service: p.Service, Env: p.Environment, All: all}
	for _, c := range list {
		if c.Failed() {
			failed.Failed = append(failed.Failed, c)
		}
	}
	failed.Serving = d.serving(ctx, p.Contract, newReleases(d.cfg.ECS, p.Contract.Container))
	return list, failed
}

func rank(group string) int {
	return slices.Index([]string{groupService, groupImage, groupEvidence, groupSecrets, groupNetwork, groupTraffic, groupAlarms, groupDatabase}, group)
}

// Examine verifies a release as [Deployer.Apply] would before it changes
// anything; it changes nothing itself. What prevents a plan is a failed check.
func (d *Deployer) Examine(ctx context.Context, service string, release Release, opts Options) (event.Checks, error) {
	began := d.cfg.Clock.Now()
	list, err := d.verifyAlone(ctx, service, release, opts)
	if err != nil {
		return event.Checks{}, err
	}
	all := event.NewChecks(service, d.cfg.Environment, release.Version, list)
	all.Duration = event.Duration(d.cfg.Clock.Since(began))
	return all, nil
}

func (d *Deployer) verifyAlone(ctx context.Context, service string, release Release, opts Options) ([]Check, error) {
	plan, err := d.Plan(ctx, service, release, opts)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err != nil {
		list := []Check{{Group: groupService, Name: "plan", Detail: err.Error(), Next: orNext(err, d.shell())}}
		for _, group := range []string{groupImage, groupEvidence, groupSecrets, groupNetwork, groupTraffic, groupAlarms} {
			list = append(list, check.Skipped(group, "all checks", check.Because("plan")))
		}
		return list, nil
	}
	list, err := d.Verify(ctx, plan)
	var refused *VerifyError
	if err != nil && !errors.As(err, &refused) {
		return nil, err
	}
	return list, nil
}

// verify is the step of Apply that verifies.
func (a *application) verify(ctx context.Context) error {
	return a.emit.Run("verify", func(*event.Step) (string, error) {
		began := a.d.cfg.Clock.Now()
		list, err := a.d.Verify(ctx, a.plan)
		if ctx.Err() != nil {
			return "", err
		}
		all := event.NewChecks(a.plan.Service, a.plan.Environment, a.plan.To.Release, list)
		all.Duration = event.Duration(a.d.cfg.Clock.Since(began))
		a.emit.Emit(all)
		return all.Summary(), err
	})
}
