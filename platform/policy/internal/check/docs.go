package check

import (
	"fmt"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strings"
	"unicode"
)

var (
	linkPattern    = regexp.MustCompile(`\]\(\s*<?([^)\s>]+)>?(?:\s+"[^"]*")?\s*\)`)
	definedPattern = regexp.MustCompile(`^\s{0,3}\[[^\]]+\]:\s+<?([^\s>]+)>?`)
	codePattern    = regexp.MustCompile("`[^`]*`")
	headingPattern = regexp.MustCompile(`^#{1,6}\s+(.*?)\s*#*\s*$`)
	textOfLink     = regexp.MustCompile(`\[([^\]]*)\]\([^)]*\)`)
)

// Links reports the relative links in Markdown files that lead nowhere, to a
// file or to a heading. Links to other hosts are not followed.
func Links(t *Tree) []Finding {
	var found []Finding
	for _, p := range t.Paths() {
		if path.Ext(p) != ".md" || inTestdata(p) {
			continue
		}
		for n, line := range prose(t.Files[p]) {
			for _, target := range targets(line) {
				if what := t.broken(p, target); what != "" {
					found = append(found, Finding{File: p, Line: n + 1, What: what, Mend: "correct the link or delete it"})
				}
			}
		}
	}
	return sorted(found)
}

// prose gives the lines of a Markdown file with code blanked out.
func prose(src []byte) []string {
	lines := strings.Split(string(src), "\n")
	fence := ""
	for i, line := range lines {
		mark := strings.TrimSpace(line)
		switch {
		case fence != "":
			if strings.HasPrefix(mark, fence) {
				fence = ""
			}
			lines[i] = ""
		case strings.HasPrefix(mark, "```") || strings.HasPrefix(mark, "~~~"):
			fence = mark[:3]
			lines[i] = ""
		}
	}
	return lines
}

func targets(line string) []string {
	var out []string
	line = codePattern.ReplaceAllString(line, "``")
	for _, pattern := range []*regexp.Regexp{linkPattern, definedPattern} {
		for _, m := range pattern.FindAllStringSubmatch(line, -1) {
			out = append(out, m[1])
		}
	}
	return out
}

// broken says what is wrong with a link in file p, or nothing.
func (t *Tree) broken(p, target string) string {
	u, err := url.Parse(target)
	switch {
	case err != nil:
		return fmt.Sprintf("the link %s is not a URL", target)
	case u.Scheme != "" || u.Host != "":
		return ""
	case strings.HasPrefix(u.Path, "/"):
		return fmt.Sprintf("the link %s is absolute and works on one host only", target)
	}
	file := p
	if u.Path != "" {
		file = path.Join(path.Dir(p), u.Path)
	}
	if !t.exists(file) {
		return fmt.Sprintf("the link %s leads to %s, which does not exist", target, file)
	}
	if u.Fragment != "" && path.Ext(file) == ".md" && !slices.Contains(anchors(t.Files[file]), u.Fragment) {
		return fmt.Sprintf("the link %s leads to a heading that %s does not have", target, file)
	}
	return ""
}

// anchors lists the names that headings get on GitHub: lower case, spaces to
// hyphens, punctuation dropped, repeats numbered.
func anchors(src []byte) []string {
	var names []string
	seen := map[string]int{}
	for _, line := range prose(src) {
		m := headingPattern.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		text := strings.ReplaceAll(textOfLink.ReplaceAllString(m[1], "$1"), "`", "")
		name := strings.Map(func(r rune) rune {
			switch {
			case r == ' ':
				return '-'
			case unicode.IsLetter(r) || unicode.IsDigit(r) || r == '-' || r == '_':
				return unicode.ToLower(r)
			default:
				return -1
			}
		}, text)
		if n := seen[name]; n > 0 {
			names = append(names, fmt.Sprintf("%s-%d", name, n))
		} else {
			names = append(names, name)
		}
		seen[name]++
	}
	return names
}

// Readmes wants every top folder whose name does not begin with a dot to have
// a README.md of fewer lines than limit.
func Readmes(t *Tree, limit int) []Finding {
	var found []Finding
	seen := map[string]bool{}
	for _, p := range t.Paths() {
		top, _, nested := strings.Cut(p, "/")
		if !nested || seen[top] || strings.HasPrefix(top, ".") {
			continue
		}
		seen[top] = true
		readme := top + "/README.md"
		src, ok := t.Files[readme]
		switch lines := countLines(src); {
		case !ok:
			found = append(found, Finding{File: readme, What: "is missing", Mend: "say in a few lines what the folder holds and where to start"})
		case lines >= limit:
			found = append(found, Finding{
				File: readme,
				What: fmt.Sprintf("%d lines; the limit is under %d", lines, limit),
				Mend: "move the detail to docs/ or to the folder it is about",
			})
		}
	}
	return sorted(found)
}

// Indexed wants the README of a folder to link every other Markdown file in it,
// except those named.
func Indexed(t *Tree, dir string, except ...string) []Finding {
	readme := dir + "/README.md"
	linked := map[string]bool{readme: true}
	for _, line := range prose(t.Files[readme]) {
		for _, target := range targets(line) {
			linked[path.Join(dir, target)] = true
		}
	}
	var found []Finding
	for _, p := range t.Paths() {
		if path.Dir(p) == dir && path.Ext(p) == ".md" && !linked[p] && !slices.Contains(except, path.Base(p)) {
			found = append(found, Finding{File: p, What: "is not in " + readme, Mend: "add a line for it there"})
		}
	}
	return found
}
