package ferry

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync"
)

// Inside listens in the task's network namespace on loopback at the ports, and
// passes on what comes in through the folder. It returns when ctx ends or when
// Outside is gone.
func Inside(ctx context.Context, dir string, ports []int) error {
	at, err := openFolder(dir)
	if err != nil {
		return err
	}
	defer at.file.Close()
	var listeners []net.Listener
	defer func() {
		for _, l := range listeners {
			_ = l.Close()
		}
	}()
	var lc net.ListenConfig
	for _, port := range ports {
		l, err := lc.Listen(ctx, "tcp", net.JoinHostPort(loopback, strconv.Itoa(port)))
		if err != nil {
			return fmt.Errorf("listen inside the task: %w", err)
		}
		listeners = append(listeners, l)
		go accept(l, func(c stream) { leave(at, port, c) })
	}
	in, err := at.listen(inName)
	if err != nil {
		return err
	}
	listeners = append(listeners, in)
	go accept(in, func(c stream) { enter(ctx, c) })
	control, err := at.dial(outName, 0)
	if err != nil {
		return fmt.Errorf("reach the cluster: %w", err)
	}
	defer context.AfterFunc(ctx, func() { _ = control.Close() })()
	_, err = control.Read(make([]byte, 1)) // nothing is ever sent
	_ = control.Close()
	if ctx.Err() != nil {
		return nil
	}
	return fmt.Errorf("the cluster is gone: %w", err)
}

// accept serves connections until the listener closes.
func accept(l net.Listener, serve func(stream)) {
	var all sync.WaitGroup
	defer all.Wait()
	for {
		c, err := asStream(l.Accept())
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err == nil {
			all.Go(func() { serve(c) })
		}
	}
}

// leave carries a connection of the task out.
func leave(at folder, port int, c stream) {
	out, err := at.dial(outName, port)
	if err != nil {
		refuse(c)
		return
	}
	carry(c, out)
}

// enter carries a connection into the task.
func enter(ctx context.Context, c stream) {
	port, err := readPort(c)
	if err != nil {
		refuse(c)
		return
	}
	var d net.Dialer
	to, err := asStream(d.DialContext(ctx, "tcp", net.JoinHostPort(loopback, strconv.Itoa(port))))
	if err != nil {
		refuse(c)
		return
	}
	if _, err := c.Write([]byte{1}); err != nil {
		refuse(to)
		refuse(c)
		return
	}
	carry(c, to)
}
