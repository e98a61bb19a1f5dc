package targets

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/slipway-dev/slipway/platform/kit/event"
	"github.com/slipway-dev/slipway/platform/kit/local"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/daemon"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/provision"
	"github.com/slipway-dev/slipway/platform/kit/manifest"
	"github.com/slipway-dev/slipway/platform/kit/ship"
)

func hostPlatform() string { return runtime.GOOS + "/" + runtime.GOARCH }

// Up starts the embedded cluster and rolls every service out on it; --runtime is process or docker, and is remembered. Example: mage up --runtime=docker.
func Up(ctx context.Context, runtime *string, json *bool) error {
	return run(ctx, 0, json, func(s *session) error {
		began := time.Now()
		env, err := s.work.Environment(manifest.Local)
		if err != nil {
			return err
		}
		cluster, err := local.New(s.root, env)
		if err != nil {
			return err
		}
		if runtime != nil {
			if err := cluster.Choose(*runtime); err != nil {
				return err
			}
		}
		info, err := s.begin(cluster, env)
		if err != nil {
			return err
		}
		env.Endpoint = info.Endpoint
		if err := s.rollOutAll(env, info); err != nil {
			return err
		}
		s.welcome(info, time.Since(began))
		return nil
	})
}

// begin starts the cluster, and meanwhile compiles the services when none ran.
func (s *session) begin(cluster *local.Cluster, env manifest.Environment) (info daemon.Info, err error) {
	group, ctx := errgroup.WithContext(s.ctx)
	group.Go(func() (err error) {
		info, err = cluster.Start(ctx, s.emit)
		return err
	})
	var down local.DownError
	if _, err := cluster.Find(s.ctx); errors.As(err, &down) {
		group.Go(func() error {
			for _, name := range s.work.ServiceNames() {
				cfg := ship.Config{Root: s.root, CacheDir: cluster.CacheDir(), Environment: env}
				if _, err := ship.Build(ctx, cfg, name, s.emit.For(env.Name, name)); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return info, group.Wait()
}

// rollOutAll makes the services' shells and puts what the checkout holds on
// them.
func (s *session) rollOutAll(env manifest.Environment, info daemon.Info) error {
	names := s.work.ServiceNames()
	shells := provision.New(s.work, env, info)
	err := s.emit.For(env.Name, "").Run("provision", func(*event.Step) (string, error) {
		return fmt.Sprintf("%d services", len(names)), shells.Apply(s.ctx, names)
	})
	if err != nil {
		return err
	}
	on, err := s.connect(env)
	if err != nil {
		return err
	}
	if err := s.deploy(on, names, deployOptions{}); err != nil {
		return err
	}
	return s.emit.For(env.Name, "").Run("wait for health", func(*event.Step) (string, error) {
		return "every service answers", shells.Ready(s.ctx, names)
	})
}

// welcome says where things are and what to try.
func (s *session) welcome(info daemon.Info, took time.Duration) {
	var b strings.Builder
	fmt.Fprintf(&b, "%s   the services' API\n", info.Gateway)
	fmt.Fprintf(&b, "%s   AWS endpoint (ECS, ECR, CloudWatch Logs, Secrets Manager, SSM) and registry\n", info.Endpoint)
	fmt.Fprintf(&b, "%s          PostgreSQL\n", info.Postgres)
	for _, svc := range s.work.Services {
		if svc.HTTP != nil {
			fmt.Fprintf(&b, "%s%s   what %s takes, method by method\n", info.Gateway, provision.DocsPath(svc.Name), svc.Name)
		}
	}
	fmt.Fprintf(&b, "up in %.1f s; try:\n", took.Seconds())
	if i := slices.IndexFunc(s.work.Services, func(svc manifest.Service) bool { return svc.HTTP != nil }); i >= 0 {
		svc := s.work.Services[i]
		path, _, _ := strings.Cut(svc.HTTP.Routes[0], "*")
		fmt.Fprintf(&b, "  curl -s -H \"authorization: Bearer $(go tool mage token --scope=%s.read)\" %s%s\n", svc.Name, info.Gateway, path)
	}
	first := all
	if names := s.work.ServiceNames(); len(names) > 0 {
		first = names[0]
	}
	fmt.Fprintf(&b, "  go tool mage status local\n  go tool mage logs local %s\n  go tool mage deploy local %s\n  go tool mage down\n", first, first)
	s.emit.For(manifest.Local, "").Emit(event.Result{Kind: "urls", Text: b.String(), Data: map[string]any{
		"api": info.Gateway, "aws_endpoint": info.Endpoint, "postgres": info.Postgres, "seconds": took.Seconds(),
	}})
}

// Down stops the embedded cluster; its data is kept unless --purge is given. Example: mage down.
func Down(ctx context.Context, purge, json *bool) error {
	return run(ctx, 0, json, func(s *session) error {
		env, err := s.work.Environment(manifest.Local)
		if err != nil {
			return err
		}
		cluster, err := local.New(s.root, env)
		if err != nil {
			return err
		}
		if _, err := cluster.Stop(s.ctx, s.emit); err != nil {
			return err
		}
		if !set(purge) {
			return nil
		}
		return s.emit.Run("remove its data", func(*event.Step) (string, error) {
			return cluster.StateDir() + " is gone", cluster.Purge()
		})
	})
}
