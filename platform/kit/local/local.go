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
	"syscall"
	"time"

	"github.com/slipway-dev/slipway/platform/kit/event"
	"github.com/slipway-dev/slipway/platform/kit/localcluster"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/daemon"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/place"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/postgres"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/state"
	"github.com/slipway-dev/slipway/platform/kit/manifest"
)

// Cluster is the embedded cluster of one checkout, running or not.
type Cluster struct {
	root, state, cache string
	env                manifest.Environment
	runtime            string
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
	return &Cluster{root: root, state: state, cache: cache, env: env, runtime: chosen(state)}, nil
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
// from other code is replaced: its tasks start again, its data stays. A second
// Start on the same state waits for the first.
func (c *Cluster) Start(ctx context.Context, emit *event.Emitter) (info daemon.Info, err error) {
	err = emit.Run("start the cluster", func(step *event.Step) (string, error) {
		if err := place.Prepare(c.state); err != nil {
			return "", c.stateFault(err)
		}
		release, err := c.starting(ctx, step)
		if err != nil {
			return "", err
		}
		defer release()
		step.Progress("compile", 0, 0, "")
		program, build, err := c.compile(ctx)
		if err == nil && c.runtime == localcluster.RuntimeDocker {
			err = c.compileFerry(ctx)
		}
		if err == nil {
			err = c.remember()
		}
		if err != nil {
			return "", err
		}
		running, ok, err := c.settled(ctx, step)
		switch {
		case err != nil:
			return "", err
		case ok && running.Build == build && c.isAsWanted(running):
			info = running
			return "runs already", nil
		case ok:
			step.Progress("replace the running one, which is of other code, ports or runtime", 0, 0, "")
			if err := c.stop(ctx, running.PID); err != nil {
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

// stateFault says that the state folder refuses, and what helps.
func (c *Cluster) stateFault(err error) error {
	hint := "choose another: " + place.StateVariable + "=DIR go tool mage up"
	if isFull(err) {
		hint = "df -h " + c.state + "   # make room, or " + hint
	}
	return &daemon.Fault{What: "use the state folder", Why: err.Error(), Hint: hint}
}

// isFull reports whether the disk has no room. Programs that we call say it in
// their output.
func isFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || strings.Contains(err.Error(), syscall.ENOSPC.Error())
}

const (
	// pollPeriod is how often another command or a starting cluster is looked at.
	pollPeriod = 50 * time.Millisecond
	// startLimit is how long a cluster that somebody else started may take.
	startLimit = 2 * time.Minute
)

// starting makes sure that only one command starts the cluster at a time.
func (c *Cluster) starting(ctx context.Context, step *event.Step) (release func(), err error) {
	f, err := os.OpenFile(filepath.Join(c.state, "start.lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, c.stateFault(err)
	}
	for told := false; ; told = true {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return func() { _ = f.Close() }, nil // the lock goes with the file
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR) {
			return nil, errors.Join(fmt.Errorf("lock %s: %w", f.Name(), err), f.Close())
		}
		if !told {
			step.Progress("wait for another command that starts it", 0, 0, "")
		}
		if err := sleep(ctx, pollPeriod); err != nil {
			return nil, errors.Join(err, f.Close())
		}
	}
}

// settled returns the running cluster, if there is one, and waits for one that
// is on its way up or down.
func (c *Cluster) settled(ctx context.Context, step *event.Step) (daemon.Info, bool, error) {
	limit, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	for told := false; ; told = true {
		info, ok, err := daemon.Find(ctx, c.state)
		if err != nil || ok {
			return info, ok, err
		}
		pid := state.Holder(c.state)
		if pid == 0 {
			return daemon.Info{}, false, nil
		}
		if !told {
			step.Progress(fmt.Sprintf("wait for the cluster of process %d", pid), 0, 0, "")
		}
		if err := sleep(limit, pollPeriod); err != nil {
			if ctx.Err() != nil {
				return daemon.Info{}, false, ctx.Err()
			}
			return daemon.Info{}, false, &daemon.Fault{
				What: "find the running cluster", Why: fmt.Sprintf("process %d has the state in %s, but does not answer", pid, c.state),
				Hint: "go tool mage down   # then go tool mage up",
			}
		}
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// isAsWanted reports whether a running cluster has the configured ports and
// runtime.
func (c *Cluster) isAsWanted(info daemon.Info) bool {
	for _, p := range []struct {
		port int
		addr string
	}{{c.env.Ports.Gateway, info.Gateway}, {c.env.Ports.AWS, info.Endpoint}, {c.env.Ports.Postgres, info.Postgres}} {
		if p.port != 0 && !strings.HasSuffix(p.addr, ":"+strconv.Itoa(p.port)) {
			return false
		}
	}
	return c.env.Ports.Mesh == info.MeshPort && c.runtime == info.Runtime
}

func (c *Cluster) arguments(build string) []string {
	return []string{
		"-checkout", c.root, "-state", c.state, "-cache", c.cache, "-build", build,
		"-account", c.env.Account, "-region", c.env.Region,
		"-gateway-port", strconv.Itoa(c.env.Ports.Gateway),
		"-endpoint-port", strconv.Itoa(c.env.Ports.AWS),
		"-postgres-port", strconv.Itoa(c.env.Ports.Postgres),
		"-mesh-port", strconv.Itoa(c.env.Ports.Mesh),
		"-runtime", c.runtime, "-ferry", c.program(ferryProgram),
		"-tracing-ratio", strconv.FormatFloat(c.env.Tracing.Ratio, 'g', -1, 64),
	}
}

// compile builds the cluster's program, which takes half a second when nothing
// changed. It is the same module and cache that the command itself came from.
func (c *Cluster) compile(ctx context.Context) (program, build string, err error) {
	program = c.program(clusterProgram)
	if err := c.build(ctx, clusterProgram); err != nil {
		return "", "", err
	}
	build, err = daemon.BuildID(program)
	return program, build, err
}

// build compiles one of the kit's programs.
func (c *Cluster) build(ctx context.Context, name string, environ ...string) error {
	cmd := exec.CommandContext(ctx, "go", "build", "-o", c.program(name), "./platform/kit/cmd/"+name)
	cmd.Dir, cmd.Env = c.root, append(os.Environ(), environ...)
	if out, err := cmd.CombinedOutput(); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		fault := &daemon.Fault{What: "compile the cluster", Why: strings.TrimSpace(string(out)), Hint: "go tool mage doctor"}
		if strings.Contains(fault.Why, syscall.ENOSPC.Error()) {
			fault.Hint = "make room   # df -h " + c.cache + " " + os.TempDir()
		}
		return fault
	}
	return nil
}

const (
	// stopLimit is how long a cluster may take to end in good order.
	stopLimit = 30 * time.Second
	// killLimit is how long the system may take to end a killed one.
	killLimit = 5 * time.Second
)

// stop ends a cluster's process: in good order, or by force when it hangs, from
// which its state, its tasks and its databases recover.
func (c *Cluster) stop(ctx context.Context, pid int) error {
	limit, cancel := context.WithTimeout(ctx, stopLimit)
	defer cancel()
	err := daemon.Stop(limit, daemon.Info{PID: pid})
	if err == nil || ctx.Err() != nil || limit.Err() == nil {
		return err
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("kill cluster process %d: %w", pid, err)
	}
	limit, cancel = context.WithTimeout(ctx, killLimit)
	defer cancel()
	if err := daemon.Stop(limit, daemon.Info{PID: pid}); err != nil { // waits for its end, and with it the lock's
		return err
	}
	_, err = c.sweep(ctx)
	return err
}

// Stop ends the cluster with its tasks and its database; data stays. One that
// is only starting is ended too, one that died is swept up after. It reports
// whether there was anything to end.
func (c *Cluster) Stop(ctx context.Context, emit *event.Emitter) (found bool, err error) {
	err = emit.Run("stop the cluster", func(*event.Step) (string, error) {
		info, ok, err := daemon.Find(ctx, c.state)
		if err != nil {
			return "", err
		}
		pid := info.PID
		if !ok {
			pid = state.Holder(c.state)
		}
		if pid != 0 {
			found = true
			if err := c.stop(ctx, pid); err != nil {
				return "", err
			}
		}
		swept, err := c.sweep(ctx)
		switch {
		case err != nil:
			return "", err
		case found:
			return "its data is in " + c.state, nil
		case swept:
			found = true
			return "ended what a dead cluster had left", nil
		}
		return "none was running", nil
	})
	return found, err
}

// sweep ends what a cluster that died left behind. Nothing may be started
// meanwhile, lest that is swept away too.
func (c *Cluster) sweep(ctx context.Context) (bool, error) {
	release, err := state.Hold(c.state)
	if locked := new(state.LockedError); errors.As(err, &locked) {
		return false, nil // a new cluster runs by now, which has taken over what was left
	}
	if err != nil {
		return false, err
	}
	defer release()
	n, err := sweepTasks(ctx, filepath.Join(c.state, "tasks"))
	return n > 0, errors.Join(err, postgres.Sweep(ctx, filepath.Join(c.state, "postgres")))
}

// Purge removes everything that the cluster kept. It must be stopped.
func (c *Cluster) Purge() error {
	release, err := state.Hold(c.state)
	if err != nil {
		return fmt.Errorf("remove state folder: %w", err)
	}
	defer release()
	if err := os.RemoveAll(c.state); err != nil {
		return fmt.Errorf("remove state folder: %w", err)
	}
	return nil
}
