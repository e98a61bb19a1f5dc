package servicemap

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// text is a tree for each service that nobody calls, callees below their
// callers; then what is only in a circle; then warnings.
func (m Map) text() string {
	var b strings.Builder
	shown := map[string]bool{}
	for _, n := range m.Services {
		if len(n.CalledBy) == 0 {
			m.tree(&b, n, "", "", nil, shown)
		}
	}
	for _, n := range m.Services {
		if !shown[n.Name] {
			m.tree(&b, n, "", "", nil, shown)
		}
	}
	if len(m.Services) == 0 {
		b.WriteString("there is no service\n")
	}
	for _, w := range m.Warnings {
		fmt.Fprintf(&b, "warning: %s\n", w)
	}
	return b.String()
}

// tree writes a service and its callees. What was told of a service is not told
// again.
func (m Map) tree(b *strings.Builder, n Node, first, rest string, above []string, shown map[string]bool) {
	told := shown[n.Name]
	shown[n.Name] = true
	fmt.Fprintf(b, "%s%s", first, n.Name)
	if slices.Contains(above, n.Name) {
		b.WriteString("  (calls back)\n")
		return
	}
	if told && len(n.Calls) > 0 {
		b.WriteString("  (as above)\n")
		return
	}
	if !told {
		b.WriteString(n.told())
	}
	b.WriteString("\n")
	for i, callee := range n.Calls {
		branch, below := "├─ ", "│  "
		if i == len(n.Calls)-1 {
			branch, below = "└─ ", "   "
		}
		m.tree(b, m.node(callee), rest+branch, rest+below, append(slices.Clone(above), n.Name), shown)
	}
}

// told is what is worth knowing of a service beside its name.
func (n Node) told() string {
	var parts []string
	if e := n.entrance(); e != "" {
		parts = append(parts, e)
	}
	if n.Database != "" {
		parts = append(parts, n.Database)
	}
	if n.Team != "" {
		parts = append(parts, "team "+n.Team)
	}
	if len(parts) == 0 {
		return ""
	}
	return "  " + strings.Join(parts, "; ")
}

// mermaid is a flow chart, as Markdown on GitHub shows it.
func (m Map) mermaid() string {
	var b strings.Builder
	b.WriteString("flowchart LR\n")
	if len(m.public()) > 0 {
		b.WriteString("  client([clients])\n")
	}
	for _, n := range m.Services {
		fmt.Fprintf(&b, "  %s[%q]\n", identifier(n.Name), n.Name)
	}
	for _, n := range m.databases() {
		fmt.Fprintf(&b, "  %s_db[(%q)]\n", identifier(n.Name), n.Database)
	}
	for _, n := range m.public() {
		fmt.Fprintf(&b, "  client -- %q --> %s\n", n.entrance(), identifier(n.Name))
	}
	for _, n := range m.Services {
		for _, callee := range n.Calls {
			fmt.Fprintf(&b, "  %s --> %s\n", identifier(n.Name), identifier(callee))
		}
	}
	for _, n := range m.databases() {
		fmt.Fprintf(&b, "  %s --- %s_db\n", identifier(n.Name), identifier(n.Name))
	}
	for _, w := range m.Warnings {
		fmt.Fprintf(&b, "  %%%% warning: %s\n", w)
	}
	return b.String()
}

// dot is a graph for Graphviz.
func (m Map) dot() string {
	var b strings.Builder
	b.WriteString("digraph services {\n  rankdir=LR;\n  node [shape=box];\n")
	if len(m.public()) > 0 {
		b.WriteString("  \"clients\" [shape=ellipse];\n")
	}
	for _, n := range m.Services {
		fmt.Fprintf(&b, "  %q;\n", n.Name)
	}
	for _, n := range m.databases() {
		fmt.Fprintf(&b, "  %q [shape=cylinder, label=%q];\n", n.Name+" database", n.Database)
	}
	for _, n := range m.public() {
		fmt.Fprintf(&b, "  \"clients\" -> %q [label=%q];\n", n.Name, n.entrance())
	}
	for _, n := range m.Services {
		for _, callee := range n.Calls {
			fmt.Fprintf(&b, "  %q -> %q;\n", n.Name, callee)
		}
	}
	for _, n := range m.databases() {
		fmt.Fprintf(&b, "  %q -> %q [dir=none];\n", n.Name, n.Name+" database")
	}
	for _, w := range m.Warnings {
		fmt.Fprintf(&b, "  // warning: %s\n", w)
	}
	b.WriteString("}\n")
	return b.String()
}

func (m Map) json() (string, error) {
	raw, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return "", fmt.Errorf("encode the map of services: %w", err)
	}
	return string(raw) + "\n", nil
}

// identifier is a service's name in Mermaid, whose own words no service may
// take.
func identifier(name string) string { return "s_" + strings.ReplaceAll(name, "-", "_") }
