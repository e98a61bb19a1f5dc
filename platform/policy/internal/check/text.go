package check

import (
	"bytes"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
)

// TextRule forbids a text in files of any kind.
type TextRule struct {
	Name    string
	Pattern *regexp.Regexp
	// But takes out matches: what it matches in the same place is allowed.
	But *regexp.Regexp
	// Skip names folders and files, by path or by base name, that are written
	// by others: vendored, generated, checksums.
	Skip []string
	// Excuses are our own files that may break the rule.
	Excuses []Excuse
	Mend    string
}

// Text reports the forbidden texts, and the excuses that nothing needs. Binary
// files and generated Go files are passed over.
func Text(t *Tree, rules []TextRule) []Finding {
	generated := map[string]bool{}
	for _, f := range t.Go {
		generated[f.Path] = f.Generated
	}
	var found []Finding
	for _, r := range rules {
		excused := newExcuses(r.Name, r.Excuses)
		for _, p := range t.Paths() {
			if generated[p] || r.skips(p) || bytes.IndexByte(t.Files[p], 0) >= 0 {
				continue
			}
			hits := r.hits(p, t.Files[p])
			if len(hits) > 0 && !excused.cover(p) {
				found = append(found, hits...)
			}
		}
		found = append(found, excused.stale()...)
	}
	return sorted(found)
}

func (r TextRule) skips(p string) bool {
	return slices.ContainsFunc(r.Skip, func(s string) bool {
		return p == s || path.Base(p) == s || strings.HasPrefix(p, s+"/")
	})
}

func (r TextRule) hits(p string, src []byte) []Finding {
	if !r.Pattern.Match(src) {
		return nil
	}
	var found []Finding
	for n, line := range strings.Split(string(src), "\n") {
		if r.But != nil {
			line = r.But.ReplaceAllString(line, "")
		}
		if text := r.Pattern.FindString(line); text != "" {
			found = append(found, Finding{
				File: p, Line: n + 1,
				What: fmt.Sprintf("contains %q (rule %q)", text, r.Name),
				Mend: r.Mend,
			})
		}
	}
	return found
}
