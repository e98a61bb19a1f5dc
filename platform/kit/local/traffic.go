package local

import (
	"context"
	"fmt"
	"slices"

	"github.com/slipway-dev/slipway/platform/kit/localcluster/admin"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/gateway"
	"github.com/slipway-dev/slipway/platform/kit/rollout/check"
)

// Traffic reads target groups and rules of the cluster's gateway. How a group
// checks and drains its targets it does not tell.
type Traffic struct{ cluster *Cluster }

var _ check.Reader = Traffic{}

// Traffic returns a reader of the running cluster's gateway.
func (c *Cluster) Traffic() Traffic { return Traffic{c} }

// TargetGroups implements [check.Reader]. A group exists when a rule forwards to it.
func (t Traffic) TargetGroups(ctx context.Context, arns []string) ([]check.TargetGroup, error) {
	client, rules, err := t.read(ctx)
	if err != nil {
		return nil, err
	}
	var groups []check.TargetGroup
	for _, arn := range arns {
		if !slices.ContainsFunc(rules, func(r gateway.Rule) bool { return slices.Contains(groupsOf(r), arn) }) {
			continue
		}
		targets, err := client.Targets(ctx, arn)
		if err != nil {
			return nil, fmt.Errorf("read targets: %w", err)
		}
		g := check.TargetGroup{ARN: arn, Targets: len(targets)}
		for _, target := range targets {
			if target.State == gateway.StateHealthy {
				g.Healthy++
			}
		}
		groups = append(groups, g)
	}
	return groups, nil
}

// Rules implements [check.Reader].
func (t Traffic) Rules(ctx context.Context, arns []string) (map[string][]string, error) {
	_, rules, err := t.read(ctx)
	if err != nil {
		return nil, err
	}
	found := map[string][]string{}
	for _, r := range rules {
		if slices.Contains(arns, r.ID) {
			found[r.ID] = groupsOf(r)
		}
	}
	return found, nil
}

func (t Traffic) read(ctx context.Context) (*admin.Client, []gateway.Rule, error) {
	info, err := t.cluster.Find(ctx)
	if err != nil {
		return nil, nil, err
	}
	client := admin.NewClient(info)
	rules, err := client.Rules(ctx)
	if err != nil {
		return nil, nil, fmt.Errorf("read listener rules: %w", err)
	}
	return client, rules, nil
}

func groupsOf(r gateway.Rule) []string {
	groups := make([]string, len(r.Forward))
	for i, f := range r.Forward {
		groups[i] = f.TargetGroupARN
	}
	return groups
}
