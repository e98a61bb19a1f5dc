package provision

import (
	"context"
	"crypto/rand"
	"fmt"

	"github.com/slipway-dev/slipway/platform/kit/localcluster/issuer"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/mesh"
)

// connect gives every caller its way to each of its callees and nobody another,
// and puts the addresses into the shells.
func (p *Provisioner) connect(ctx context.Context, shells []shell) error {
	byName := map[string]shell{}
	for _, s := range shells {
		byName[s.service.Name] = s
	}
	var routes []mesh.Route
	for _, s := range shells {
		for _, callee := range s.service.Calls {
			routes = append(routes, mesh.Route{
				Caller: s.service.Name, Callee: callee, Family: s.family(), Rule: byName[callee].ruleARN(grpcName),
			})
		}
	}
	links, err := p.admin.SetMesh(ctx, routes)
	if err != nil {
		return fmt.Errorf("connect services: %w", err)
	}
	for i := range shells {
		shells[i].callees = map[string]string{}
		for _, l := range links {
			if l.Caller == shells[i].service.Name {
				shells[i].callees[l.Callee] = l.Address
			}
		}
	}
	return nil
}

// admit makes every caller a client of the issuer, with a secret that stays.
func (p *Provisioner) admit(ctx context.Context, shells []shell) error {
	setup := issuer.Setup{Audience: p.env.Auth.Audience, Clients: []issuer.Client{}}
	for _, s := range shells {
		if len(s.service.Calls) == 0 {
			continue
		}
		arn, _, err := p.keepSecret(ctx, s.clientSecret(), func() (string, error) { return rand.Text(), nil })
		if err != nil {
			return err
		}
		setup.Clients = append(setup.Clients, issuer.Client{ID: s.service.Name, Secret: arn, Callees: s.service.Calls})
	}
	if err := p.admin.PutIssuer(ctx, setup); err != nil {
		return fmt.Errorf("tell the issuer its clients: %w", err)
	}
	return nil
}
