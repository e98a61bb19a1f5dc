package orders

import (
	"context"
	"sync"
	"time"
)

// flights keeps requests with the same key of one process apart, so that one
// does the work and the others find it done. It only saves work: between
// processes, and after a crash, the key's row in the database decides.
type flights struct {
	mu      sync.Mutex
	running map[string]chan struct{}
}

func newFlights() *flights { return &flights{running: make(map[string]chan struct{})} }

// enter waits until nobody holds the name, at most so long, and takes it. It
// reports false if the wait was in vain.
func (f *flights) enter(ctx context.Context, name string, patience time.Duration) (leave func(), ok bool) {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	for {
		f.mu.Lock()
		running, busy := f.running[name]
		if !busy {
			running = make(chan struct{})
			f.running[name] = running
			f.mu.Unlock()
			return func() {
				f.mu.Lock()
				delete(f.running, name)
				f.mu.Unlock()
				close(running)
			}, true
		}
		f.mu.Unlock()
		select {
		case <-running:
		case <-timer.C:
			return nil, false
		case <-ctx.Done():
			return nil, false
		}
	}
}
