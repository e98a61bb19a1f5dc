package manifest

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Route is a path pattern and the service that it leads to.
type Route struct {
	Pattern string
	Service string
}

// Routes returns every HTTP route of every service in the order in which
// listener rules must try them: a pattern within another comes before it.
func (w *Workspace) Routes() []Route {
	var routes []Route
	for _, s := range w.Services {
		if s.HTTP == nil {
			continue
		}
		for _, pattern := range s.HTTP.Routes {
			routes = append(routes, Route{pattern, s.Name})
		}
	}
	slices.SortFunc(routes, func(a, b Route) int {
		// A pattern within another has at least as many literal characters,
		// and when as many, fewer or narrower wildcards.
		p, q := normal(a.Pattern), normal(b.Pattern)
		return cmp.Or(cmp.Compare(literals(q), literals(p)),
			cmp.Compare(strings.Count(p, "*"), strings.Count(q, "*")),
			cmp.Compare(strings.Count(q, "?"), strings.Count(p, "?")),
			cmp.Compare(p, q), cmp.Compare(a.Service, b.Service))
	})
	return routes
}

// literals counts the characters of a pattern that are no wildcards.
func literals(pattern string) int {
	return len(pattern) - strings.Count(pattern, "*") - strings.Count(pattern, "?")
}

// checkRoutes reports routes that two services claim: equal ones, and ones
// that overlap without one lying within the other, where nothing could say
// which service a request is for.
func (l *loader) checkRoutes() {
	type claim struct {
		pattern string
		on      *loaded
		at      place
	}
	var claims []claim
	for _, name := range names(l.services) {
		on := l.services[name]
		if on.service.HTTP == nil {
			continue
		}
		for i, pattern := range on.service.HTTP.Routes {
			if pattern == "" {
				continue
			}
			mine := claim{pattern, on, on.places["http.routes["+strconv.Itoa(i)+"]"]}
			for _, other := range claims {
				if other.on == on {
					continue
				}
				where := fmt.Sprintf("%s:%d", other.on.file, other.at.line)
				a, b := normal(pattern), normal(other.pattern)
				switch {
				case a == b:
					l.problems = append(l.problems, Problem{
						File: on.file, Line: mine.at.line, Column: mine.at.column,
						Message: fmt.Sprintf("route %q is claimed twice", pattern), Fix: where + " has it already",
					})
				case overlap(a, b) && !contains(a, b) && !contains(b, a):
					l.problems = append(l.problems, Problem{
						File: on.file, Line: mine.at.line, Column: mine.at.column,
						Message: fmt.Sprintf("route %q overlaps %q of service %q", pattern, other.pattern, other.on.service.Name),
						Fix:     "change one so that no path matches both, or so that one lies within the other (" + where + ")",
					})
				}
			}
			claims = append(claims, mine)
		}
	}
}

// normal returns the one way to write a pattern: runs of * become one, and
// the ? of a run of wildcards come before its *.
func normal(pattern string) string {
	var b strings.Builder
	for i := 0; i < len(pattern); {
		if pattern[i] != '*' && pattern[i] != '?' {
			b.WriteByte(pattern[i])
			i++
			continue
		}
		star := false
		for ; i < len(pattern) && (pattern[i] == '*' || pattern[i] == '?'); i++ {
			if pattern[i] == '?' {
				b.WriteByte('?')
			} else {
				star = true
			}
		}
		if star {
			b.WriteByte('*')
		}
	}
	return b.String()
}

// MatchRoute reports whether a path matches an ALB path pattern: * stands for
// any characters, none included, ? for exactly one; case counts.
func MatchRoute(pattern, path string) bool { return glob(pattern, path, false) }

// contains reports whether every path that inner matches is matched by outer.
// It may miss a containment that only a case distinction would show.
func contains(outer, inner string) bool { return glob(outer, inner, true) }

// glob matches text against pattern. With wild, text is itself a pattern and
// its * is matched by * alone, its ? by ? and *.
func glob(pattern, text string, wild bool) bool {
	reach := make([]bool, len(text)+1) // reach[j]: pattern so far matches text[:j]
	reach[0] = true
	for i := range len(pattern) {
		next := make([]bool, len(text)+1)
		next[0] = reach[0] && pattern[i] == '*'
		for j := range len(text) {
			switch c := text[j]; {
			case pattern[i] == '*':
				next[j+1] = reach[j+1] || next[j] || reach[j]
			case wild && c == '*':
			case pattern[i] == '?':
				next[j+1] = reach[j]
			default:
				next[j+1] = reach[j] && pattern[i] == c
			}
		}
		reach = next
	}
	return reach[len(text)]
}

// RoutesOverlap reports whether some path matches both patterns.
func RoutesOverlap(a, b string) bool { return overlap(normal(a), normal(b)) }

// overlap reports whether some path matches both patterns.
func overlap(a, b string) bool {
	reach := make([]bool, len(b)+1) // reach[j]: some text matches a so far and b[:j]
	reach[0] = true
	for j := range len(b) {
		reach[j+1] = reach[j] && b[j] == '*'
	}
	for i := range len(a) {
		next := make([]bool, len(b)+1)
		next[0] = reach[0] && a[i] == '*'
		for j := range len(b) {
			switch {
			case a[i] == '*' || b[j] == '*': // it is empty here, or takes the other's next
				next[j+1] = reach[j+1] || next[j]
			default:
				next[j+1] = reach[j] && (a[i] == '?' || b[j] == '?' || a[i] == b[j])
			}
		}
		reach = next
	}
	return reach[len(b)]
}
