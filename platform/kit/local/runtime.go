package local

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/slipway-dev/slipway/platform/kit/localcluster"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/runtime/docker"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/runtime/process"
)

// The kit's own programs.
const (
	clusterProgram = "slipway-cluster"
	ferryProgram   = "slipway-ferry"
)

// runtimeFile remembers what was last asked to run tasks.
const runtimeFile = "runtime"

// chosen is what a state folder's tasks run as: what was last asked for, else
// processes.
func chosen(state string) string {
	raw, err := os.ReadFile(filepath.Join(state, runtimeFile))
	if err == nil && strings.TrimSpace(string(raw)) == localcluster.RuntimeDocker {
		return localcluster.RuntimeDocker
	}
	return localcluster.RuntimeProcess
}

// RuntimeError says that there is no such runtime.
type RuntimeError struct{ Name string }

// Error says so.
func (e RuntimeError) Error() string {
	return fmt.Sprintf("there is no runtime %q: tasks run as %s or %s", e.Name, localcluster.RuntimeProcess, localcluster.RuntimeDocker)
}

// Next is a command that works.
func (RuntimeError) Next() string { return "go tool mage up --runtime=" + localcluster.RuntimeProcess }

// ExitCode is that of a wrong argument.
func (RuntimeError) ExitCode() int { return 2 }

// Choose says what tasks run as from the next Start on, until something else is
// chosen or the cluster's data is removed: "process" or "docker".
func (c *Cluster) Choose(runtime string) error {
	if runtime != localcluster.RuntimeProcess && runtime != localcluster.RuntimeDocker {
		return RuntimeError{runtime}
	}
	c.runtime = runtime
	return nil
}

// remember keeps the choice.
func (c *Cluster) remember() error {
	if chosen(c.state) == c.runtime {
		return nil
	}
	if err := os.WriteFile(filepath.Join(c.state, runtimeFile), []byte(c.runtime+"\n"), 0o600); err != nil {
		return c.stateFault(err)
	}
	return nil
}

func (c *Cluster) program(name string) string {
	return filepath.Join(c.cache, "bin", filepath.Base(c.state), name)
}

// compileFerry builds what stands beside each task of the Docker runtime: a
// program for Linux that needs no file of the system.
func (c *Cluster) compileFerry(ctx context.Context) error {
	return c.build(ctx, ferryProgram, "CGO_ENABLED=0", "GOOS=linux")
}

// sweepTasks ends tasks that a cluster left behind, whatever ran them.
func sweepTasks(ctx context.Context, dir string) (int, error) {
	n, err := process.Sweep(ctx, dir)
	if errors.Is(err, os.ErrNotExist) {
		err = nil
	}
	m, removed := docker.Sweep(ctx, dir)
	return n + m, errors.Join(err, removed)
}
