// Package local brings the embedded cluster of one checkout up and down, and
// connects to the one that runs. It does not roll services out; it makes the
// place for that.
package local

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/slipway-dev/slipway/platform/kit/event"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/daemon"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/place"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/postgres"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/runtime/process"
	"github.com/slipway-dev/slipway/platform/kit/manifest"
)

// Cluster is the embedded cluster of one checkout, running or not.
type Cluster struct {
	root, state, cache string
	env                manifest.Environment
}

// New returns the cluster of the checkout at root.
func New(root string, env manifest.Environment) (*Cluster, error) {
	if env.Ports == nil {
		return nil, fmt.Errorf("environment %s has no ports, so it is not that of an embedded cluster", env.Name)
	}
	state, err := place.State(root)
	if err != nil {
		return nil, err
	}
	cache, err := place.Cache()
	if err != nil {
		return nil, err
	}
	return &Cluster{root: root, state: state, cache: cache, env: env}, nil
}

// StateDir is where the cluster keeps what outlives it, CacheDir what can be
// had again.
func (c *Cluster) StateDir() string { return c.state }

// CacheDir is the cache folder.
func (c *Cluster) CacheDir() string { return c.cache }

// DownError says that no cluster runs.
type DownError struct{}

// Error says so.
func (DownError) Error() string { return "the embedded cluster is not running" }

// Next is the command that starts it.
func (DownError) Next() string { return "go tool mage up" }

// Find returns the running cluster, or a DownError.
func (c *Cluster) Find(ctx context.Context) (daemon.Info, error) {
	info, ok, err := daemon.Find(ctx, c.state)
	if err != nil {
		return daemon.Info{}, err
	}
	if !ok {
		return daemon.Info{}, DownError{}
	}
	return info, nil
}

// Start makes sure that a cluster of the present code runs. One that was built
// from other code is replaced: its tasks start again, its data stays.
func (c *Cluster) Start(ctx context.Context, emit *event.Emitter) (info daemon.Info, err error) {
	err = emit.Run("start the cluster", func(step *event.Step) (string, error) {
		if err := place.Prepare(c.state); err != nil {
			return "", &daemon.Fault{What: "use the state folder", Why: err.Error(), Hint: "choose another: " + place.StateVariable + "=DIR go tool mage up"}
		}
		step.Progress("compile", 0, 0, "")
		program, build, err := c.compile(ctx)
		if err != nil {
			return "", err
		}
		running, ok, err := daemon.Find(ctx, c.state)
		switch {
		case err != nil:
			return "", err
		case ok && running.Build == build && c.listensWhereWanted(running):
			info = running
			return "runs already", nil
		case ok:
			step.Progress("replace the running one, which is of other code or ports", 0, 0, "")
			if err := c.stop(ctx, running); err != nil {
				return "", err
			}
		}
		info, err = daemon.Start(ctx, daemon.StartConfig{
			Program: program, Args: c.arguments(build), StateDir: c.state,
			OnStep: func(s daemon.Step) { step.Progress(strings.TrimSpace(s.Name+" "+s.Detail), 0, 0, "") },
		})
		return "", err
	})
	return info, err
}

// listensWhereWanted reports whether a running cluster has the configured ports.
func (c *Cluster) listensWhereWanted(info daemon.Info) bool {
	for _, p := range []struct {
		port int
		addr string
	}{{c.env.Ports.Gateway, info.Gateway}, {c.env.Ports.AWS, info.Endpoint}, {c.env.Ports.Postgres, info.Postgres}} {
		if p.port != 0 && !strings.HasSuffix(p.addr, ":"+strconv.Itoa(p.port)) {
			return false
		}
	}
	return true
}

func (c *Cluster) arguments(build string) []string {
	return []string{
		"-checkout", c.root, "-state", c.state, "-cache", c.cache, "-build", build,
		"-account", c.env.Account, "-region", c.env.Region,
		"-gateway-port", strconv.Itoa(c.env.Ports.Gateway),
		"-endpoint-port", strconv.Itoa(c.env.Ports.AWS),
		"-postgres-port", strconv.Itoa(c.env.Ports.Postgres),
	}
}

// compile builds the cluster's program, which takes half a second when nothing
// changed. It is the same module and cache that the command itself came from.
func (c *Cluster) compile(ctx context.Context) (program, build string, err error) {
	program = filepath.Join(c.state, "bin", "slipway-cluster")
	cmd := exec.CommandContext(ctx, "go", "build", "-o", program, "./platform/kit/cmd/slipway-cluster")
	cmd.Dir = c.root
	if out, err := cmd.CombinedOutput(); err != nil {
		if ctx.Err() != nil {
			return "", "", ctx.Err()
		}
		return "", "", fmt.Errorf("compile the cluster: %w\n%s", err, strings.TrimSpace(string(out)))
	}
	build, err = daemon.BuildID(program)
	return program, build, err
}

// stopLimit is how long a cluster may take to end in good order.
const stopLimit = 30 * time.Second

func (c *Cluster) stop(ctx context.Context, info daemon.Info) error {
	ctx, cancel := context.WithTimeout(ctx, stopLimit)
	defer cancel()
	return daemon.Stop(ctx, info)
}

// Stop ends the cluster with its tasks and its database; data stays. A cluster
// that died is swept up after. It reports whether there was anything to end.
func (c *Cluster) Stop(ctx context.Context, emit *event.Emitter) (found bool, err error) {
	err = emit.Run("stop the cluster", func(*event.Step) (string, error) {
		info, ok, err := daemon.Find(ctx, c.state)
		if err != nil {
			return "", err
		}
		if ok {
			found = true
			if err := c.stop(ctx, info); err != nil {
				return "", err
			}
		}
		swept, err := c.sweep(ctx)
		found = found || swept
		switch {
		case err != nil:
			return "", err
		case ok:
			return "data is kept in " + c.state, nil
		case swept:
			return "ended what a dead cluster had left", nil
		}
		return "none was running", nil
	})
	return found, err
}

// sweep ends what a cluster that died left behind.
func (c *Cluster) sweep(ctx context.Context) (bool, error) {
	n, err := process.Sweep(ctx, filepath.Join(c.state, "tasks"))
	if errors.Is(err, os.ErrNotExist) {
		err = nil
	}
	return n > 0, errors.Join(err, postgres.Sweep(ctx, filepath.Join(c.state, "postgres")))
}

// Purge removes everything that the cluster kept. It must be stopped.
func (c *Cluster) Purge(ctx context.Context) error {
	if _, err := c.Find(ctx); err == nil {
		return errors.New("the cluster still runs")
	}
	if err := os.RemoveAll(c.state); err != nil {
		return fmt.Errorf("remove state folder: %w", err)
	}
	return nil
}
