package provision

import (
	"context"
	"fmt"

	"github.com/slipway-dev/slipway/platform/kit/localcluster/gateway"
)

// parking is where rules wait whose priority is about to be somebody else's.
const parking = 40000

// DocsPath is where the gateway has the page of the service's API.
func DocsPath(service string) string { return "/docs/" + service }

// rules returns the listener rules with their priorities, from 1: gRPC and pages
// first, whose patterns name one service each, then the routes in the manifests'
// order, the more specific one first.
func (p *Provisioner) rules(shells []shell) []gateway.Rule {
	byName := map[string]shell{}
	var rules []gateway.Rule
	for _, s := range shells {
		byName[s.service.Name] = s
		if s.service.GRPC != nil {
			rules = append(rules, s.rule(s.service.Name+"-"+grpcName, grpcName, "/"+s.service.GRPC.Service+"/*"))
		}
		if s.service.HTTP != nil {
			page := s.rule(s.service.Name+"-docs", httpName, DocsPath(s.service.Name))
			page.Conditions[0].Values = append(page.Conditions[0].Values, DocsPath(s.service.Name)+"/*")
			rules = append(rules, page)
		}
	}
	for _, route := range p.work.Routes() {
		if s, ok := byName[route.Service]; ok {
			rules = append(rules, s.rule(s.service.Name+"-"+httpName+" "+route.Pattern, httpName, route.Pattern))
		}
	}
	for i := range rules {
		rules[i].Priority = i + 1
	}
	return rules
}

// route writes the listener rules and removes those of services and routes
// that are gone. A rule is replaced in one step, so that no request falls
// between two.
func (p *Provisioner) route(ctx context.Context, shells []shell) error {
	want := p.rules(shells)
	have, err := p.admin.Rules(ctx)
	if err != nil {
		return fmt.Errorf("list listener rules: %w", err)
	}
	wanted := map[string]int{}
	for _, r := range want {
		wanted[r.ID] = r.Priority
	}
	var gone []string
	for i, r := range have {
		if wanted[r.ID] == r.Priority {
			continue
		}
		if _, ok := wanted[r.ID]; !ok {
			gone = append(gone, r.ID)
		}
		r.Priority = parking + i
		if err := p.admin.PutRule(ctx, r); err != nil {
			return fmt.Errorf("move listener rule %s: %w", r.ID, err)
		}
	}
	for _, r := range want {
		if err := p.admin.PutRule(ctx, r); err != nil {
			return fmt.Errorf("put listener rule %s: %w", r.ID, err)
		}
	}
	for _, id := range gone {
		if err := p.admin.DeleteRule(ctx, id); err != nil {
			return fmt.Errorf("delete listener rule %s: %w", id, err)
		}
	}
	return nil
}
