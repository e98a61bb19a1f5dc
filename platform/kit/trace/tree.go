package trace

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// Node is a span in its place in the tree.
type Node struct {
	Span     Span
	Children []*Node
	// Offset is the time from the start of the trace, corrected by Skew.
	Offset time.Duration
	// Skew is what was added to the span's start because the clock of its
	// machine differs from that of its caller's.
	Skew time.Duration
	// Orphan says that the parent named is not among the spans.
	Orphan bool
}

// entrySlack is how far a request's span may stick out of the gateway's: their
// clocks may differ.
const entrySlack = 50 * time.Millisecond

// Tree joins the spans by their parents, roots and siblings in order of their
// start. Whatever the spans say, each is in the tree exactly once: one whose
// parent is missing is a root, a circle is opened at its earliest span, and
// requests without a parent of their own are put below the gateway's span.
func (t Trace) Tree() []*Node {
	t.Spans = slices.Clone(t.Spans)
	t.Tidy()
	nodes := make([]*Node, len(t.Spans))
	byID := make(map[string]*Node, len(t.Spans))
	for i, s := range t.Spans {
		nodes[i] = &Node{Span: s}
		byID[s.ID] = nodes[i]
	}
	var roots []*Node
	for _, n := range nodes {
		parent := byID[n.Span.Parent]
		switch {
		case n.Span.Parent == "":
			roots = append(roots, n)
		case parent == nil:
			n.Orphan = true
			roots = append(roots, n)
		default:
			parent.Children = append(parent.Children, n)
		}
	}
	roots = append(roots, openCircles(nodes, roots)...)
	roots = adopt(roots)
	for _, r := range roots {
		correct(r)
	}
	place(roots)
	return roots
}

// openCircles finds the spans that no root leads to, and makes roots of the
// earliest of each circle.
func openCircles(nodes, roots []*Node) (opened []*Node) {
	reached := make(map[*Node]bool, len(nodes))
	var reach func(n *Node)
	reach = func(n *Node) {
		reached[n] = true
		n.Children = slices.DeleteFunc(n.Children, func(c *Node) bool { return reached[c] })
		for _, c := range n.Children {
			reach(c)
		}
	}
	for _, r := range roots {
		reach(r)
	}
	for _, n := range nodes {
		if !reached[n] {
			n.Orphan = true
			opened = append(opened, n)
			reach(n)
		}
	}
	return opened
}

// adopt puts requests that name the same parent as a span of the gateway (none,
// or the client's, which nobody reported) below that span: the last one that
// had begun when they began.
func adopt(roots []*Node) []*Node {
	var left []*Node
	for _, n := range roots {
		var best *Node
		for _, entry := range roots {
			if entry.Span.Service != GatewayService || n.Span.Service == GatewayService ||
				n.Span.Parent != entry.Span.Parent || n.Span.Kind != Server ||
				n.Span.Start.Before(entry.Span.Start.Add(-entrySlack)) || n.Span.Start.After(entry.Span.End().Add(entrySlack)) {
				continue
			}
			if best == nil || entry.Span.Start.After(best.Span.Start) && !entry.Span.Start.After(n.Span.Start) {
				best = entry
			}
		}
		if best == nil {
			left = append(left, n)
			continue
		}
		n.Orphan = false
		best.Children = append(best.Children, n)
	}
	return left
}

// correct moves a served request into the call that it answers, where the two
// clocks contradict each other: it cannot have begun before the call or ended
// after it.
func correct(n *Node) {
	for _, c := range n.Children {
		c.Skew = n.Skew
		start, end := c.Span.Start.Add(c.Skew), c.Span.End().Add(c.Skew)
		from, to := n.Span.Start.Add(n.Skew), n.Span.End().Add(n.Skew)
		answers := c.Span.Kind == Server && n.Span.Service != c.Span.Service
		if answers && (start.Before(from) || end.After(to)) && c.Span.Duration <= n.Span.Duration {
			c.Skew += from.Add((n.Span.Duration - c.Span.Duration) / 2).Sub(start)
		}
		correct(c)
	}
}

// place gives every node its offset, and siblings their order.
func place(roots []*Node) {
	var first time.Time
	var walk func(list []*Node, visit func(*Node))
	walk = func(list []*Node, visit func(*Node)) {
		for _, n := range list {
			visit(n)
			walk(n.Children, visit)
		}
	}
	walk(roots, func(n *Node) {
		if start := n.Span.Start.Add(n.Skew); first.IsZero() || start.Before(first) {
			first = start
		}
	})
	walk(roots, func(n *Node) { n.Offset = n.Span.Start.Add(n.Skew).Sub(first) })
	byStart := func(a, b *Node) int {
		return cmp.Or(cmp.Compare(a.Offset, b.Offset), cmp.Compare(b.Span.Duration, a.Span.Duration), strings.Compare(a.Span.ID, b.Span.ID))
	}
	walk(roots, func(n *Node) { slices.SortStableFunc(n.Children, byStart) })
	slices.SortStableFunc(roots, byStart)
}
