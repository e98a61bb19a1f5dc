package targets

import (
	"context"

	"github.com/slipway-dev/slipway/platform/kit/event"
	"github.com/slipway-dev/slipway/platform/kit/servicemap"
)

// Graph draws the services as their manifests join them; --format is text, mermaid, dot or json. Example: mage graph --format=mermaid.
func Graph(ctx context.Context, format *string, json *bool) error {
	return run(ctx, 0, json, func(s *session) error {
		services := servicemap.New(s.work)
		text, err := services.Write(servicemap.Format(value(format)))
		if err != nil {
			return err
		}
		s.emit.Emit(event.Result{Kind: "graph", Text: text, Data: services})
		return nil
	})
}
