package check

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/slipway-dev/slipway/platform/kit/event"
)

// Reader is what the checks need of Elastic Load Balancing.
type Reader interface {
	// TargetGroups describes those of the groups that exist.
	TargetGroups(ctx context.Context, arns []string) ([]TargetGroup, error)
	// Rules returns the target groups that listener rules forward to, by the
	// ARN of each rule that exists.
	Rules(ctx context.Context, arns []string) (map[string][]string, error)
}

// TargetGroup is a target group of a load balancer.
type TargetGroup struct {
	ARN, Name        string
	Targets, Healthy int // registered, and healthy among them
	// Settings are nil where they cannot be read.
	Settings *TargetGroupSettings
}

// TargetGroupSettings are how a target group checks and drains its targets.
type TargetGroupSettings struct {
	HealthPath string        // empty when nothing is asked for
	Delay      time.Duration // that a target is drained (deregistration delay)
}

// Balancer is a load balancer entry of a service.
type Balancer struct {
	Group     string // ARN of the target group
	Alternate string // of the other one, for deployments that move traffic
	Rule      string // ARN of the production listener rule
	TestRule  string // of the test listener rule; may be empty
}

// Traffic examines what is before a service: its target groups, and the rules
// between them when its deployments move traffic.
type Traffic struct {
	Runner

	Group     string // of the checks
	Reader    Reader // nil: nothing can be read
	Balancers []Balancer
	Running   int           // tasks of the service
	Strategy  string        // ROLLING, BLUE_GREEN, CANARY, LINEAR
	Watched   time.Duration // how long a rollout is watched
	Owner     string        // the command that mends target groups and rules
}

// Examine returns one check a target group, entry and rule.
func (t Traffic) Examine(ctx context.Context) []event.Check {
	const name = "target groups and rules"
	shifts := t.Strategy != "" && t.Strategy != "ROLLING"
	switch {
	case len(t.Balancers) == 0:
		return []event.Check{Skipped(t.Group, name, "the service is behind no load balancer")}
	case t.Reader == nil:
		return []event.Check{Skipped(t.Group, name, "the load balancer cannot be read here")}
	}
	var groups, rules []string
	for _, b := range t.Balancers {
		groups = append(groups, b.Group)
		if shifts {
			groups, rules = append(groups, b.Alternate), append(rules, b.Rule, b.TestRule)
		}
	}
	parts := []func() []event.Check{func() []event.Check { return t.groups(ctx, given(groups)) }}
	if shifts {
		parts = append(parts, func() []event.Check { return t.rules(ctx, given(rules)) })
	}
	return Together(parts...)
}

func (t Traffic) groups(ctx context.Context, arns []string) []event.Check {
	found := map[string]TargetGroup{}
	read := t.Run(ctx, t.Group, "target groups", func(ctx context.Context) Finding {
		list, err := t.Reader.TargetGroups(ctx, arns)
		if err == nil {
			byARN := map[string]TargetGroup{}
			for _, g := range list {
				byARN[g.ARN] = g
			}
			found = byARN
		}
		return Finding{Err: err, Next: t.Owner}
	})
	if read.Failed() {
		return []event.Check{read}
	}
	var checks []event.Check
	for _, arn := range arns {
		g, ok := found[arn]
		c := event.Check{Group: t.Group, Name: "target group " + nameOf(arn)}
		if why := unfit(g, ok, t.Watched); why != "" {
			c.Detail, c.Next = why, t.Owner
		} else {
			c.OK, c.Detail = true, g.describe()
		}
		checks = append(checks, c)
	}
	return append(checks, t.healthyNow(found)...)
}

// unfit says why a rollout by this target group cannot end well.
func unfit(g TargetGroup, exists bool, watched time.Duration) string {
	switch set := g.Settings; {
	case !exists:
		return "it does not exist"
	case set == nil:
		return ""
	case set.HealthPath == "":
		return "it has no health check path, so that nothing tells a task that works from one that does not"
	case set.Delay <= 0:
		return "its deregistration delay is 0: requests under way fail whenever a task is replaced"
	case set.Delay >= watched:
		return fmt.Sprintf("its deregistration delay is %s, and the rollout is watched for %s", set.Delay, watched)
	default:
		return ""
	}
}

func (g TargetGroup) describe() string {
	text := fmt.Sprintf("%d of %d targets healthy", g.Healthy, g.Targets)
	if g.Settings != nil {
		text += fmt.Sprintf(", asked for %s, drained for %s", g.Settings.HealthPath, g.Settings.Delay)
	}
	return text
}

// healthyNow tells of entries whose running tasks are all unhealthy. It refuses
// nothing: a rollout may be what mends it.
func (t Traffic) healthyNow(found map[string]TargetGroup) []event.Check {
	var checks []event.Check
	for _, b := range t.Balancers {
		one, other := found[b.Group], found[b.Alternate]
		c := event.Check{Group: t.Group, Name: "healthy targets behind " + nameOf(b.Group), OK: true}
		switch healthy := one.Healthy + other.Healthy; {
		case healthy > 0:
			c.Detail = fmt.Sprintf("%d for %d running tasks", healthy, t.Running)
		case t.Running == 0:
			c.OK, c.Skipped, c.Detail = false, true, "no task is running"
		default:
			c.OK, c.Skipped, c.Detail = false, true, "none: what runs does not pass its checks; a rollout may be what mends it"
		}
		checks = append(checks, c)
	}
	return checks
}

// rules examines what moves traffic between two target groups.
func (t Traffic) rules(ctx context.Context, arns []string) []event.Check {
	found := map[string][]string{}
	read := t.Run(ctx, t.Group, "listener rules", func(ctx context.Context) Finding {
		list, err := t.Reader.Rules(ctx, arns)
		if err == nil {
			found = list
		}
		return Finding{Err: err, Next: t.Owner}
	})
	if read.Failed() {
		return []event.Check{read}
	}
	var checks []event.Check
	for _, b := range t.Balancers {
		c := event.Check{Group: t.Group, Name: "listener rules for " + nameOf(b.Group)}
		if why := unmovable(b, found, t.Strategy); why != "" {
			c.Detail, c.Next = why, t.Owner
		} else {
			c.OK, c.Detail = true, "they forward to both target groups"
		}
		checks = append(checks, c)
	}
	return checks
}

// unmovable says why the traffic of an entry cannot be moved.
func unmovable(b Balancer, rules map[string][]string, strategy string) string {
	if b.Alternate == "" || b.Rule == "" {
		return "the strategy " + strings.ToLower(strategy) + " needs a second target group and a production listener rule, and the service has none"
	}
	for _, rule := range given([]string{b.Rule, b.TestRule}) {
		forwards, ok := rules[rule]
		if !ok {
			return rule + " does not exist"
		}
		if rule == b.Rule && !(slices.Contains(forwards, b.Group) && slices.Contains(forwards, b.Alternate)) {
			return rule + " does not forward to both target groups"
		}
	}
	return ""
}

// named leaves empty and repeated names out.
func given(list []string) []string {
	slices.Sort(list)
	return slices.DeleteFunc(slices.Compact(list), func(name string) bool { return name == "" })
}

// nameOf is the name in a target group's ARN: targetgroup/NAME/ID.
func nameOf(arn string) string {
	parts := strings.Split(arn, "/")
	return parts[max(0, len(parts)-2)]
}
