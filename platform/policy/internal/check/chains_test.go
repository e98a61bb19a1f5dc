package check

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// TestChains checks the search on random graphs: a denied package is reported
// exactly when it can be reached, by a chain whose every hop is an import and
// that no other path is shorter than.
func TestChains(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(2, 9).Draw(t, "packages")
		name := func(i int) string { return fmt.Sprintf("m.x/p%d", i) }
		g := &Graph{imports: map[string][]string{}, own: []string{name(0)}}
		for i := range n {
			var to []string
			for _, j := range rapid.SliceOfDistinct(rapid.IntRange(0, n-1), rapid.ID[int]).Draw(t, "imports") {
				to = append(to, name(j))
			}
			g.imports[name(i)] = to
		}
		far := distances(g, name(0))
		rule := ImportRule{Name: "r", From: []string{name(0)}, Deny: []string{name(n - 1)}}
		chains := rule.chains(g, name(0))
		want, reachable := far[name(n-1)]
		if reachable != (len(chains) == 1) || len(chains) > 1 {
			t.Fatalf("reachable: %v, chains: %v", reachable, chains)
		}
		for _, chain := range chains {
			if len(chain)-1 != want {
				t.Errorf("chain %v has %d hops, the shortest %d", chain, len(chain)-1, want)
			}
			for i := range chain[:len(chain)-1] {
				if !slices.Contains(g.imports[chain[i]], chain[i+1]) {
					t.Errorf("chain %v: %s does not import %s", chain, chain[i], chain[i+1])
				}
			}
		}
	})
}

// distances counts hops by relaxing every edge until nothing changes.
func distances(g *Graph, from string) map[string]int {
	far := map[string]int{from: 0}
	for before := -1; before != total(far); {
		before = total(far)
		for at := range maps.Clone(far) {
			for _, to := range g.imports[at] {
				if d, ok := far[to]; !ok || far[at]+1 < d {
					far[to] = far[at] + 1
				}
			}
		}
	}
	return far
}

func total(far map[string]int) int {
	sum := len(far) * 1000
	for _, d := range far {
		sum -= d
	}
	return sum
}
