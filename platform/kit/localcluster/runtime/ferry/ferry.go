// Package ferry carries connections between a task that has a loopback of its
// own, as on Fargate, and the loopback of this machine. The two ends meet at
// unix sockets in a folder that both see: Inside runs in the task's network
// namespace and listens there on the addresses that the task may call, Outside
// runs in the cluster and listens on this machine's loopback for what calls the
// task. Neither listens anywhere else, and nothing but the named ports passes.
//
// The folder holds out.sock, made by Outside, and in.sock, made by Inside. A
// connection begins with two bytes, the port in network byte order; at in.sock a
// byte comes back when the task took the connection. All that follows is carried
// as it is. Port 0 at out.sock is Inside saying that it is
// ready; it ends when that connection does, and so does not outlive a cluster
// that died.
package ferry

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"
	"syscall"
)

// Names of the sockets in the folder.
const (
	outName = "out.sock"
	inName  = "in.sock"
)

const loopback = "127.0.0.1"

// stream is a connection of which each direction ends by itself, TCP or unix.
type stream interface {
	net.Conn
	CloseWrite() error
}

// carry copies both ways until both have ended. A callee that ends without a
// word has the caller's connection reset: it may be that nobody listened.
func carry(caller, callee stream) {
	var both sync.WaitGroup
	both.Go(func() {
		n, _ := io.Copy(caller, callee) // a broken connection ends like one that was closed
		if n == 0 {
			refuse(caller)
			return
		}
		_ = caller.CloseWrite()
	})
	both.Go(func() {
		_, _ = io.Copy(callee, caller) // likewise
		_ = callee.CloseWrite()
	})
	both.Wait()
	_ = caller.Close()
	_ = callee.Close()
}

func writePort(c net.Conn, port int) error {
	var b [2]byte
	binary.BigEndian.PutUint16(b[:], uint16(port)) //nolint:gosec // ports fit
	_, err := c.Write(b[:])
	return err
}

func readPort(c net.Conn) (int, error) {
	var b [2]byte
	_, err := io.ReadFull(c, b[:])
	return int(binary.BigEndian.Uint16(b[:])), err
}

// refuse ends a TCP connection with a reset, as if nobody had answered.
func refuse(c net.Conn) {
	if tcp, ok := c.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = c.Close()
}

// asStream tells the kinds of connections that this package makes from others.
func asStream(c net.Conn, err error) (stream, error) {
	if err != nil {
		return nil, err
	}
	s, ok := c.(stream)
	if !ok {
		return nil, errors.Join(errors.New("connection has no half close"), c.Close())
	}
	return s, nil
}

// folder is an open folder. Sockets in it are reached through its descriptor,
// since a socket's address may have no more than some hundred bytes (unix(7)).
type folder struct{ file *os.File }

func openFolder(dir string) (folder, error) {
	f, err := os.OpenFile(dir, os.O_RDONLY|syscall.O_DIRECTORY, 0)
	if err != nil {
		return folder{}, fmt.Errorf("open folder of sockets: %w", err)
	}
	return folder{f}, nil
}

func (f folder) address(name string) *net.UnixAddr {
	at := filepath.Join(f.file.Name(), name)
	if len(at) > 100 {
		at = fmt.Sprintf("/proc/self/fd/%d/%s", f.file.Fd(), name)
	}
	return &net.UnixAddr{Name: at, Net: "unix"}
}

func (f folder) listen(name string) (*net.UnixListener, error) {
	l, err := net.ListenUnix("unix", f.address(name))
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", name, err)
	}
	return l, nil
}

// dial connects and says for which port.
func (f folder) dial(name string, port int) (*net.UnixConn, error) {
	c, err := net.DialUnix("unix", nil, f.address(name))
	if err != nil {
		return nil, err
	}
	if err := writePort(c, port); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}
