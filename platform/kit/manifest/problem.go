package manifest

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Problem is one thing wrong with a manifest or an environment file.
type Problem struct {
	File    string // relative to the root, with slashes
	Line    int    // from 1; 0 when the problem is the file's as a whole
	Column  int    // from 1; 0 when unknown
	Message string // what is wrong
	Fix     string // what would be right; may be empty
}

// String returns "file:line: message; fix".
func (p Problem) String() string {
	var b strings.Builder
	b.WriteString(p.File)
	if p.Line > 0 {
		fmt.Fprintf(&b, ":%d", p.Line)
	}
	b.WriteString(": " + p.Message)
	if p.Fix != "" {
		b.WriteString("; " + p.Fix)
	}
	return b.String()
}

// Error holds every problem that was found, ordered by file and line.
type Error struct{ Problems []Problem }

// Error returns the problems, one a line.
func (e *Error) Error() string {
	lines := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

// Next says where to begin.
func (e *Error) Next() string {
	if len(e.Problems) == 0 {
		return ""
	}
	p := e.Problems[0]
	return fmt.Sprintf("edit %s   # then repeat the command", p.File)
}

// ExitCode returns 2: bad input.
func (e *Error) ExitCode() int { return 2 }

// UnknownNameError says that there is no service or environment of a name.
type UnknownNameError struct {
	Kind  string // "service" or "environment"
	Name  string
	Known []string
	next  string
}

func unknownName(kind, name string, known []string, next string) error {
	return &UnknownNameError{Kind: kind, Name: name, Known: known, next: next}
}

// Error names what exists, and the nearest of it.
func (e *UnknownNameError) Error() string {
	text := fmt.Sprintf("unknown %s %q", e.Kind, e.Name)
	if near := nearest(e.Name, e.Known); near != "" {
		return text + fmt.Sprintf("; did you mean %q?", near)
	}
	if len(e.Known) == 0 {
		return text + "; there is none"
	}
	return text + "; there is " + strings.Join(e.Known, ", ")
}

// Next returns a command that lists what exists.
func (e *UnknownNameError) Next() string { return e.next }

// ExitCode returns 2: bad input.
func (e *UnknownNameError) ExitCode() int { return 2 }

func sortProblems(problems []Problem) {
	slices.SortStableFunc(problems, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line),
			cmp.Compare(a.Column, b.Column), cmp.Compare(a.Message, b.Message))
	})
}

func names[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for key := range m {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}

// suggest returns what would be right instead of word: the nearest of known,
// else all of them.
func suggest(word string, known []string) string {
	if near := nearest(word, known); near != "" {
		return fmt.Sprintf("did you mean %q?", near)
	}
	if len(known) == 0 {
		return ""
	}
	return "known: " + strings.Join(known, ", ")
}

// nearest returns the known word that takes the fewest edits to reach, if
// they are few for its length; else "".
func nearest(word string, known []string) string {
	best, bestEdits := "", 0
	for _, k := range known {
		edits := distance(word, k)
		if limit := max(1, min(len(word), len(k))/2); edits > min(limit, 3) {
			continue
		}
		if best == "" || edits < bestEdits {
			best, bestEdits = k, edits
		}
	}
	return best
}

// distance counts insertions, deletions, substitutions and swaps of
// neighbours (optimal string alignment).
func distance(a, b string) int {
	if len(a) > 64 || len(b) > 64 {
		return 64
	}
	rows := make([][]int, len(a)+1)
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
		rows[i][0] = i
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			rows[i][j] = min(rows[i-1][j]+1, rows[i][j-1]+1, rows[i-1][j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				rows[i][j] = min(rows[i][j], rows[i-2][j-2]+1)
			}
		}
	}
	return rows[len(a)][len(b)]
}
