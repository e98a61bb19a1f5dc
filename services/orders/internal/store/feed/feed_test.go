package feed

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/jonboulle/clockwork"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestThePollWakesEverybodyOnce drives a period of the slow poll.
func TestThePollWakesEverybodyOnce(t *testing.T) {
	t.Parallel()
	clock := clockwork.NewFakeClock()
	f := New(Config{Clock: clock, Poll: slots * time.Second})
	var changed []<-chan struct{}
	for range 3 * slots {
		c, unsubscribe := f.Subscribe("o-1")
		defer unsubscribe()
		changed = append(changed, c)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var polling sync.WaitGroup
	polling.Go(func() { f.poll(ctx) })
	for slot := range slots {
		if err := clock.BlockUntilContext(ctx, 1); err != nil {
			t.Fatal(err)
		}
		clock.Advance(time.Second)
		for i := slot; i < len(changed); i += slots {
			<-changed[i]
		}
	}
	cancel()
	polling.Wait()
	for i, c := range changed {
		if len(c) != 0 {
			t.Errorf("watcher %d was woken twice", i)
		}
	}
}

func TestOnlyWatchersOfTheOrderAreWoken(t *testing.T) {
	t.Parallel()
	f := New(Config{})
	mine, unsubscribe := f.Subscribe("o-1")
	other, leave := f.Subscribe("o-2")
	defer leave()
	f.wakeOrder("o-1")
	f.wakeOrder("o-1") // one value says it all
	if len(mine) != 1 || len(other) != 0 {
		t.Errorf("%d and %d values wait", len(mine), len(other))
	}
	unsubscribe()
	f.wakeOrder("o-1")
	if len(f.watchers) != 1 {
		t.Errorf("%d orders are watched", len(f.watchers))
	}
}
