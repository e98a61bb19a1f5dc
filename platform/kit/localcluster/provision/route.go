package provision

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"

	"github.com/slipway-dev/slipway/platform/kit/localcluster/gateway"
	"github.com/slipway-dev/slipway/platform/kit/manifest"
)

// DocsPath is where the gateway has the page of the service's API.
func DocsPath(service string) string { return "/docs/" + service }

// rules returns the listener rules with their priorities, from 1: gRPC and pages
// first, whose patterns name one service each, then the routes in the manifests'
// order, the more specific one first.
//
// ECS moves the traffic of one rule for each load balancer entry of a service.
// Hence a service has one production rule for all its routes; a route that
// cannot be in it, for another service's lies between the two, gets a rule that
// follows it, and so does the page.
func (p *Provisioner) rules(shells []shell) []gateway.Rule {
	byName := map[string]shell{}
	var rules []gateway.Rule
	for _, s := range shells {
		byName[s.service.Name] = s
		if s.service.GRPC != nil {
			rules = append(rules, s.production(grpcName, "/"+s.service.GRPC.Service+"/*"))
		}
		if s.service.HTTP != nil {
			rules = append(rules, s.following("docs", DocsPath(s.service.Name), DocsPath(s.service.Name)+"/*"))
		}
	}
	routes := slices.DeleteFunc(p.work.Routes(), func(r manifest.Route) bool { _, ok := byName[r.Service]; return !ok })
	type place struct{ route, rule int }
	at := map[string]place{} // where the service's first route and its production rule are
	for i, route := range routes {
		s := byName[route.Service]
		first, ok := at[route.Service]
		switch {
		case !ok:
			at[route.Service] = place{i, len(rules)}
			rules = append(rules, s.production(httpName, route.Pattern))
		case mayJoin(routes[first.route:i], route):
			values := &rules[first.rule].Conditions[0].Values
			*values = append(*values, route.Pattern)
		default:
			rules = append(rules, s.following(httpName+" "+route.Pattern, route.Pattern))
		}
	}
	return withTests(rules, byName)
}

// TestHeader and TestValue mark a request as test traffic, which a deployment
// sends to the new release before production traffic reaches it. Outside of a
// deployment there is no difference.
const (
	TestHeader = "X-Slipway-Release"
	TestValue  = "next"
)

// withTests gives every rule its twin for test traffic, right before it, and all
// rules their priorities.
func withTests(rules []gateway.Rule, byName map[string]shell) []gateway.Rule {
	tests := map[string]string{} // of production rules
	for _, s := range byName {
		for _, e := range s.entries() {
			tests[e.productionRuleARN] = e.testRuleARN
		}
	}
	var out []gateway.Rule
	for _, r := range rules {
		twin := r
		twin.Conditions = append(slices.Clone(r.Conditions), gateway.Condition{Field: gateway.HTTPHeader, Header: TestHeader, Values: []string{TestValue}})
		if r.Follow != "" {
			twin.ID, twin.Follow = r.ID+" "+TestValue, tests[r.Follow]
		} else {
			twin.ID = tests[r.ID]
		}
		out = append(out, twin, r)
	}
	for i := range out {
		out[i].Priority = i + 1
	}
	return out
}

// mayJoin reports whether a route may be tried together with the first one of
// its service: no other service's route between the two takes any of its paths.
func mayJoin(between []manifest.Route, route manifest.Route) bool {
	return !slices.ContainsFunc(between, func(other manifest.Route) bool {
		return other.Service != route.Service && manifest.RoutesOverlap(other.Pattern, route.Pattern)
	})
}

// route writes the listener rules. Weights of rules that exist are the
// deployments' and stay, whatever they are just then.
func (p *Provisioner) route(ctx context.Context, shells []shell) error {
	if err := p.admin.DeclareRules(ctx, p.rules(shells)); err != nil {
		return fmt.Errorf("declare listener rules: %w", err)
	}
	return nil
}

// production is the rule that ECS moves the service's traffic by. It begins with
// all of it at the first target group.
func (s shell) production(port string, patterns ...string) gateway.Rule {
	return gateway.Rule{
		ID:         s.ruleARN(port),
		Conditions: []gateway.Condition{{Field: gateway.PathPattern, Values: patterns}},
		Forward: []gateway.WeightedGroup{
			{TargetGroupARN: s.targetGroupARN(port, false), Weight: 100}, {TargetGroupARN: s.targetGroupARN(port, true), Weight: 0},
		},
	}
}

// following is a rule for more of the service's paths.
func (s shell) following(name string, patterns ...string) gateway.Rule {
	return gateway.Rule{
		ID:         s.service.Name + "-" + name,
		Conditions: []gateway.Condition{{Field: gateway.PathPattern, Values: patterns}},
		Follow:     s.ruleARN(httpName),
	}
}

// testRuleARN is the test rule's.
func (s shell) testRuleARN(port string) string { return s.ruleARN(port + "-" + TestValue) }

// ruleARN is the production rule's, with ids that are the same at every run.
func (s shell) ruleARN(port string) string {
	return fmt.Sprintf("arn:aws:elasticloadbalancing:%s:%s:listener-rule/app/%s/%s/%s/%s", s.env.Region, s.env.Account,
		s.cluster(), stableID(s.cluster()), stableID(s.cluster()+"/listener"), stableID(s.cluster()+"/rule/"+s.service.Name+"-"+port))
}

// stableID is an id as Elastic Load Balancing gives them, made from a name.
func stableID(name string) string {
	sum := sha256.Sum256([]byte(name))
	return hex.EncodeToString(sum[:8])
}
