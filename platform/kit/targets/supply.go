package targets

import (
	"context"
	"strings"
	"sync"

	"github.com/slipway-dev/slipway/platform/kit/attest"
	"github.com/slipway-dev/slipway/platform/kit/event"
	"github.com/slipway-dev/slipway/platform/kit/origin"
	"github.com/slipway-dev/slipway/platform/kit/rollout"
	"github.com/slipway-dev/slipway/platform/kit/ship"
	"github.com/slipway-dev/slipway/platform/kit/vuln"
)

// guard adds to a target what is known against its images and where their
// source came from, as evidence that a rollout asks for.
func (s *session) guard(on *target) ([]rollout.Evidence, error) {
	signed := statements{on.attest}
	gate, err := s.vulnGate(on.env, vuln.Registry{Access: on.aws}, signed)
	if err != nil {
		return nil, err
	}
	on.gate = gate
	on.build.Assembled = beginScan(s.ctx, gate)
	return []rollout.Evidence{
		gate, &origin.Gate{Rule: on.env.SupplyChain.Dirty, Statements: signed, Labels: labels{on.build}},
	}, nil
}

// statements are what the environment's key signed, by repository.
type statements struct{ store *attest.Store }

var (
	_ vuln.Statements   = statements{}
	_ origin.Statements = statements{}
)

func (s statements) image(ctx context.Context, repository, digest string) (attest.Image, error) {
	repo, err := s.store.Repository(ctx, repository)
	return attest.Image{Repository: repo, Digest: digest}, err
}

// Find returns the statements of a type whose signature holds.
func (s statements) Find(ctx context.Context, repository, digest, predicateType string) ([]attest.Verified, error) {
	about, err := s.image(ctx, repository, digest)
	if err != nil {
		return nil, err
	}
	by, err := s.store.Key(ctx)
	if err != nil {
		return nil, err
	}
	return attest.Find(ctx, about, predicateType, by)
}

// Attach signs a statement and attaches it.
func (s statements) Attach(ctx context.Context, repository, digest string, a attest.Attestation) error {
	to, err := s.image(ctx, repository, digest)
	if err != nil {
		return err
	}
	by, err := s.store.Key(ctx)
	if err != nil {
		return err
	}
	return attest.Attach(ctx, to, a, by)
}

// labels tell what images say of themselves.
type labels struct{ build ship.Config }

// Changes names the files that an image says were changed.
func (l labels) Changes(ctx context.Context, repository, digest string) string {
	found, err := ship.Find(ctx, l.build, strings.TrimPrefix(repository, ship.Repository("")), digest)
	if err != nil {
		return ""
	}
	return found.Changes
}

// attaching are reports being attached to images beside their rollout.
type attaching struct{ work sync.WaitGroup }

// begin attaches what is known against an image that was just built. A failure
// is told and stops nothing: the next deploy scans by itself.
func (a *attaching) begin(s *session, on *target, service, digest string) {
	a.work.Go(func() {
		err := on.gate.Attach(s.ctx, ship.Repository(service), digest)
		if err != nil && s.ctx.Err() == nil {
			s.emit.For(on.env.Name, service).Emit(event.Notice{
				Level: event.Warning, Message: "the vulnerability report could not be attached: " + err.Error(), Next: event.Next(err),
			})
		}
	})
}

// wait waits until all are attached.
func (a *attaching) wait() { a.work.Wait() }
