package targets

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/slipway-dev/slipway/platform/kit/doctor"
	"github.com/slipway-dev/slipway/platform/kit/event"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/place"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/postgres"
	"github.com/slipway-dev/slipway/platform/kit/servicemap"
	"github.com/slipway-dev/slipway/platform/kit/toolchain"
)

// over runs one of the toolchain's runs at the root of the checkout.
func over(ctx context.Context, what func(context.Context, toolchain.Options) error) error {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := alone(os.Args[1:], 0); err != nil {
		return failure(ctx, err)
	}
	root, err := os.Getwd() // mage runs at the root of the checkout
	if err != nil {
		return failure(ctx, err)
	}
	return failure(ctx, what(ctx, toolchain.Options{Root: root, Stdout: os.Stdout, Stderr: os.Stderr}))
}

// Test runs the tests of every module, or of that of --only=services/NAME; --race adds the race detector. Example: mage test.
func Test(ctx context.Context, only *string, race *bool) error {
	return over(ctx, func(ctx context.Context, o toolchain.Options) error {
		cache, err := place.Cache()
		if err != nil {
			return err
		}
		if err := place.Prepare(cache); err != nil {
			return err
		}
		// The services' tests look for a server where this leaves one.
		if _, err := postgres.Obtain(ctx, cache, nil); err != nil {
			return err
		}
		o.Only = value(only)
		return toolchain.Test(ctx, o, set(race))
	})
}

// E2E walks through the system as a newcomer does, on a cluster of its own. Example: mage e2e.
func E2E(ctx context.Context, run *string) error {
	return over(ctx, func(ctx context.Context, o toolchain.Options) error { return toolchain.EndToEnd(ctx, o, value(run)) })
}

// Lint runs every linter on code, or on that of --only=services/NAME, protos and workflows. Example: mage lint.
func Lint(ctx context.Context, only *string) error {
	return over(ctx, func(ctx context.Context, o toolchain.Options) error {
		o.Only = value(only)
		return toolchain.Lint(ctx, o)
	})
}

// Gen generates code from protos and queries; --check only says what is out of date. Example: mage gen.
func Gen(ctx context.Context, check *bool) error {
	if set(check) {
		return over(ctx, toolchain.CheckGenerated)
	}
	return over(ctx, toolchain.Generate)
}

// Cross compiles everything for each platform that Slipway runs on. Example: mage cross.
func Cross(ctx context.Context) error { return over(ctx, toolchain.Cross) }

// Tidy brings the modules' requirements up to date; --check only says what is not, building each module alone. Example: mage tidy.
func Tidy(ctx context.Context, check *bool) error {
	if set(check) {
		return over(ctx, toolchain.Alone)
	}
	return over(ctx, toolchain.Tidy)
}

// Doctor says what this machine has and lacks. Example: mage doctor.
func Doctor(ctx context.Context, json *bool) error {
	return run(ctx, 0, json, func(s *session) error {
		report := doctor.Examine(s.ctx, s.root, s.work)
		s.emit.Emit(event.Result{Kind: "doctor", Text: report.String(), Data: report})
		if !report.Healthy() {
			return &usageError{text: "something is missing", next: "see above"}
		}
		return nil
	})
}

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
