package policy

import (
	"regexp"
	"testing"

	"github.com/slipway-dev/slipway/platform/policy/internal/check"
)

func TestLinks(t *testing.T) {
	report(t, check.Links(tree(t)))
}

func TestReadmes(t *testing.T) {
	report(t, check.Readmes(tree(t), 40))
}

func TestDecisionsAreIndexed(t *testing.T) {
	report(t, check.Indexed(tree(t), "docs/decisions", "template.md"))
}

func TestOwners(t *testing.T) {
	report(t, check.Owners(tree(t), "@slipway-dev/", "platform"))
}

func TestText(t *testing.T) {
	report(t, check.Text(tree(t), textRules()))
}

// textRules write their patterns with character classes so that this file does
// not contain what it looks for.
func textRules() []check.TextRule {
	return []check.TextRule{
		{
			Name:    "no home folders",
			Pattern: regexp.MustCompile(`/[r]oot/|/[h]ome/[a-z]|/[U]sers/[A-Za-z]`),
			Excuses: []check.Excuse{
				{Path: "platform/kit/image/base.go", Reason: "the passwd file of an image names the folders of its users"},
			},
			Mend: "take the path from the user's environment; in documentation write ~ or a variable",
		},
		{
			Name:    "debts have owners",
			Pattern: regexp.MustCompile(`\b([T]ODO|[F]IXME|[X]XX|[H]ACK)\b`),
			But:     regexp.MustCompile(`[T]ODO\([a-z][a-z0-9-]*\):|context\.[T]ODO`),
			Skip:    []string{"go.sum", "go.work.sum", "proto/third_party"},
			Mend:    "do it, or write its owner in parentheses and a colon behind the word",
		},
		{
			Name:    "actions are pinned",
			Pattern: regexp.MustCompile(`\buses:\s+[a-z]\S+@\S+`),
			But:     regexp.MustCompile(`\buses:\s+\S+@[0-9a-f]{40} # v[0-9]\S*`),
			Mend:    "name the commit, and its version behind it: a tag can be moved to other code",
		},
		{
			Name:    "no conflict markers",
			Pattern: regexp.MustCompile(`^(<{7}|>{7}) `),
			Mend:    "finish the merge",
		},
	}
}
