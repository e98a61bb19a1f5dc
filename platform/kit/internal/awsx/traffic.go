package awsx

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"time"

	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	"github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"

	"github.com/slipway-dev/slipway/platform/kit/rollout/check"
)

// Traffic reads Elastic Load Balancing.
type Traffic struct{ client *Client }

var _ check.Reader = Traffic{}

// Traffic returns a reader of target groups and listener rules.
func (c *Client) Traffic() Traffic { return Traffic{c} }

// TargetGroups implements [check.Reader]. Each is asked for by itself: one that
// does not exist fails a call for all.
func (t Traffic) TargetGroups(ctx context.Context, arns []string) ([]check.TargetGroup, error) {
	var groups []check.TargetGroup
	for _, arn := range arns {
		g, found, err := t.group(ctx, arn)
		if err != nil {
			return nil, err
		}
		if found {
			groups = append(groups, g)
		}
	}
	return groups, nil
}

func (t Traffic) group(ctx context.Context, arn string) (g check.TargetGroup, found bool, err error) {
	out, err := t.client.elb.DescribeTargetGroups(ctx, &elb.DescribeTargetGroupsInput{TargetGroupArns: []string{arn}})
	if absent[*types.TargetGroupNotFoundException](err) || err == nil && len(out.TargetGroups) == 0 {
		return g, false, nil
	}
	if err != nil {
		return g, false, t.client.wrap("describe target group "+arn, err)
	}
	g = check.TargetGroup{ARN: arn, Name: str(out.TargetGroups[0].TargetGroupName)}
	g.Settings = &check.TargetGroupSettings{HealthPath: str(out.TargetGroups[0].HealthCheckPath)}
	attributes, err := t.client.elb.DescribeTargetGroupAttributes(ctx, &elb.DescribeTargetGroupAttributesInput{TargetGroupArn: &arn})
	if err != nil {
		return g, false, t.client.wrap("describe attributes of target group "+arn, err)
	}
	for _, a := range attributes.Attributes {
		if str(a.Key) == "deregistration_delay.timeout_seconds" {
			seconds, err := strconv.Atoi(str(a.Value))
			if err != nil {
				return g, false, t.client.wrap("read attributes of target group "+arn, err)
			}
			g.Settings.Delay = time.Duration(seconds) * time.Second
		}
	}
	health, err := t.client.elb.DescribeTargetHealth(ctx, &elb.DescribeTargetHealthInput{TargetGroupArn: &arn})
	if err != nil {
		return g, false, t.client.wrap("describe health of target group "+arn, err)
	}
	for _, target := range health.TargetHealthDescriptions {
		g.Targets++
		if target.TargetHealth != nil && target.TargetHealth.State == types.TargetHealthStateEnumHealthy {
			g.Healthy++
		}
	}
	return g, true, nil
}

// Rules implements [check.Reader].
func (t Traffic) Rules(ctx context.Context, arns []string) (map[string][]string, error) {
	found := map[string][]string{}
	for _, arn := range arns {
		out, err := t.client.elb.DescribeRules(ctx, &elb.DescribeRulesInput{RuleArns: []string{arn}})
		if absent[*types.RuleNotFoundException](err) {
			continue
		}
		if err != nil {
			return nil, t.client.wrap("describe listener rule "+arn, err)
		}
		for _, rule := range out.Rules {
			found[str(rule.RuleArn)] = forwardsOf(rule)
		}
	}
	return found, nil
}

// forwardsOf are the target groups that a rule forwards to.
func forwardsOf(rule types.Rule) []string {
	var groups []string
	for _, action := range rule.Actions {
		if action.TargetGroupArn != nil {
			groups = append(groups, *action.TargetGroupArn)
		}
		if action.ForwardConfig == nil {
			continue
		}
		for _, g := range action.ForwardConfig.TargetGroups {
			if !slices.Contains(groups, str(g.TargetGroupArn)) {
				groups = append(groups, str(g.TargetGroupArn))
			}
		}
	}
	return groups
}

// absent reports whether AWS says that a thing does not exist.
func absent[E error](err error) bool {
	var e E
	return errors.As(err, &e)
}
