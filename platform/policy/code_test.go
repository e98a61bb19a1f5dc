package policy

import (
	"testing"

	"github.com/slipway-dev/slipway/platform/policy/internal/check"
)

func TestPackageComments(t *testing.T) {
	report(t, check.PackageComments(tree(t)))
}

// oversize is the shrinking allow-list: an entry is exact, so code that gets
// smaller takes its entry along, and nothing is ever added without a reason.
var oversize = []check.Oversize{}

func TestSizes(t *testing.T) {
	limits := check.Limits{FileLines: 400, FunctionLines: 60, PackageFiles: 15}
	report(t, check.Sizes(tree(t), limits, oversize))
}

func TestMains(t *testing.T) {
	report(t, check.Mains(tree(t), 40, 15))
}

func TestInits(t *testing.T) {
	report(t, check.Inits(tree(t)))
}

func TestCalls(t *testing.T) {
	report(t, check.Calls(tree(t), callRules()))
}

func callRules() []check.CallRule {
	return []check.CallRule{
		{
			Name:      "only renderers print",
			Package:   "fmt",
			Functions: []string{"Print", "Printf", "Println"},
			In: func(f *check.GoFile) bool {
				return !f.Test && !f.Below("platform/kit/render", "platform/kit/targets") &&
					!f.InFolderNamed("cmd") && !f.InFolderNamed("bench")
			},
			Mend: "return the value, send an event, or write to an io.Writer that the caller gives: standard output carries results only",
		},
		{
			Name:      "nothing sleeps",
			Package:   "time",
			Functions: []string{"Sleep"},
			Mend:      "wait on a channel, a context or the injected clock; in a test, poll for the condition up to a deadline",
		},
		{
			Name:      "tests do not skip",
			Receivers: []string{"t", "tb", "b"},
			Functions: []string{"Skip", "Skipf", "SkipNow"},
			In:        func(f *check.GoFile) bool { return f.Test },
			Mend:      "make the test carry what it needs; a test that may not run proves nothing",
		},
		{
			Name:      "one place makes AWS clients",
			Package:   "github.com/aws/aws-sdk-go-v2/service/...",
			Functions: []string{"New", "NewFromConfig"},
			In: func(f *check.GoFile) bool {
				return !f.Test && !f.Below("platform/kit/internal", "platform/kit/localcluster/provision")
			},
			Mend: "take a consumer-side interface; kit/internal holds the adapter that talks to an endpoint",
		},
	}
}
