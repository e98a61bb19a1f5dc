package targets

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/slipway-dev/slipway/platform/kit/attest"
	"github.com/slipway-dev/slipway/platform/kit/attest/key"
	"github.com/slipway-dev/slipway/platform/kit/attest/provenance"
	"github.com/slipway-dev/slipway/platform/kit/event"
	"github.com/slipway-dev/slipway/platform/kit/internal/awsx"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/place"
	"github.com/slipway-dev/slipway/platform/kit/manifest"
	"github.com/slipway-dev/slipway/platform/kit/release"
	"github.com/slipway-dev/slipway/platform/kit/rollout"
	"github.com/slipway-dev/slipway/platform/kit/ship"
)

// Release tells what a release is made of and who signed it: the newest, or that of --release=RELEASE. Example: mage release local catalog.
func Release(ctx context.Context, env, service string, release *string, json *bool) error {
	return run(ctx, 2, json, func(s *session) error {
		on, found, err := s.pushed(env, service, value(release))
		if err != nil {
			return err
		}
		report, err := on.attest.Report(s.ctx, evidenceQuery(on, found))
		if err != nil {
			return err
		}
		s.emit.For(on.env.Name, service).Emit(event.Result{Kind: "release", Text: report.String(), Data: report})
		if !report.OK() {
			return &unproven{service: service, env: on.env.Name, release: found.Version, next: attest.SignCommand(on.env.Name, service, found.Version)}
		}
		return nil
	})
}

// Sign signs a release that is in the registry: the newest, or that of --release=RELEASE; you say with it that it is good. Example: mage sign local catalog.
func Sign(ctx context.Context, env, service string, release *string, json *bool) error {
	return run(ctx, 2, json, func(s *session) error {
		on, found, err := s.pushed(env, service, value(release))
		if err != nil {
			return err
		}
		var done attest.Signed
		err = s.emit.For(on.env.Name, service).Run("sign "+service+" "+found.Version, func(*event.Step) (string, error) {
			done, err = on.attest.Sign(s.ctx, ship.Repository(service), service, found.Digest)
			switch {
			case err != nil:
				return "", err
			case done == (attest.Signed{}):
				return "it was signed already", nil
			}
			return fmt.Sprintf("%d artifacts attached, %d removed", done.Added, done.Removed), nil
		})
		if err != nil {
			return err
		}
		s.emit.For(on.env.Name, service).Emit(event.Result{Kind: "signed", Text: found.Reference + "\n", Data: map[string]any{
			"service": service, "release": found.Version, "digest": found.Digest, "added": done.Added, "removed": done.Removed,
		}})
		return nil
	})
}

// pushed finds a release in an environment's registry; without a name the newest.
func (s *session) pushed(env, service, ref string) (*target, release.Release, error) {
	if _, err := s.work.Service(service); err != nil {
		return nil, release.Release{}, err
	}
	on, err := s.on(env)
	if err != nil {
		return nil, release.Release{}, err
	}
	if ref != "" {
		found, err := ship.Find(s.ctx, on.build, service, ref)
		return on, found, err
	}
	found, err := ship.Newest(s.ctx, on.build, service)
	return on, found, err
}

func evidenceQuery(on *target, of release.Release) rollout.EvidenceQuery {
	return rollout.EvidenceQuery{
		Environment: on.env.Name, Service: of.Service, Repository: ship.Repository(of.Service),
		Digest: of.Digest, Release: of.Version,
	}
}

// unproven ends the command that shows a release that may not be deployed.
type unproven struct{ env, service, release, next string }

func (e *unproven) Error() string {
	return fmt.Sprintf("release %s of %s is not one that %s would take", e.release, e.service, e.env)
}

func (e *unproven) Next() string { return e.next }

// attestStore makes what signs and examines the images of an environment.
func (s *session) attestStore(env manifest.Environment, client *awsx.Client) (*attest.Store, error) {
	builder := provenance.BuilderLocal
	if os.Getenv("CODEBUILD_BUILD_ARN") != "" { // set in every build, AWS CodeBuild user guide
		builder = provenance.BuilderCodeBuild
	}
	return attest.New(attest.Config{
		Environment: env.Name, Registry: client, Key: s.signingKey(env, client), Builder: builder,
	})
}

// signingKey is the key of an environment: in KMS, in a file of the checkout's,
// or, for the embedded cluster, one that is made at the first need and kept
// with the cluster's state.
func (s *session) signingKey(env manifest.Environment, client *awsx.Client) key.Loader {
	reference := env.SupplyChain.Key
	return func(ctx context.Context) (*key.Key, error) {
		switch {
		case strings.HasPrefix(reference, awsx.KeyPrefix):
			pair, err := client.SigningKey(ctx, reference)
			if err != nil {
				return nil, err
			}
			return key.New(ctx, pair, reference)
		case reference != "":
			path := filepath.FromSlash(reference)
			if !filepath.IsAbs(path) {
				path = filepath.Join(s.root, path)
			}
			return key.Read(ctx, path)
		case env.IsLocal():
			state, err := place.State(s.root)
			if err != nil {
				return nil, err
			}
			return key.Make(ctx, filepath.Join(state, "signing", "release.pem"))
		}
		return nil, &usageError{
			text: "environment " + env.Name + " has no key to sign releases with",
			next: "set supply_chain.key in platform/environments/" + env.Name + ".yaml",
		}
	}
}
