package check

import (
	"fmt"
	"slices"
	"strings"
)

// ImportRule forbids some packages to import some others.
//
// A pattern is an import path; or one ending in "/...", for that package and
// all below it; or one ending in "...", for every path with that prefix; or
// "std" for the standard library; or "*" for everything.
type ImportRule struct {
	Name string
	// From are the packages that the rule binds.
	From []string
	// Except are packages it does not bind although From matches them; each
	// must need its exception.
	Except []string
	// Deny are the packages that must not be imported.
	Deny []string
	// But are packages that may be imported although Deny matches them.
	But []string
	// Direct limits the rule to a package's own imports; otherwise whatever
	// they import in turn counts too.
	Direct bool
	// Tests makes imports of the package's test files count.
	Tests bool
	// Reason says what the rule protects; it is printed with each finding.
	Reason string
}

// Imports reports every chain of imports that breaks a rule, and every rule
// and exception that no longer applies to anything.
func Imports(g *Graph, rules []ImportRule) []Finding {
	var found []Finding
	for _, r := range rules {
		found = append(found, r.check(g)...)
	}
	return sorted(found)
}

func (r ImportRule) check(g *Graph) []Finding {
	var found []Finding
	bound := 0
	needed := make([]bool, len(r.Except))
	for _, from := range g.own {
		if !matchAny(r.From, from) {
			continue
		}
		bound++
		chains := r.chains(g, from)
		if i := slices.IndexFunc(r.Except, func(p string) bool { return match(p, from) }); i >= 0 {
			needed[i] = needed[i] || len(chains) > 0
			continue
		}
		for _, c := range chains {
			found = append(found, Finding{
				File: from,
				What: fmt.Sprintf("breaks the import rule %q: %s", r.Name, strings.Join(c, " -> ")),
				Mend: "cut the chain; the rule is there because " + r.Reason,
			})
		}
	}
	if bound == 0 {
		found = append(found, r.stale("binds no package: nothing matches "+strings.Join(r.From, ", ")))
	}
	for i, ok := range needed {
		if !ok {
			found = append(found, r.stale("has an exception that nothing needs: "+r.Except[i]))
		}
	}
	return found
}

func (r ImportRule) stale(what string) Finding {
	return Finding{File: "import rule " + r.Name, What: what, Mend: "correct the pattern or delete it"}
}

// chains finds the shortest chain from one package to each denied one. A chain
// that continues in another bound package is left to that package's report.
func (r ImportRule) chains(g *Graph, from string) [][]string {
	var chains [][]string
	came := map[string]string{from: ""}
	for queue := []string{from}; len(queue) > 0; queue = queue[1:] {
		at := queue[0]
		for _, to := range r.edges(g, at, at == from) {
			if _, ok := came[to]; ok {
				continue
			}
			came[to] = at
			switch {
			case matchAny(r.Deny, to) && !matchAny(r.But, to):
				chains = append(chains, trace(came, to))
			case !r.Direct && !isStandard(to) && !r.binds(to):
				queue = append(queue, to)
			}
		}
	}
	return chains
}

func (r ImportRule) edges(g *Graph, at string, first bool) []string {
	if first && r.Tests {
		return slices.Concat(g.imports[at], g.tests[at])
	}
	return g.imports[at]
}

func (r ImportRule) binds(p string) bool {
	return matchAny(r.From, p) && !matchAny(r.Except, p)
}

func trace(came map[string]string, to string) []string {
	var chain []string
	for at := to; at != ""; at = came[at] {
		chain = append(chain, at)
	}
	slices.Reverse(chain)
	return chain
}

func matchAny(patterns []string, p string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool { return match(pattern, p) })
}

func match(pattern, p string) bool {
	switch {
	case pattern == "*":
		return true
	case pattern == "std":
		return isStandard(p)
	case strings.HasSuffix(pattern, "/..."):
		base := strings.TrimSuffix(pattern, "/...")
		return p == base || strings.HasPrefix(p, base+"/")
	case strings.HasSuffix(pattern, "..."):
		return strings.HasPrefix(p, strings.TrimSuffix(pattern, "..."))
	default:
		return p == pattern
	}
}

// isStandard tells the standard library by its form: the first element of any
// other import path is a host name with a dot.
func isStandard(p string) bool {
	first, _, _ := strings.Cut(p, "/")
	return !strings.Contains(first, ".")
}
