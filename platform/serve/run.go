package serve

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/slipway-dev/slipway/platform/serve/internal/drain"
)

// lastCall is how long before the end of the drain the streams that are still
// open are ended; http.Server.Shutdown looks every half second.
const lastCall = 3 * time.Second

// Run binds the configured ports and serves until ctx ends and the drain is
// done. A port in use is an error before anything is served.
func (a *App) Run(ctx context.Context) error {
	var l Listeners
	for _, port := range []struct {
		variable, address string
		number            int
		listener          *net.Listener
	}{
		{"HTTP_PORT", a.cfg.BindAddress, a.cfg.HTTPPort, &l.HTTP},
		{"GRPC_PORT", a.cfg.BindAddress, a.cfg.GRPCPort, &l.GRPC},
		{"INTERNAL_PORT", "127.0.0.1", a.cfg.InternalPort, &l.Internal},
	} {
		var lc net.ListenConfig
		bound, err := lc.Listen(ctx, "tcp", net.JoinHostPort(port.address, strconv.Itoa(port.number)))
		if err != nil {
			a.close(ctx)
			l.close()
			return fmt.Errorf("bind %s: %w\nnext: set %s to a free port, or 0 to take any", port.variable, err, port.variable)
		}
		*port.listener = bound
	}
	return a.Serve(ctx, l)
}

// close gives back ports that were bound for nothing.
func (l Listeners) close() {
	for _, bound := range []net.Listener{l.HTTP, l.GRPC, l.Internal} {
		if bound != nil {
			_ = bound.Close() // nothing is open on it
		}
	}
}

// Serve serves on the listeners until ctx ends, then drains: readiness goes
// false, requests are accepted for DRAIN_DELAY more, the listeners close, what
// was accepted is answered, background work ends, the pool closes. One listener
// or worker that fails ends the rest at once. Serve owns the listeners and may
// be called once.
func (a *App) Serve(ctx context.Context, l Listeners) error {
	background := context.WithoutCancel(ctx)
	defer a.close(background)
	g, failed := errgroup.WithContext(background)
	work, stopWork := context.WithCancel(background)
	defer stopWork()
	fetch, stopFetch := context.WithCancel(background) // jobs end first: they may take all of the drain
	defer stopFetch()

	bounded := func(l net.Listener) net.Listener { return a.fresh.Listen(drain.Limit(l, a.cfg.MaxConnections)) }
	g.Go(func() error { return drain.Served("gRPC", a.public.Serve(bounded(l.GRPC))) })
	g.Go(func() error { return drain.Served("HTTP", a.http.Serve(bounded(l.HTTP))) })
	if l.Internal != nil {
		g.Go(func() error { return drain.Served("internal port", a.inspect.Serve(l.Internal)) })
	}
	if a.keys != nil {
		g.Go(func() error { a.keys.Refresh(work); return nil })
	}
	for _, w := range a.builder.workers {
		g.Go(func() error {
			if err := w.run(work); err != nil && work.Err() == nil {
				return fmt.Errorf("run %s: %w", w.name, err)
			}
			return nil
		})
	}
	g.Go(func() error { return a.builder.outward.work(fetch) })
	g.Go(func() error { a.ready.Report(work); a.validator.Warm(work, a.builder.services()); return nil })
	g.Go(func() error {
		delay := a.cfg.DrainDelay
		select {
		case <-ctx.Done():
		case <-failed.Done():
			delay = 0
		}
		defer stopWork()
		stopFetch()
		// The drain can be looked at, so what is for that ends last.
		return errors.Join(a.drain(background, delay), a.inspect.Close())
	})
	addresses := []slog.Attr{slog.String("http", l.HTTP.Addr().String()), slog.String("grpc", l.GRPC.Addr().String())}
	if l.Internal != nil {
		addresses = append(addresses, slog.String("internal", l.Internal.Addr().String()))
	}
	a.log.LogAttrs(ctx, slog.LevelInfo, "serving", addresses...)
	err := g.Wait()
	if err != nil {
		a.log.LogAttrs(background, slog.LevelError, "stopped", slog.Any("error", err))
		return err //nolint:wrapcheck // each part names itself
	}
	a.log.LogAttrs(background, slog.LevelInfo, "stopped")
	return nil
}

// drain stops the servers without losing an accepted request.
func (a *App) drain(ctx context.Context, delay time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, a.cfg.ShutdownTimeout)
	defer cancel()
	start := time.Now()
	a.deadline = start.Add(a.cfg.ShutdownTimeout)
	a.ready.Drain()
	a.log.LogAttrs(ctx, slog.LevelInfo, "draining", slog.Duration("delay", delay))
	if delay > 0 {
		timer := time.NewTimer(delay)
		defer timer.Stop()
		<-timer.C // shorter than the timeout, by validation
	}
	a.streams.Stop()
	// Streams that do not listen are ended while there is time to say why.
	left := a.cfg.ShutdownTimeout - time.Since(start)
	defer time.AfterFunc(left-min(left/2, lastCall), a.streams.CutOff).Stop()
	defer a.fresh.CloseFresh()()
	var g errgroup.Group
	g.Go(func() error { return drain.GRPC(ctx, a.public) })
	g.Go(func() error { return drain.HTTP(ctx, a.http) })
	err := g.Wait()
	// Nobody is left to call it, so this is quick unless the time is up.
	err = errors.Join(err, a.internal.Stop(ctx))
	a.log.LogAttrs(ctx, slog.LevelInfo, "drained", slog.Duration("took", time.Since(start)))
	return err
}
