// Package feed tells watchers when an order may have changed. One connection of
// the process listens for PostgreSQL's notifications, which a trigger sends with
// each change, and wakes those who watch that order. A notification carries no
// content: who is woken reads what is new, so one that is lost costs time only.
// Everybody is woken after a reconnection, and in turn every few seconds.
package feed

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jonboulle/clockwork"
)

// channel is the one the trigger orders_record notifies.
const channel = "orders_changed"

const (
	slots     = 10 // the slow poll wakes a tenth of the watchers at a time
	reconnect = time.Second
	closeTime = 2 * time.Second
)

// Config is what a Feed needs; Clock and Poll have defaults.
type Config struct {
	Pool  *pgxpool.Pool
	Log   *slog.Logger
	Clock clockwork.Clock
	// Poll is how often every watcher is woken without news; 10 seconds if 0.
	Poll time.Duration
}

// Feed is an orders.Feed.
type Feed struct {
	Config

	mu       sync.Mutex
	watchers map[string]map[*watcher]struct{} // by order
	next     int                              // the slot of the next watcher
}

// watcher is one subscription.
type watcher struct {
	changed chan struct{}
	slot    int
}

// wake leaves a value, if none waits already.
func (w *watcher) wake() {
	select {
	case w.changed <- struct{}{}:
	default:
	}
}

// New makes a feed. Nobody is woken until it runs.
func New(c Config) *Feed {
	if c.Clock == nil {
		c.Clock = clockwork.NewRealClock()
	}
	if c.Poll == 0 {
		c.Poll = 10 * time.Second
	}
	return &Feed{Config: c, watchers: make(map[string]map[*watcher]struct{})}
}

// Subscribe gives a channel that gets a value when the order may have changed.
func (f *Feed) Subscribe(id string) (changed <-chan struct{}, unsubscribe func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	w := &watcher{changed: make(chan struct{}, 1), slot: f.next}
	f.next = (f.next + 1) % slots
	if f.watchers[id] == nil {
		f.watchers[id] = make(map[*watcher]struct{})
	}
	f.watchers[id][w] = struct{}{}
	return w.changed, func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		delete(f.watchers[id], w)
		if len(f.watchers[id]) == 0 {
			delete(f.watchers, id)
		}
	}
}

// Run listens until ctx ends, through losses of the connection.
func (f *Feed) Run(ctx context.Context) error {
	var polling sync.WaitGroup
	polling.Go(func() { f.poll(ctx) })
	defer polling.Wait()
	for {
		err := f.listen(ctx)
		if ctx.Err() != nil {
			return nil
		}
		f.Log.LogAttrs(ctx, slog.LevelWarn, "lost the notifications of changed orders", slog.Any("error", err))
		timer := f.Clock.NewTimer(reconnect)
		select {
		case <-timer.Chan():
		case <-ctx.Done():
			timer.Stop()
			return nil
		}
	}
}

// listen wakes watchers until the connection is lost. The connection is taken
// out of the pool for good, as it is never idle.
func (f *Feed) listen(ctx context.Context) error {
	pooled, err := f.Pool.Acquire(ctx)
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	conn := pooled.Hijack()
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTime)
		defer cancel()
		_ = conn.Close(ctx) // it is lost or not needed any more
	}()
	if _, err := conn.Exec(ctx, "LISTEN "+pgx.Identifier{channel}.Sanitize()); err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	f.wakeAll(func(*watcher) bool { return true }) // whatever was missed until now
	for {
		n, err := conn.WaitForNotification(ctx)
		if err != nil {
			return fmt.Errorf("wait for notification: %w", err)
		}
		f.wakeOrder(n.Payload)
	}
}

// poll wakes everybody once in each period, a slot at a time.
func (f *Feed) poll(ctx context.Context) {
	ticker := f.Clock.NewTicker(f.Poll / slots)
	defer ticker.Stop()
	for slot := 0; ; slot = (slot + 1) % slots {
		select {
		case <-ticker.Chan():
			f.wakeAll(func(w *watcher) bool { return w.slot == slot })
		case <-ctx.Done():
			return
		}
	}
}

func (f *Feed) wakeOrder(id string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for w := range f.watchers[id] {
		w.wake()
	}
}

func (f *Feed) wakeAll(which func(*watcher) bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, watchers := range f.watchers {
		for w := range watchers {
			if which(w) {
				w.wake()
			}
		}
	}
}
