package targets

import (
	"context"
	"fmt"
	"sync"

	"github.com/slipway-dev/slipway/platform/kit/event"
	"github.com/slipway-dev/slipway/platform/kit/manifest"
	"github.com/slipway-dev/slipway/platform/kit/release"
	"github.com/slipway-dev/slipway/platform/kit/rollout"
	"github.com/slipway-dev/slipway/platform/kit/ship"
)

// Verify checks all that a rollout needs and changes nothing: of the newest release that was pushed, or that of --release=RELEASE. Example: mage verify local catalog.
func Verify(ctx context.Context, env, service string, release *string, json *bool) error {
	return run(ctx, 2, json, func(s *session) error {
		names, err := s.services(service)
		if err != nil {
			return err
		}
		if len(names) > 1 && value(release) != "" {
			return &usageError{
				text: "verify: --release names a release of one service",
				next: "go tool mage verify " + env + " " + names[0] + " --release=" + value(release),
			}
		}
		on, err := s.on(env)
		if err != nil {
			return err
		}
		return s.verify(on, names, value(release))
	})
}

// verify examines services at the same time and tells of them in order.
func (s *session) verify(on *target, names []string, ref string) error {
	found, errs := make([]event.Checks, len(names)), make([]error, len(names))
	var every sync.WaitGroup
	for i, name := range names {
		every.Go(func() { found[i], errs[i] = s.examine(on, name, ref) })
	}
	every.Wait()
	refused := 0
	for i, name := range names {
		if errs[i] != nil {
			return errs[i]
		}
		s.emit.For(on.env.Name, name).Emit(event.Result{Kind: "verify", Text: found[i].String(), Data: found[i]})
		if found[i].Failed > 0 {
			refused++
		}
	}
	if refused > 0 {
		return &refusedError{env: on.env.Name, refused: refused, of: len(names)}
	}
	return nil
}

func (s *session) examine(on *target, service, ref string) (event.Checks, error) {
	var found release.Release
	var err error
	if ref == "" {
		found, err = ship.Newest(s.ctx, on.build, service)
	} else {
		found, err = ship.Find(s.ctx, on.build, service, ref)
	}
	if err != nil {
		return event.Checks{}, err
	}
	return on.deployer.Examine(s.ctx, service, rollout.Release{Version: found.Version, Image: found.Reference}, rollout.Options{})
}

// refusedError ends the command whose checks were printed.
type refusedError struct {
	env         string
	refused, of int
}

func (e *refusedError) Error() string {
	if e.of == 1 {
		return "a deploy to " + e.env + " would be refused"
	}
	return fmt.Sprintf("a deploy to %s would be refused for %d of %d services", e.env, e.refused, e.of)
}

// scaleOf returns the limits that the manifests set in an environment.
func scaleOf(env manifest.Environment) func(string) (int, int, bool) {
	return func(service string) (least, greatest int, known bool) {
		svc, err := env.Service(service)
		return svc.Scale.Min, svc.Scale.Max, err == nil
	}
}
