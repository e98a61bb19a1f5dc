package jobs

import (
	"cmp"
	"context"
	"log/slog"
	"time"

	"github.com/jonboulle/clockwork"

	"github.com/slipway-dev/slipway/services/orders/internal/orders"
)

// LateWork confirms the orders whose own job is late; an *orders.Service does it.
type LateWork interface {
	ConfirmLate(ctx context.Context) error
}

// LateConfig is what a Late needs. Work is required.
type LateConfig struct {
	Work LateWork
	// Log hears of failures; nil discards.
	Log *slog.Logger
	// Clock is the real one if nil.
	Clock clockwork.Clock
}

// Late looks for late orders in every task, whoever leads the jobs: the task that
// died may have been the leader. Two tasks that find the same order do it no harm.
type Late struct{ LateConfig }

// lateLimit bounds one look, with what is found.
const lateLimit = 20 * time.Second

// NewLate makes one.
func NewLate(c LateConfig) *Late {
	c.Log = cmp.Or(c.Log, slog.New(slog.DiscardHandler))
	if c.Clock == nil {
		c.Clock = clockwork.NewRealClock()
	}
	return &Late{c}
}

// Run looks every orders.LateInterval until ctx ends. A failure is no error: the
// next look comes soon, and the orders' own jobs are there still.
func (l *Late) Run(ctx context.Context) error {
	tick := l.Clock.NewTicker(orders.LateInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.Chan():
			l.look(ctx)
		}
	}
}

func (l *Late) look(ctx context.Context) {
	looking, cancel := context.WithTimeout(ctx, lateLimit)
	defer cancel()
	if err := l.Work.ConfirmLate(looking); err != nil && ctx.Err() == nil {
		l.Log.LogAttrs(ctx, slog.LevelWarn, "late orders cannot be confirmed yet", slog.Any("error", err))
	}
}
