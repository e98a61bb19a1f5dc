package provision

import (
	"context"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"

	"github.com/slipway-dev/slipway/platform/kit/localcluster/gateway"
)

const (
	readyLimit = time.Minute
	readyPoll  = 25 * time.Millisecond
)

// NotReadyError says that a service does not answer.
type NotReadyError struct {
	Environment, Service string
	Healthy, Desired     int
}

// Error says how many of its tasks do.
func (e *NotReadyError) Error() string {
	return fmt.Sprintf("%d of %d tasks of %s pass their health checks after %s", e.Healthy, e.Desired, e.Service, readyLimit)
}

// Next is the command that shows why.
func (e *NotReadyError) Next() string { return "go tool mage logs " + e.Environment + " " + e.Service }

// Ready waits until every target group of the services has as many healthy
// targets as tasks are wanted, as it has not when a cluster has just come back
// and its tasks are still starting.
func (p *Provisioner) Ready(ctx context.Context, services []string) error {
	limit, cancel := context.WithTimeout(ctx, readyLimit)
	defer cancel()
	tick := time.NewTicker(readyPoll)
	defer tick.Stop()
	for _, name := range services {
		s, err := p.shell(name)
		if err != nil {
			return err
		}
		for {
			healthy, desired, err := p.healthy(ctx, s)
			if err != nil {
				return fmt.Errorf("wait for %s: %w", name, err)
			}
			if healthy >= desired {
				break
			}
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-limit.Done():
				return &NotReadyError{Environment: p.env.Name, Service: name, Healthy: healthy, Desired: desired}
			case <-tick.C:
			}
		}
	}
	return nil
}

// healthy counts the healthy targets of the service's poorest load balancer
// entry, in both of its target groups.
func (p *Provisioner) healthy(ctx context.Context, s shell) (healthy, desired int, err error) {
	out, err := p.ecs.DescribeServices(ctx, &ecs.DescribeServicesInput{
		Cluster: aws.String(s.cluster()), Services: []string{s.service.Name},
	})
	if err != nil {
		return 0, 0, err
	}
	if len(out.Services) == 1 {
		desired = int(out.Services[0].DesiredCount)
	}
	healthy = desired
	for _, e := range s.entries() {
		n := 0
		for _, tg := range e.groups {
			targets, err := p.admin.Targets(ctx, tg.ARN)
			if err != nil {
				return 0, 0, err
			}
			for _, t := range targets {
				if t.State == gateway.StateHealthy {
					n++
				}
			}
		}
		healthy = min(healthy, n)
	}
	return healthy, desired, nil
}
