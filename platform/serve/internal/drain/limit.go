package drain

import (
	"net"
	"sync"
	"sync/atomic"
)

// Limit bounds the listener's open connections. One over the bound is closed at
// once: left to wait it would look accepted to its client, which then waits for
// an answer that nobody works on.
func Limit(l net.Listener, most int) net.Listener {
	return &limitListener{Listener: l, most: int64(most)}
}

type limitListener struct {
	net.Listener

	most int64
	open atomic.Int64
}

// Accept returns the next connection that is within the bound.
func (l *limitListener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err //nolint:wrapcheck // servers compare it with net.ErrClosed
		}
		if l.open.Add(1) <= l.most {
			return &limitConn{Conn: conn, release: sync.OnceFunc(func() { l.open.Add(-1) })}, nil
		}
		l.open.Add(-1)
		_ = conn.Close() // there is nobody to tell
	}
}

type limitConn struct {
	net.Conn

	release func()
}

// Close makes room for another connection.
func (c *limitConn) Close() error {
	defer c.release()
	return c.Conn.Close() //nolint:wrapcheck // a connection's error passes as it is
}
