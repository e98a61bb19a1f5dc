package docker

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/moby/moby/client"
	"github.com/moby/moby/client/pkg/versions"
)

// hostVariable names the engine's socket, as for the docker command.
const hostVariable = client.EnvOverrideHost

// answerLimit bounds how long an engine may take to answer at all.
const answerLimit = 5 * time.Second

// EngineError says why no engine can be used, and what to do about it.
type EngineError struct {
	Why  string
	Hint string
	err  error
}

// Error says why.
func (e *EngineError) Error() string { return e.Why }

// Unwrap is the cause, where there is one.
func (e *EngineError) Unwrap() error { return e.err }

// Next is what to type.
func (e *EngineError) Next() string { return e.Hint }

// instead is the way that needs no engine.
const instead = "or without Docker: go tool mage up --runtime=process"

// Engine is a Docker engine of this machine.
type Engine struct {
	api  *client.Client
	host string
	// rootless engines map their root to this process's user.
	rootless bool
	// zstd engines can pull layers that are compressed so.
	zstd bool
	// Version is the engine's, such as 29.1.3.
	Version string
}

// Connect finds the engine at host, or, when that is empty, at DOCKER_HOST or
// where the docker command looks by default. It has to run Linux containers on
// this machine, since tasks are reached through sockets in a folder. Its errors
// are EngineErrors.
func Connect(ctx context.Context, host string) (*Engine, error) {
	if runtime.GOOS != "linux" {
		return nil, &EngineError{
			Why:  "the Docker runtime needs Linux: elsewhere the engine runs in a virtual machine, which the sockets of tasks do not cross",
			Hint: "go tool mage up --runtime=process",
		}
	}
	if host == "" {
		host = os.Getenv(hostVariable)
	}
	if host == "" {
		host = client.DefaultDockerHost
	}
	if !strings.HasPrefix(host, "unix://") {
		return nil, &EngineError{
			Why:  fmt.Sprintf("the engine at %s may run elsewhere; one of this machine is needed, on a unix socket", host),
			Hint: hostVariable + "=unix:///var/run/docker.sock go tool mage up --runtime=docker   # " + instead,
		}
	}
	api, err := client.New(client.WithHost(host))
	if err != nil {
		return nil, &EngineError{Why: err.Error(), Hint: "echo $" + hostVariable + "   # " + instead, err: err}
	}
	e := &Engine{api: api, host: host}
	ctx, cancel := context.WithTimeout(ctx, answerLimit)
	defer cancel()
	if err := e.examine(ctx); err != nil {
		return nil, errors.Join(explain(host, err), api.Close())
	}
	return e, nil
}

// examine asks the engine what it is.
func (e *Engine) examine(ctx context.Context) error {
	if _, err := e.api.Ping(ctx, client.PingOptions{NegotiateAPIVersion: true}); err != nil {
		return err
	}
	res, err := e.api.Info(ctx, client.InfoOptions{})
	if err != nil {
		return err
	}
	e.Version, e.zstd = res.Info.ServerVersion, !versions.LessThan(e.api.ClientVersion(), zstdVersion)
	if res.Info.OSType != "linux" {
		return &EngineError{Why: "the engine runs containers of " + res.Info.OSType + ", not of Linux", Hint: "go tool mage up --runtime=process"}
	}
	has := func(option string) bool {
		return slices.ContainsFunc(res.Info.SecurityOptions, func(s string) bool { return strings.HasPrefix(s, "name="+option) })
	}
	if e.rootless = has("rootless"); !e.rootless && has("userns") {
		return &EngineError{
			Why:  "the engine gives containers users of its own (userns-remap), which cannot use this user's sockets",
			Hint: "take userns-remap out of /etc/docker/daemon.json, or use a rootless engine, " + instead,
		}
	}
	return nil
}

// explain words an engine that does not answer.
func explain(host string, err error) *EngineError {
	if own := (*EngineError)(nil); errors.As(err, &own) {
		return own
	}
	path := strings.TrimPrefix(host, "unix://")
	out := &EngineError{err: err}
	switch {
	case errors.Is(err, fs.ErrPermission) || strings.Contains(err.Error(), "permission denied"):
		out.Why = "this user may not use the Docker engine: permission denied on " + path
		out.Hint = "sudo usermod -aG docker $USER   # then log in again, " + instead
	case errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOENT) || strings.Contains(err.Error(), "no such file"):
		out.Why = "no Docker engine runs here: there is no socket at " + path
		out.Hint = "install and start Docker, or set " + hostVariable + "   # " + instead
	case client.IsErrConnectionFailed(err) || errors.Is(err, context.DeadlineExceeded):
		out.Why = "the Docker engine does not answer at " + path
		out.Hint = "sudo systemctl restart docker   # " + instead
	default:
		out.Why = "the Docker engine at " + path + " refuses: " + err.Error()
		out.Hint = "docker info   # " + instead
	}
	return out
}

// Close ends the connections to the engine.
func (e *Engine) Close() error { return e.api.Close() }

// lost reports whether an error says that the engine is not there, rather than
// that it refused.
func lost(err error) bool {
	return client.IsErrConnectionFailed(err) || errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.ENOENT) ||
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) || strings.Contains(err.Error(), "EOF")
}
