// Package drain ends servers without losing a request that they accepted, and
// without waiting for clients that asked for nothing.
package drain

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"google.golang.org/grpc"
)

// ErrTimeout says that requests outlived SHUTDOWN_TIMEOUT.
var ErrTimeout = errors.New("drain: requests were still running after SHUTDOWN_TIMEOUT and were cut off")

// GRPC lets the server's calls end until ctx does, then cuts them off and
// returns ErrTimeout.
func GRPC(ctx context.Context, s *grpc.Server) error {
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		s.GracefulStop()
	}()
	select {
	case <-stopped:
		return nil
	case <-ctx.Done():
		s.Stop()
		<-stopped
		return ErrTimeout
	}
}

// HTTP lets the server's requests end until ctx does, then cuts them off and
// returns ErrTimeout.
func HTTP(ctx context.Context, s *http.Server) error {
	if err := s.Shutdown(ctx); err != nil {
		return errors.Join(ErrTimeout, s.Close())
	}
	return nil
}

// Served takes what a server's Serve returned and drops the errors that only
// say that the server was stopped.
func Served(name string, err error) error {
	if err == nil || errors.Is(err, http.ErrServerClosed) || errors.Is(err, grpc.ErrServerStopped) {
		return nil
	}
	return fmt.Errorf("serve %s: %w", name, err)
}
