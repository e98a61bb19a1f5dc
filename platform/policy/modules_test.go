package policy

import (
	"testing"

	"github.com/slipway-dev/slipway/platform/policy/internal/check"
)

func TestModules(t *testing.T) {
	report(t, check.Modules(tree(t), check.Workspace{
		Prefix: prefix,
		Outside: []check.Excuse{
			{Path: "platform/tools", Reason: "a tool's dependencies must not lift those of the services"},
			{Path: "platform/tools/buf", Reason: "as platform/tools, and apart because its dependencies disagree with theirs"},
			{Path: "platform/tools/cosign", Reason: "as platform/tools/buf"},
			{Path: "platform/tools/lint", Reason: "as platform/tools/buf"},
			{Path: "platform/tools/sqlc", Reason: "as platform/tools/buf"},
		},
	}))
}
