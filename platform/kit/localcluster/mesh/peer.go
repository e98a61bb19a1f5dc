package mesh

import (
	"net"
	"sync"
	"time"

	"github.com/jonboulle/clockwork"
)

// identity is who is at the other end of a connection.
type identity struct {
	known   bool     // it was found out; else nobody is refused
	process *Process // the task's; nil for what is no task of the cluster
}

// mayCall reports whether a route is for this caller.
func (i identity) mayCall(r Route) bool {
	return !i.known || i.process != nil && i.process.Family == r.Family
}

func (i identity) name() string {
	if i.process == nil {
		return "a process that is no task"
	}
	return i.process.Service
}

// peers finds out who is at the other end of connections.
type peers struct {
	clock     clockwork.Clock
	processes func() []Process
	carried   func(*net.TCPAddr) (Process, bool)
}

func newPeers(cfg Config) *peers {
	return &peers{clock: cfg.Clock, processes: cfg.Processes, carried: cfg.Carried}
}

// connection is one connection with what is known of its other end.
type connection struct {
	peers         *peers
	remote, local *net.TCPAddr

	mu      sync.Mutex
	who     identity
	settled bool      // who holds for the connection's life
	looked  time.Time // when who was last looked up
}

func (p *peers) connection(c net.Conn) *connection {
	remote, _ := c.RemoteAddr().(*net.TCPAddr) // the listeners are TCP's
	local, _ := c.LocalAddr().(*net.TCPAddr)
	return &connection{peers: p, remote: remote, local: local}
}

// lookAgain is how long a stranger stays one. A task that has only just been
// started may connect before the cluster has written its process down.
const lookAgain = 500 * time.Millisecond

// peer returns who is at the other end. It is looked up once for a connection;
// for a stranger's again after a moment.
func (c *connection) peer() identity {
	if c.peers.processes == nil || c.remote == nil || c.local == nil {
		return identity{}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.settled || !c.looked.IsZero() && c.peers.clock.Since(c.looked) < lookAgain {
		return c.who
	}
	c.looked = c.peers.clock.Now()
	if c.peers.carried != nil {
		if task, ok := c.peers.carried(c.remote); ok {
			c.who, c.settled = identity{known: true, process: &task}, true
			return c.who
		}
	}
	c.who = identify(c.remote, c.local, c.peers.processes())
	c.settled = !c.who.known || c.who.process != nil
	return c.who
}
