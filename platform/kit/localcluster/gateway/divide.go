package gateway

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
)

// ErrNoRule says that a listener rule does not exist.
var ErrNoRule = errors.New("listener rule not found")

// Divide changes how a rule shares its requests out, as ECS does while it moves
// traffic: percent of them to each target group. Groups that the rule did not
// know are added; what is not named gets nothing.
func (g *Gateway) Divide(id string, percent map[string]float64) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	have, ok := g.rules[id]
	if !ok || len(have.Forward) == 0 {
		return fmt.Errorf("divide rule %s: %w", id, ErrNoRule)
	}
	r := *have
	forward := slices.Clone(r.Forward)
	known := map[string]bool{}
	for i := range forward {
		known[forward[i].TargetGroupARN] = true
		forward[i].Weight = weightOf(percent[forward[i].TargetGroupARN])
	}
	for _, arn := range slices.Sorted(maps.Keys(percent)) {
		if !known[arn] {
			forward = append(forward, WeightedGroup{TargetGroupARN: arn, Weight: weightOf(percent[arn])})
		}
	}
	if slices.Equal(forward, r.Forward) {
		return nil
	}
	r.Forward = forward
	return g.putRule(r)
}

// weightOf turns percent into a rule's weight, in ninths so that a tenth of a
// percent still gets requests and the whole stays below the limit of 999.
func weightOf(percent float64) int { return int(math.Ceil(percent * 9)) }
