package ferry_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/slipway-dev/slipway/platform/kit/localcluster/runtime/ferry"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// echo answers what it gets, once all of it is there.
func echo(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				defer c.Close()
				raw, _ := io.ReadAll(c)
				_, _ = c.Write(raw)
			})
		}
	})
	t.Cleanup(func() { _ = l.Close(); all.Wait() })
	return l.Addr().(*net.TCPAddr).Port
}

// free is a port at which nobody listens.
func free(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

func call(port int, text []byte) ([]byte, error) {
	c, err := net.DialTCP("tcp", nil, &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port})
	if err != nil {
		return nil, err
	}
	defer c.Close()
	if _, err := c.Write(text); err != nil {
		return nil, err
	}
	if err := c.CloseWrite(); err != nil {
		return nil, err
	}
	return io.ReadAll(c)
}

// start joins two ends. There is one loopback here, so the task's way out and
// what it leads to differ in their ports only where a test wants it.
func start(t *testing.T, cfg ferry.Config, inside ...int) (*ferry.Outside, <-chan error) {
	t.Helper()
	cfg.User = -1
	outside, err := ferry.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	ctx, cancel := context.WithCancel(context.Background())
	go func() { ended <- ferry.Inside(ctx, cfg.Dir, inside) }()
	t.Cleanup(func() { outside.Close(); cancel() })
	select {
	case <-outside.Ready():
	case err := <-ended:
		t.Fatal(err)
	case <-time.After(10 * time.Second):
		t.Fatal("the inner end did not arrive within 10 s")
	}
	return outside, ended
}

func TestInto(t *testing.T) {
	for name, dir := range map[string]string{
		"short path": "s",
		// A socket's address has room for 107 bytes.
		"long path": strings.Repeat("long-", 30),
	} {
		t.Run(name, func(t *testing.T) {
			at := filepath.Join(t.TempDir(), dir)
			if err := os.Mkdir(at, 0o700); err != nil {
				t.Fatal(err)
			}
			outside, ended := start(t, ferry.Config{Dir: at})
			service, host := echo(t), free(t)
			lead(t, outside, host, service)
			text := make([]byte, 1<<20)
			_, _ = rand.Read(text)
			var all sync.WaitGroup
			for range 20 {
				all.Go(func() {
					if got, err := call(host, text); err != nil || !bytes.Equal(got, text) {
						t.Errorf("got %d bytes, %v, want what was sent", len(got), err)
					}
				})
			}
			all.Wait()
			outside.Close()
			if err := <-ended; err == nil {
				t.Error("the inner end does not say that the cluster is gone")
			}
			if _, err := call(host, []byte("x")); err == nil {
				t.Error("something listens after the end")
			}
		})
	}
}

// lead leads a port and waits until it carries.
func lead(t *testing.T, outside *ferry.Outside, host, task int) (stop func()) {
	t.Helper()
	stop = outside.Lead(host, task, func(err error) { t.Error(err) })
	deadline := time.Now().Add(10 * time.Second)
	for {
		_, err := call(host, []byte("x"))
		if err == nil {
			return stop
		}
		if !errors.Is(err, syscall.ECONNREFUSED) || time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}

// TestRefused: where the task does not listen nobody does, and one that stops to
// listen resets the connection, so that the caller knows that nothing was done.
func TestRefused(t *testing.T) {
	outside, _ := start(t, ferry.Config{Dir: t.TempDir()})
	host, task := free(t), free(t)
	stop := outside.Lead(host, task, func(err error) { t.Error(err) })
	if got, err := call(host, []byte("x")); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("got %q, %v from a task that does not listen yet", got, err)
	}
	stop()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = c.Write([]byte("y"))
			_ = c.Close()
		}
	})
	stop = lead(t, outside, host, l.Addr().(*net.TCPAddr).Port)
	_ = l.Close()
	serving.Wait()
	if got, err := call(host, []byte("x")); len(got) != 0 || !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("got %q, %v from a task that listens no more", got, err)
	}
	stop()
	deadline := time.Now().Add(10 * time.Second)
	for {
		_, err := call(host, []byte("x"))
		if errors.Is(err, syscall.ECONNREFUSED) {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%v after the end", err)
		}
	}
}

// TestPortInUse: the way in says so when its port is another program's.
func TestPortInUse(t *testing.T) {
	outside, _ := start(t, ferry.Config{Dir: t.TempDir()})
	taken, failed := echo(t), make(chan error, 1)
	outside.Lead(taken, echo(t), func(err error) { failed <- err })
	select {
	case err := <-failed:
		if !errors.Is(err, syscall.EADDRINUSE) {
			t.Errorf("got %v", err)
		}
	case <-time.After(10 * time.Second):
		t.Error("nothing was said within 10 s")
	}
}

// TestOnlyNamedPortsLeave: the outer end decides where a task may go, whatever
// the inner one asks for.
func TestOnlyNamedPortsLeave(t *testing.T) {
	dir := t.TempDir()
	allowed, forbidden := echo(t), echo(t)
	var mu sync.Mutex
	var dialed, ended int
	outside, _ := start(t, ferry.Config{Dir: dir, Ports: []int{allowed}, Dialed: func(own net.Addr) func() {
		mu.Lock()
		defer mu.Unlock()
		if own.(*net.TCPAddr).Port != 0 {
			dialed++
		}
		return func() { mu.Lock(); defer mu.Unlock(); ended++ }
	}})
	// What the inner end does for a connection of the task.
	leave := func(port int) ([]byte, error) {
		c, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: filepath.Join(dir, "out.sock")})
		if err != nil {
			return nil, err
		}
		defer c.Close()
		_, err = c.Write(append([]byte{byte(port >> 8), byte(port)}, "hello"...))
		if err := errors.Join(err, c.CloseWrite()); err != nil {
			return nil, err
		}
		return io.ReadAll(c)
	}
	if got, err := leave(allowed); err != nil || string(got) != "hello" {
		t.Errorf("got %q, %v, want hello", got, err)
	}
	if got, _ := leave(forbidden); len(got) != 0 {
		t.Errorf("got %q from a port that the task may not call", got)
	}
	outside.Close()
	if dialed != 1 || ended != 1 {
		t.Errorf("%d connections were told of and %d ends, want 1 and 1", dialed, ended)
	}
}

// TestOut: what a task sends to its own loopback arrives at this machine's.
func TestOut(t *testing.T) {
	// Both loopbacks are the same here, so that the port inside must be another:
	// nobody is behind it outside, and the caller sees that.
	port := free(t)
	_, _ = start(t, ferry.Config{Dir: t.TempDir(), Ports: []int{}}, port)
	if got, err := call(port, []byte("x")); len(got) != 0 {
		t.Errorf("got %q, %v from nobody", got, err)
	}
}
