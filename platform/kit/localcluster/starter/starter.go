// Package starter starts one task after another with the process runtime and
// the gateway, and tells how long each took to its first successful health
// check. Benchmarks use it; the embedded cluster does not.
package starter

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/jonboulle/clockwork"

	"github.com/slipway-dev/slipway/platform/kit/localcluster/gateway"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/runtime/process"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/runtime/rootfs"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/task"
)

const (
	groupARN  = "arn:aws:elasticloadbalancing:us-east-1:000000000000:targetgroup/bench/0000000000000000"
	container = "main"
	// startLimit is when a task that does not get healthy ends the measurement.
	startLimit = 20 * time.Second
)

// Config says what is started over and over.
type Config struct {
	// Dir keeps images and tasks; the users of tasks can pass through it.
	Dir string
	// Image is the reference to start, User and Password open its registry.
	Image, User, Password string
	// Environment is the task's. It gets a port named http, which is probed at
	// /healthz, and one named grpc.
	Environment map[string]string
	Clock       clockwork.Clock
}

// Starter starts tasks as the embedded cluster does, without its scheduler.
type Starter struct {
	cfg     Config
	gateway *gateway.Gateway
	runtime *process.Runtime
	healthy chan string
	stopped chan string
}

// New returns a starter that has started nothing yet.
func New(cfg Config) (*Starter, error) {
	s := &Starter{cfg: cfg, healthy: make(chan string, 16), stopped: make(chan string, 16)}
	var err error
	s.gateway, err = gateway.New(gateway.Config{OnHealthChange: func(_, id string, h gateway.TargetHealth) {
		if h.State == gateway.StateHealthy {
			s.healthy <- id
		}
	}})
	if err != nil {
		return nil, err
	}
	err = s.gateway.PutTargetGroup(gateway.TargetGroup{
		ARN: groupARN, Name: "bench", Protocol: gateway.HTTP,
		HealthCheck: gateway.HealthCheck{Path: "/healthz", Interval: 2 * time.Second, Timeout: 2 * time.Second},
	})
	if err != nil {
		return nil, err
	}
	images, err := rootfs.New(rootfs.Config{
		Dir: filepath.Join(cfg.Dir, "images"), Auth: &authn.Basic{Username: cfg.User, Password: cfg.Password},
	})
	if err != nil {
		return nil, err
	}
	s.runtime, err = process.New(process.Config{
		Dir: filepath.Join(cfg.Dir, "tasks"), Images: images, Secrets: noSecrets{}, Logs: noLogs{}, Report: s.report,
	})
	return s, err
}

// report registers a task that runs, as the scheduler does.
func (s *Starter) report(r task.Report) {
	if r.Stopped() {
		s.stopped <- r.TaskARN
		return
	}
	for _, c := range r.Containers {
		for _, p := range c.Ports {
			if c.Status == task.StatusRunning && p.Name == "http" {
				_ = s.gateway.Register(groupARN, gateway.Target{ID: r.TaskARN, Host: "127.0.0.1", Port: int(p.HostPort)})
			}
		}
	}
}

// Start starts the n-th task, waits for its first successful health check,
// which is what it times, and stops it.
func (s *Starter) Start(ctx context.Context, n int) (time.Duration, error) {
	arn := "arn:aws:ecs:us-east-1:000000000000:task/bench/" + fmt.Sprintf("%032d", n)
	began := s.cfg.Clock.Now()
	if err := s.runtime.Start(ctx, s.spec(arn)); err != nil {
		return 0, err
	}
	limit := s.cfg.Clock.After(startLimit)
	select {
	case <-s.healthy:
	case <-s.stopped:
		return 0, errors.New("start a task: it stopped at once")
	case <-limit:
		return 0, errors.New("start a task: it does not get healthy")
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	took := s.cfg.Clock.Since(began)
	<-s.gateway.Deregister(groupARN, arn)
	s.runtime.Stop(arn, nil)
	<-s.stopped
	return took, nil
}

func (s *Starter) spec(arn string) task.Spec {
	var environment []types.KeyValuePair
	for name, value := range s.cfg.Environment {
		environment = append(environment, types.KeyValuePair{Name: aws.String(name), Value: aws.String(value)})
	}
	mapping := func(name string, port int32) types.PortMapping {
		return types.PortMapping{Name: aws.String(name), ContainerPort: aws.Int32(port)}
	}
	return task.Spec{
		ARN: arn, ID: arn[strings.LastIndexByte(arn, '/')+1:], ClusterName: "bench",
		Group: "service:" + container, CreatedAt: s.cfg.Clock.Now(),
		Definition: types.TaskDefinition{Family: aws.String("bench"), ContainerDefinitions: []types.ContainerDefinition{{
			Name: aws.String(container), Image: aws.String(s.cfg.Image), Essential: aws.Bool(true), User: aws.String("65532"),
			Environment:  environment,
			PortMappings: []types.PortMapping{mapping("http", 8080), mapping("grpc", 9090)},
		}}},
	}
}

// Close ends what runs.
func (s *Starter) Close() {
	_ = s.runtime.Close(context.Background())
	s.gateway.Close()
}

type noSecrets struct{}

// Resolve finds nothing: the task has no secrets.
func (noSecrets) Resolve(context.Context, string) (string, error) {
	return "", errors.New("there are no secrets")
}

type noLogs struct{}

// Writer drops what the task writes.
func (noLogs) Writer(string, string) io.WriteCloser { return discard{} }

type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }
func (discard) Close() error                { return nil }
