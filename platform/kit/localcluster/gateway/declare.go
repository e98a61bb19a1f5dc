package gateway

import (
	"errors"
	"fmt"
	"maps"
	"slices"
)

// DeclareRules makes the rules all that there are, in one step: a request meets
// the old ones or the new ones. A rule that exists and forwards to the same
// target groups keeps its weights, which belong to whoever moves traffic: the
// same as `ignore_changes` on a listener rule's target groups in Terraform.
func (g *Gateway) DeclareRules(rules []Rule) error {
	next, taken := map[string]*Rule{}, map[int]string{}
	for _, r := range rules {
		if err := r.validate(); err != nil {
			return err
		}
		if other, ok := taken[r.Priority]; ok || next[r.ID] != nil {
			return fmt.Errorf("declare rule %s: priority %d is rule %s's, or it is there twice: %w", r.ID, r.Priority, other, ErrInUse)
		}
		next[r.ID], taken[r.Priority] = &r, r.ID
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	for id, r := range next {
		if have := g.rules[id]; have != nil && sameGroups(have.Forward, r.Forward) {
			r.Forward = have.Forward
		}
	}
	before := g.rules
	g.rules = next
	if err := g.rebuild(); err != nil {
		g.rules = before
		return errors.Join(fmt.Errorf("declare rules: %w", err), g.rebuild())
	}
	return g.persistRules(before)
}

// persistRules keeps the rules and forgets those of before that are gone.
func (g *Gateway) persistRules(before map[string]*Rule) error {
	for _, id := range slices.Sorted(maps.Keys(g.rules)) {
		if err := g.persist(rulePrefix+id, *g.rules[id]); err != nil {
			return fmt.Errorf("keep rule %s: %w", id, err)
		}
	}
	for id := range before {
		if g.rules[id] != nil {
			continue
		}
		if err := g.persist(rulePrefix+id, nil); err != nil {
			return fmt.Errorf("forget rule %s: %w", id, err)
		}
	}
	return nil
}

// sameGroups reports whether two rules forward to the same target groups.
func sameGroups(a, b []WeightedGroup) bool {
	groups := func(list []WeightedGroup) map[string]bool {
		set := map[string]bool{}
		for _, w := range list {
			set[w.TargetGroupARN] = true
		}
		return set
	}
	return maps.Equal(groups(a), groups(b))
}
