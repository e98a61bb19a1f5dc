// Package trail reads what rollouts and tasks left behind: the history of a
// service's deployments, as ECS keeps it, and what its tasks wrote.
package trail

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/jonboulle/clockwork"

	"github.com/slipway-dev/slipway/platform/kit/rollout"
)

// Config says where to read.
type Config struct {
	Environment string // name, as in environment files
	Local       bool   // the embedded cluster: poll fast

	ECS       rollout.ECS
	Contracts rollout.Contracts
	Logs      rollout.Logs

	Clock clockwork.Clock // nil takes the real one
}

// Reader reads one environment. It is safe for concurrent use.
type Reader struct{ cfg Config }

// New returns a reader.
func New(cfg Config) (*Reader, error) {
	if cfg.Environment == "" || cfg.ECS == nil || cfg.Contracts == nil || cfg.Logs == nil {
		return nil, errors.New("trail: Environment, ECS, Contracts or Logs is missing")
	}
	if cfg.Clock == nil {
		cfg.Clock = clockwork.NewRealClock()
	}
	return &Reader{cfg: cfg}, nil
}

// wait waits until the next look, or until ctx ends, and then returns its error.
func (r *Reader) wait(ctx context.Context) error {
	pause := 2 * time.Second
	if r.cfg.Local {
		pause = 100 * time.Millisecond
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-r.cfg.Clock.After(pause):
		return nil
	}
}

// command returns the command line of a mage target for this environment.
func (r *Reader) command(verb string, more ...string) string {
	return strings.Join(append([]string{"go tool mage", verb, r.cfg.Environment}, more...), " ")
}

// shell returns the command that (re)makes the service's shell.
func (r *Reader) shell() string {
	if r.cfg.Local {
		return "go tool mage up"
	}
	return "terraform apply   # in the service root of " + r.cfg.Environment
}

func fail(what string, err error, next string) error {
	return &rollout.Error{What: what, Err: err, Do: next}
}
