package ferry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/jonboulle/clockwork"
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
	// Clock is for tests; nil is the real one.
	Clock clockwork.Clock
}

// Outside is this machine's end of a task's ferry.
type Outside struct {
	cfg   Config
	at    folder
	ready chan struct{}
	ctx   context.Context // ended by Close
	end   context.CancelFunc

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
	o.ctx, o.end = context.WithCancel(context.Background())
	if o.cfg.Clock == nil {
		o.cfg.Clock = clockwork.NewRealClock()
	}
	l, err := at.listen(outName)
	if err != nil {
		o.end()
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

// Pauses between tries whether the task listens.
const (
	firstTry = 5 * time.Millisecond
	lastTry  = 500 * time.Millisecond
)

// Lead makes a port of this machine's loopback one of the task's. As long as the
// task does not listen nobody does, so that callers are refused as they would be
// by the task itself; so they are again after stop. An error at this machine's
// end is told to failed.
func (o *Outside) Lead(hostPort, taskPort int, failed func(error)) (stop func()) {
	ctx, cancel := context.WithCancel(o.ctx)
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		return cancel
	}
	o.wg.Go(func() {
		for wait := firstTry; ; wait = min(2*wait, lastTry) {
			if c, err := o.enter(taskPort); err == nil {
				_ = c.Close()
				break
			}
			select {
			case <-o.cfg.Clock.After(wait):
			case <-ctx.Done():
				return
			}
		}
		var lc net.ListenConfig
		l, err := lc.Listen(ctx, "tcp", net.JoinHostPort(loopback, strconv.Itoa(hostPort)))
		if err != nil {
			if ctx.Err() == nil {
				failed(fmt.Errorf("listen for the task: %w", err))
			}
			return
		}
		defer context.AfterFunc(ctx, func() { _ = l.Close() })()
		accept(l, func(c stream) {
			in, err := o.enter(taskPort)
			if err != nil {
				refuse(c)
				return
			}
			o.carry(c, in)
		})
	})
	return cancel
}

// enter connects to a port of the task.
func (o *Outside) enter(port int) (*net.UnixConn, error) {
	c, err := o.at.dial(inName, port)
	if err != nil {
		return nil, err
	}
	if !o.hold(c) {
		return nil, net.ErrClosed
	}
	defer o.release(c)
	if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
		return nil, errors.Join(fmt.Errorf("the task does not listen: %w", err), c.Close())
	}
	return c, nil
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
	o.release(c)
	_ = c.Close()
}

// release leaves a connection to whoever has it.
func (o *Outside) release(c net.Conn) {
	o.mu.Lock()
	delete(o.conns, c)
	o.mu.Unlock()
}

// Close cuts what passes and waits until nothing does. Inside ends by it.
func (o *Outside) Close() {
	o.end()
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
