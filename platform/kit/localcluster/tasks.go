package localcluster

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"

	"github.com/slipway-dev/slipway/platform/kit/localcluster/mesh"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/runtime/docker"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/runtime/process"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/runtime/rootfs"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/scheduler"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/secrets"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/task"
)

// What may run tasks.
const (
	// RuntimeProcess runs them as plain processes.
	RuntimeProcess = "process"
	// RuntimeDocker runs them as containers.
	RuntimeDocker = "docker"
)

// taskRuntime is what runs tasks, with what the mesh has to know of them.
type taskRuntime interface {
	scheduler.Runtime
	// Close ends every task.
	Close(ctx context.Context) error
	// processes are the tasks' processes as the mesh sees them, carried the task
	// whose connection comes from an address.
	processes() []mesh.Process
	carried(from *net.TCPAddr) (mesh.Process, bool)
}

func (c *cluster) runtimeName() string { return cmp.Or(c.cfg.Runtime, RuntimeProcess) }

// findEngine finds the engine that the Docker runtime needs.
func (c *cluster) findEngine(ctx context.Context) (err error) {
	if c.runtimeName() != RuntimeDocker {
		return nil
	}
	c.cfg.Reporter.Step("find the Docker engine", "", false)
	if c.engine, err = docker.Connect(ctx, ""); err != nil {
		return fault("use the Docker engine", err, "go tool mage doctor")
	}
	c.cfg.Reporter.Step("find the Docker engine", c.engine.Version, true)
	return nil
}

// openRuntime makes what runs tasks.
func (c *cluster) openRuntime(ctx context.Context, p *parts, s *stores) (taskRuntime, error) {
	resolver := secrets.NewResolver(s.secrets, s.parameters)
	report := func(r task.Report) { p.scheduler.Report(r) }
	environment := map[string]string{
		"AWS_ENDPOINT_URL": p.info.Endpoint, "AWS_REGION": c.cfg.Region,
		"AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local",
	}
	if c.engine != nil {
		if _, err := process.Sweep(ctx, c.dir(tasksFolder)); err != nil { // of a cluster before, which ran processes
			return nil, err
		}
		r, err := docker.New(ctx, docker.Config{
			Engine: c.engine, Dir: c.dir(tasksFolder), Ferry: c.cfg.Ferry, Registry: c.endpoint.Addr().String(),
			Login: login{s.ecr}.user, Logs: p.logs, Clock: c.clock, Logger: c.cfg.Logger,
			Secrets: resolver, Report: report, Environment: environment,
			Ways: func(family string) []int { return ways(p, family) },
		})
		if err != nil {
			return nil, fault("use the Docker engine", err, "go tool mage doctor")
		}
		return containers{r}, nil
	}
	if _, err := docker.Sweep(ctx, c.dir(tasksFolder)); err != nil { // of a cluster before, which ran containers
		c.cfg.Logger.WarnContext(ctx, "containers of an earlier run are still there", "error", err)
	}
	images, err := rootfs.New(rootfs.Config{Dir: c.dir(imagesFolder), Clock: c.clock, Auth: login{s.ecr}})
	if err != nil {
		return nil, err
	}
	r, err := process.New(process.Config{
		Dir: c.dir(tasksFolder), Images: images, Logs: p.logs, Clock: c.clock, Logger: c.cfg.Logger,
		Secrets: resolver, Report: report, Environment: environment,
	})
	return processes{r}, err
}

// ways are the ports that tasks of a family may call: those of the endpoint and
// of the database, and of the services that the family's may call.
func ways(p *parts, family string) []int {
	addresses := []string{p.info.Postgres}
	if endpoint, err := url.Parse(p.info.Endpoint); err == nil {
		addresses = append(addresses, endpoint.Host)
	}
	for _, l := range p.mesh.Links() {
		if l.Family == family {
			addresses = append(addresses, l.Address)
		}
	}
	var ports []int
	for _, a := range addresses {
		if _, port, err := net.SplitHostPort(a); err == nil {
			if n, err := strconv.Atoi(port); err == nil {
				ports = append(ports, n)
			}
		}
	}
	return ports
}

// processes runs tasks as processes of this machine.
type processes struct{ *process.Runtime }

func (r processes) processes() []mesh.Process {
	running := r.Processes()
	out := make([]mesh.Process, 0, len(running))
	for _, p := range running {
		out = append(out, mesh.Process{PID: p.PID, Family: p.Family, Service: serviceOf(p.Group)})
	}
	return out
}

func (processes) carried(*net.TCPAddr) (mesh.Process, bool) { return mesh.Process{}, false }

// containers runs tasks as containers, whose calls the cluster's own process
// carries.
type containers struct{ *docker.Runtime }

func (containers) processes() []mesh.Process { return nil }

func (r containers) carried(from *net.TCPAddr) (mesh.Process, bool) {
	who, ok := r.CallerAt(from)
	return mesh.Process{Family: who.Family, Service: serviceOf(who.Group)}, ok
}

// serviceOf is the name in a task's group, "service:NAME" or "family:NAME".
func serviceOf(group string) string {
	_, name, _ := strings.Cut(group, ":")
	return name
}

// user is the login of the registry.
func (l login) user(context.Context) (name, password string, err error) {
	config, err := l.Authorization()
	if err != nil {
		return "", "", fmt.Errorf("log in to the registry: %w", err)
	}
	return config.Username, config.Password, nil
}
