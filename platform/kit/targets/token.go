package targets

import (
	"context"
	"time"

	"github.com/slipway-dev/slipway/platform/kit/event"
	"github.com/slipway-dev/slipway/platform/kit/local"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/issuer"
	"github.com/slipway-dev/slipway/platform/kit/manifest"
)

// tokenSubject is whom a token names when nobody is given.
const tokenSubject = "developer"

// Token prints an access token of the embedded cluster's issuer, and nothing else on stdout. Example: mage token --scope=catalog.read,orders.write --expires=1h.
func Token(ctx context.Context, scope, subject, audience *string, expires *time.Duration, json *bool) error {
	return run(ctx, 0, json, func(s *session) error {
		scopes, err := local.Scopes(s.work, value(scope))
		if err != nil {
			return err
		}
		env, err := s.work.Environment(manifest.Local)
		if err != nil {
			return err
		}
		cluster, err := local.New(s.root, env)
		if err != nil {
			return err
		}
		token, err := cluster.Token(s.ctx, issuer.Request{
			Subject: or(subject, tokenSubject), Audience: value(audience), Scopes: scopes, Lifetime: value(expires),
		})
		if err != nil {
			return err
		}
		s.emit.For(env.Name, "").Emit(event.Result{Kind: "token", Text: token.Value + "\n", Data: token})
		return nil
	})
}
