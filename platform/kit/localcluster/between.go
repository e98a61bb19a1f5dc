package localcluster

import (
	"github.com/slipway-dev/slipway/platform/kit/localcluster/issuer"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/mesh"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/secrets"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/state"
)

// Buckets of what services need of each other.
const (
	meshBucket   = "mesh"
	issuerBucket = "issuer"
)

// joinServices makes what services need to call each other: the ways between
// them, and the issuer of their tokens.
func (c *cluster) joinServices(p *parts, s *stores) (err error) {
	p.issuer, err = issuer.New(issuer.Config{
		URL: p.info.Endpoint + issuer.Prefix, Store: bucket{c.state, issuerBucket},
		Secrets: secrets.NewResolver(s.secrets, s.parameters), Clock: c.clock, Logger: c.cfg.Logger,
	})
	if err != nil {
		return err
	}
	p.mesh, err = mesh.New(mesh.Config{
		Forward: p.gateway.Forward, Store: bucket{c.state, meshBucket}, Base: c.cfg.MeshPort,
		Processes: p.runtime.processes, Carried: p.runtime.carried, Clock: c.clock, Logger: c.cfg.Logger,
	})
	return err
}

// bucket is a part of the cluster's state.
type bucket struct {
	state *state.Store
	name  string
}

// Put keeps a record.
func (b bucket) Put(key string, v any) error {
	return b.state.Update(func(tx *state.Tx) error { return tx.Put(b.name, key, v) })
}

// Delete drops a record.
func (b bucket) Delete(key string) error {
	return b.state.Update(func(tx *state.Tx) error { return tx.Delete(b.name, key) })
}

// List reads records in key order.
func (b bucket) List(prefix string, fn func(key string, raw []byte) error) error {
	return b.state.View(func(tx *state.Tx) error { return tx.List(b.name, prefix, fn) })
}
