package targets

import (
	"context"
	"fmt"
	"strings"

	"github.com/slipway-dev/slipway/platform/kit/event"
	"github.com/slipway-dev/slipway/platform/kit/scaffold"
)

// New makes a service of that name that lints, tests, deploys and serves as it is; --plan only lists its files. Example: mage new gift-cards --team=checkout.
func New(ctx context.Context, name string, team, resource *string, plan, json *bool) error {
	return run(ctx, 1, json, func(s *session) error {
		planned, err := scaffold.NewPlan(scaffold.Config{Root: s.root, Name: name, Team: value(team), Resource: value(resource)})
		if err != nil {
			return err
		}
		if set(plan) {
			s.emit.Emit(event.Result{Kind: "plan", Text: planned.String(), Data: planned})
			return nil
		}
		written, err := scaffold.Apply(s.ctx, planned, s.emit)
		if err != nil {
			return err
		}
		var text strings.Builder
		fmt.Fprintln(&text, strings.Join(written, "\n"))
		fmt.Fprintf(&text, "\nnext: go tool mage up\n      go -C services/%s test ./...\n", name)
		s.emit.Emit(event.Result{Kind: "new", Text: text.String(), Data: map[string]any{"service": name, "files": written}})
		return nil
	})
}
