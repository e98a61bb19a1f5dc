package ferry

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
)

// Config says what passes between a task and this machine.
type Config struct {
	// Dir is the folder of the sockets; it exists and is empty.
	Dir string
	// User owns what Outside makes there, so that Inside, which runs as that
	// user, may use it. Negative leaves it to this process's user.
	User int
	// Ports are the ports of this machine's loopback that the task may call.
	Ports []int
	// Dialed is told the own address of each connection that is made for the
	// task, before the first byte passes; it returns what to call at its end.
	Dialed func(own net.Addr) (ended func())
}

// Outside is this machine's end of a task's ferry.
type Outside struct {
	cfg   Config
	at    folder
	ready chan struct{}

	mu        sync.Mutex
	arrived   bool
	closed    bool
	listeners []net.Listener
	conns     map[net.Conn]bool
	wg        sync.WaitGroup
}

// Open begins to serve what leaves the task.
func Open(cfg Config) (*Outside, error) {
	at, err := openFolder(cfg.Dir)
	if err != nil {
		return nil, err
	}
	o := &Outside{cfg: cfg, at: at, ready: make(chan struct{}), conns: map[net.Conn]bool{}}
	l, err := at.listen(outName)
	if err != nil {
		return nil, errors.Join(err, at.file.Close())
	}
	o.serve(l, o.leave)
	if cfg.User >= 0 {
		err = os.Chown(filepath.Join(cfg.Dir, outName), cfg.User, cfg.User)
	}
	if err != nil {
		o.Close()
		return nil, fmt.Errorf("give the task its socket: %w", err)
	}
	return o, nil
}

// Ready is closed when Inside has arrived and listens.
func (o *Outside) Ready() <-chan struct{} { return o.ready }

// Lead makes a port of this machine's loopback one of the task's.
func (o *Outside) Lead(ctx context.Context, hostPort, taskPort int) error {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", net.JoinHostPort(loopback, strconv.Itoa(hostPort)))
	if err != nil {
		return fmt.Errorf("listen for the task: %w", err)
	}
	o.serve(l, func(c stream) {
		in, err := o.at.dial(inName, taskPort)
		if err != nil {
			refuse(c)
			return
		}
		o.carry(c, in)
	})
	return nil
}

// serve accepts until Close.
func (o *Outside) serve(l net.Listener, each func(stream)) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		_ = l.Close()
		return
	}
	o.listeners = append(o.listeners, l)
	o.wg.Go(func() { accept(l, each) })
}

// leave passes a connection of the task on, if it may go there.
func (o *Outside) leave(c stream) {
	if !o.hold(c) {
		return
	}
	defer o.drop(c)
	port, err := readPort(c)
	switch {
	case err != nil:
	case port == 0:
		o.arrive()
		_, _ = c.Read(make([]byte, 1)) // nothing is ever sent: it waits for the end
	case slices.Contains(o.cfg.Ports, port):
		var d net.Dialer
		to, err := asStream(d.DialContext(context.Background(), "tcp", net.JoinHostPort(loopback, strconv.Itoa(port))))
		if err != nil {
			return
		}
		if o.cfg.Dialed != nil {
			defer o.cfg.Dialed(to.LocalAddr())()
		}
		o.carry(c, to)
	}
}

func (o *Outside) arrive() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.arrived {
		o.arrived = true
		close(o.ready)
	}
}

// carry carries until both directions have ended or Close cuts them.
func (o *Outside) carry(a, b stream) {
	if !o.hold(a) || !o.hold(b) {
		_ = a.Close()
		_ = b.Close()
		return
	}
	defer o.drop(a)
	defer o.drop(b)
	carry(a, b)
}

// hold notes a connection for Close, or closes it when that was before.
func (o *Outside) hold(c net.Conn) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		_ = c.Close()
		return false
	}
	o.conns[c] = true
	return true
}

func (o *Outside) drop(c net.Conn) {
	o.mu.Lock()
	delete(o.conns, c)
	o.mu.Unlock()
	_ = c.Close()
}

// Close cuts what passes and waits until nothing does. Inside ends by it.
func (o *Outside) Close() {
	o.mu.Lock()
	o.closed = true
	for _, l := range o.listeners {
		_ = l.Close()
	}
	for c := range o.conns {
		_ = c.Close()
	}
	o.mu.Unlock()
	o.wg.Wait()
	_ = o.at.file.Close()
}
