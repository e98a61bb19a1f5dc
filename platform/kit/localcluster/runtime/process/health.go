package process

import (
	"bytes"
	"os/exec"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/slipway-dev/slipway/platform/kit/localcluster/runtime/rootfs"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/task"
)

// firstCheck is the pause after the first failed check of a new container. It
// doubles up to the interval, so that a quick start is noticed quickly.
const firstCheck = 100 * time.Millisecond

// healthChecks is a container's health check with the defaults of the ECS API
// (HealthCheck) filled in.
type healthChecks struct {
	interval, timeout, startPeriod time.Duration
	retries                        int
}

func newHealthChecks(hc *types.HealthCheck) healthChecks {
	seconds := func(v *int32, def int32) time.Duration {
		if v != nil {
			def = *v
		}
		return time.Duration(def) * time.Second
	}
	h := healthChecks{seconds(hc.Interval, 30), seconds(hc.Timeout, 5), seconds(hc.StartPeriod, 0), 3}
	if hc.Retries != nil {
		h.retries = int(*hc.Retries)
	}
	return h
}

// watchHealth runs the container's health check until the container is over.
// Failures before the start period is over, or before one interval has gone by,
// do not count.
func (c *container) watchHealth(hc *types.HealthCheck, over <-chan struct{}) {
	h := newHealthChecks(hc)
	clock := c.run.rt.cfg.Clock
	began := clock.Now()
	forgiven := max(h.startPeriod, h.interval)
	wait, failures, seen := firstCheck, 0, false
	for {
		switch ok := c.check(hc.Command, h.timeout, over); {
		case ok:
			if !seen {
				seen = true
				close(c.healthy)
			}
			failures, wait = 0, h.interval
			c.setHealth(task.HealthHealthy)
		case !seen && clock.Since(began) < forgiven:
			wait = min(2*wait, h.interval)
		default:
			wait = h.interval
			if failures++; failures >= h.retries {
				c.setHealth(task.HealthUnhealthy)
			}
		}
		timer := clock.NewTimer(wait)
		select {
		case <-over:
			timer.Stop()
			return
		case <-timer.Chan():
		}
	}
}

func (c *container) setHealth(health string) {
	c.run.mu.Lock()
	changed := c.health != health && c.status == task.StatusRunning
	if changed {
		c.health = health
	}
	c.run.mu.Unlock()
	if changed {
		c.run.post()
	}
}

// check runs the command once and reports whether it exits with 0 in time.
// CMD runs a program of the image, CMD-SHELL a line in this machine's shell.
func (c *container) check(command []string, timeout time.Duration, over <-chan struct{}) bool {
	path, argv := "/bin/sh", []string{"sh", "-c", command[len(command)-1]}
	if command[0] != "CMD-SHELL" {
		argv = command
		if command[0] == "CMD" {
			argv = command[1:]
		}
		if len(argv) == 0 {
			return false
		}
		var err error
		path, err = rootfs.Lookup(c.image.Dir, c.workdir(), lookupEnv(c.environ, "PATH"), argv[0])
		if err != nil {
			c.run.rt.cfg.Logger.Warn("health check has no program", "container", c.name(), "error", err)
			return false
		}
	}
	cmd := c.process(path, argv)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr, cmd.WaitDelay = &out, &out, lastWords
	if err := c.run.rt.spawner.start(c.run.ctx, cmd, c.run.rt.cfg.Clock); err != nil {
		return false
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	return c.verdict(cmd, ended, timeout, over)
}

func (c *container) verdict(cmd *exec.Cmd, ended <-chan error, timeout time.Duration, over <-chan struct{}) bool {
	timer := c.run.rt.cfg.Clock.NewTimer(timeout)
	defer timer.Stop()
	select {
	case err := <-ended:
		return err == nil
	case <-timer.Chan():
	case <-over:
	}
	killGroup(cmd.Process.Pid)
	<-ended //nolint:errcheck // it says that it was killed
	return false
}
