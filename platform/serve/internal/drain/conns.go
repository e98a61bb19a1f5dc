package drain

import (
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// freshGrace is how long a connection that has sent nothing may hold up the
// drain.
const freshGrace = 25 * time.Millisecond

// Conns tracks accepted connections that have not sent a byte. Clients open
// spare ones and load balancers probe ports; http.Server.Shutdown waits 5 s for
// each (go.dev/issue/22682) and grpc.Server.GracefulStop for the handshake. The
// drain closes them sooner.
type Conns struct {
	mu   sync.Mutex
	open map[*freshConn]struct{}
}

// NewConns returns an empty set.
func NewConns() *Conns { return &Conns{open: make(map[*freshConn]struct{})} }

// Listen tracks the listener's connections.
func (f *Conns) Listen(l net.Listener) net.Listener {
	return &freshListener{Listener: l, conns: f}
}

// CloseFresh closes the connections that are still fresh after the grace. The
// function it returns cancels that.
func (f *Conns) CloseFresh() (stop func()) {
	timer := time.AfterFunc(freshGrace, func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		for c := range f.open {
			_ = c.Conn.Close() // its server notices and lets go of it
		}
	})
	return func() { timer.Stop() }
}

func (f *Conns) forget(c *freshConn) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.open, c)
}

type freshListener struct {
	net.Listener

	conns *Conns
}

// Accept registers the connection as fresh.
func (l *freshListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err //nolint:wrapcheck // servers compare it with net.ErrClosed
	}
	c := &freshConn{Conn: conn, conns: l.conns}
	l.conns.mu.Lock()
	defer l.conns.mu.Unlock()
	l.conns.open[c] = struct{}{}
	return c, nil
}

// freshConn is a connection that reports its first byte.
type freshConn struct {
	net.Conn

	conns *Conns
	used  atomic.Bool
}

// Read ends the freshness with the first byte.
func (c *freshConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if n > 0 && !c.used.Load() {
		c.used.Store(true)
		c.conns.forget(c)
	}
	return n, err //nolint:wrapcheck // a connection's error passes as it is
}

// Close forgets the connection.
func (c *freshConn) Close() error {
	if !c.used.Load() {
		c.conns.forget(c)
	}
	return c.Conn.Close() //nolint:wrapcheck // a connection's error passes as it is
}
