package provision

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/slipway-dev/slipway/platform/kit/localcluster/gateway"
)

// parking is where rules wait whose priority is about to be somebody else's.
const parking = 40000

// route gives the services' rules their priorities, the more specific pattern
// first, and removes the rules of services that are gone. A rule is replaced
// in one step, so that no request falls between two.
func (p *Provisioner) route(ctx context.Context, shells []shell) error {
	var want []gateway.Rule
	for _, s := range shells {
		want = append(want, s.rules()...)
	}
	rank(want)
	have, err := p.admin.Rules(ctx)
	if err != nil {
		return fmt.Errorf("list listener rules: %w", err)
	}
	wanted := map[string]int{}
	for _, r := range want {
		wanted[r.ID] = r.Priority
	}
	for i, r := range have {
		priority, ok := wanted[r.ID]
		switch {
		case !ok:
			err = p.admin.DeleteRule(ctx, r.ID)
		case priority != r.Priority:
			r.Priority = parking + i
			err = p.admin.PutRule(ctx, r)
		}
		if err != nil {
			return fmt.Errorf("move listener rule %s: %w", r.ID, err)
		}
	}
	for _, r := range want {
		if err := p.admin.PutRule(ctx, r); err != nil {
			return fmt.Errorf("put listener rule %s: %w", r.ID, err)
		}
	}
	return nil
}

// rank orders rules by how much of a path their most general pattern fixes,
// and numbers them from 1.
func rank(rules []gateway.Rule) {
	fixed := func(r gateway.Rule) int {
		least := 1 << 30
		for _, c := range r.Conditions {
			for _, v := range c.Values {
				least = min(least, literalLength(v))
			}
		}
		return least
	}
	slices.SortStableFunc(rules, func(a, b gateway.Rule) int {
		return cmp.Or(cmp.Compare(fixed(b), fixed(a)), cmp.Compare(a.ID, b.ID))
	})
	for i := range rules {
		rules[i].Priority = i + 1
	}
}

// literalLength is how many characters a pattern fixes before its first
// wildcard; a pattern without one beats all of its length.
func literalLength(pattern string) int {
	if i := strings.IndexAny(pattern, "*?"); i >= 0 {
		return i
	}
	return len(pattern) + 1
}
