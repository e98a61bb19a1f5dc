package lifecycle

import (
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

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
func (c *Container) watchHealth(hc *types.HealthCheck, i Instance) {
	h := newHealthChecks(hc)
	clock := c.task.rt.cfg.Clock
	began := clock.Now()
	forgiven := max(h.startPeriod, h.interval)
	wait, failures, seen := firstCheck, 0, false
	for {
		switch ok := i.Check(hc.Command, h.timeout); {
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
		case <-i.Over():
			timer.Stop()
			return
		case <-timer.Chan():
		}
	}
}

func (c *Container) setHealth(health string) {
	c.task.mu.Lock()
	changed := c.health != health && c.status == task.StatusRunning
	if changed {
		c.health = health
	}
	c.task.mu.Unlock()
	if changed {
		c.task.post()
	}
}
