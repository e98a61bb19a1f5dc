package serve

import (
	"net"
	"net/http"
	"sync"
	"time"
)

// freshGrace is how long a connection without a first request may hold up the
// drain.
const freshGrace = 50 * time.Millisecond

// freshConns tracks connections that were opened and have not carried a
// request. Clients open spare ones, and http.Server.Shutdown waits 5 s for each
// (go.dev/issue/22682); this closes them sooner.
type freshConns struct {
	mu   sync.Mutex
	open map[net.Conn]struct{}
}

func newFreshConns() *freshConns { return &freshConns{open: make(map[net.Conn]struct{})} }

// state is the http.Server's ConnState hook.
func (f *freshConns) state(c net.Conn, s http.ConnState) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if s == http.StateNew {
		f.open[c] = struct{}{}
	} else {
		delete(f.open, c)
	}
}

// drain closes the connections that are still fresh after the grace. The
// function it returns cancels that.
func (f *freshConns) drain() (stop func()) {
	timer := time.AfterFunc(freshGrace, func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		for c := range f.open {
			_ = c.Close()
		}
	})
	return func() { timer.Stop() }
}
