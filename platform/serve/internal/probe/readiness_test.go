package probe

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"time"
)

func TestReadinessIsCachedBriefly(t *testing.T) {
	t.Parallel()
	now := time.Unix(0, 0)
	calls := 0
	var fail error
	r := NewReadiness([]Check{{Name: "database", Run: func(context.Context) error { calls++; return fail }}},
		slog.New(slog.DiscardHandler))
	r.now = func() time.Time { return now }

	for step, tc := range []struct {
		after time.Duration
		fail  error
		calls int
		ready bool
	}{
		{0, nil, 1, true},
		{readyTTL - 1, errors.New("gone"), 1, true}, // the good answer still stands
		{1, errors.New("gone"), 2, false},
		{unreadyTTL - 1, nil, 2, false},
		{1, nil, 3, true},
	} {
		now, fail = now.Add(tc.after), tc.fail
		if got := r.Report(t.Context()); got.Ready() != tc.ready || calls != tc.calls {
			t.Errorf("step %d: %+v after %d calls", step, got, calls)
		}
	}
	r.Drain()
	if got := r.Report(t.Context()); got.Status != statusDraining || calls != 3 {
		t.Errorf("draining: %+v after %d calls", got, calls)
	}
}

func TestReadinessAsksOnceForManyProbers(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	calls := 0
	r := NewReadiness([]Check{{Name: "slow", Run: func(ctx context.Context) error {
		mu.Lock()
		defer mu.Unlock()
		calls++
		return ctx.Err()
	}}}, slog.New(slog.DiscardHandler))
	gone, cancel := context.WithCancel(t.Context())
	cancel() // a prober that went away must not make the process unready
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			if !r.Report(gone).Ready() {
				t.Error("not ready")
			}
		})
	}
	wg.Wait()
	if calls != 1 {
		t.Errorf("%d checks for 50 probes", calls)
	}
}
