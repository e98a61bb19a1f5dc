package serve_test

import (
	"context"
	"fmt"
	"strings"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/grpc"

	"github.com/slipway-dev/slipway/platform/serve"
	"github.com/slipway-dev/slipway/platform/serve/auth"
	"github.com/slipway-dev/slipway/platform/serve/internal/echopb"
)

// guarded is the service whose methods ask for tokens; it answers with what it
// knows of the caller.
type guarded struct {
	echopb.UnimplementedGuardedServiceServer

	*echo
}

// guarded adds that service to the echo service.
func (e *echo) guarded() serve.Service {
	svc := e.service()
	open := svc.Setup
	svc.Setup = func(ctx context.Context, b *serve.Builder) error {
		echopb.RegisterGuardedServiceServer(b, guarded{echo: e})
		b.Gateway(func(ctx context.Context, mux *runtime.ServeMux, conn grpc.ClientConnInterface) error {
			return echopb.RegisterGuardedServiceHandlerClient(ctx, mux, echopb.NewGuardedServiceClient(conn))
		})
		return open(ctx, b)
	}
	return svc
}

func (g guarded) Read(ctx context.Context, req *echopb.EchoRequest) (*echopb.EchoResponse, error) {
	p, ok := auth.FromContext(ctx)
	if !ok {
		return nil, fmt.Errorf("no caller")
	}
	return &echopb.EchoResponse{Text: p.Subject + " " + p.ClientID + " " + strings.Join(p.Scopes, ",")}, g.behave(ctx, req.GetBehave())
}

func (g guarded) Write(ctx context.Context, req *echopb.EchoRequest) (*echopb.EchoResponse, error) {
	return g.Read(ctx, req)
}

// Watch sends one message and waits: for the drain, or with "deaf" for nothing
// but its context's end.
func (g guarded) Watch(req *echopb.EchoRequest, stream grpc.ServerStreamingServer[echopb.EchoResponse]) error {
	ctx := stream.Context()
	if err := stream.Send(&echopb.EchoResponse{Text: req.GetText()}); err != nil {
		return err
	}
	g.held.Add(1)
	draining := serve.Draining(ctx)
	if req.GetBehave() == "deaf" {
		draining = nil
	}
	select {
	case <-draining:
		return serve.Reconnect()
	case <-g.release:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
