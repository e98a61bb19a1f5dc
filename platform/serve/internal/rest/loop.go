package rest

import (
	"context"
	"math"
	"net"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"

	"github.com/slipway-dev/slipway/platform/serve/internal/drain"
)

// loopBuffer is the size in bytes of the in-memory connection's buffer.
const loopBuffer = 256 << 10

// Loop is how the gateway reaches this process's own gRPC methods, with every
// interceptor running: an in-memory connection to a gRPC server of its own.
type Loop struct {
	*grpc.ClientConn

	server   *grpc.Server
	listener *bufconn.Listener
}

// NewLoop connects to the server, which it owns from then on.
func NewLoop(server *grpc.Server) (*Loop, error) {
	listener := bufconn.Listen(loopBuffer)
	conn, err := grpc.NewClient("passthrough:///loop",
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }),
		grpc.WithChainUnaryInterceptor(enterUnary),
		grpc.WithChainStreamInterceptor(enterStream),
		grpc.WithDisableRetry(),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(math.MaxInt32), grpc.MaxCallSendMsgSize(math.MaxInt32)),
	)
	if err != nil {
		return nil, err //nolint:wrapcheck // the caller names the step
	}
	return &Loop{ClientConn: conn, server: server, listener: listener}, nil
}

// Serve lets calls through until Stop.
func (l *Loop) Serve() error { return drain.Served("in-process gRPC", l.server.Serve(l.listener)) }

// Stop ends the calls, the running ones when ctx does. It may be called without
// Serve and more than once.
func (l *Loop) Stop(ctx context.Context) error {
	_ = l.Close() // fails only if it is closed already
	err := drain.GRPC(ctx, l.server)
	_ = l.listener.Close() // the server closes it only if it served
	return err
}

// enterUnary refuses a request that holds more than its message, and notes that
// any other got to gRPC, whose logging interceptor then writes its line.
func enterUnary(ctx context.Context, method string, req, resp any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	x := exchangeOf(ctx)
	if err := x.checkQuery(method); err != nil {
		return err
	}
	if err := x.checkBody(); err != nil {
		return err
	}
	x.reached.Store(true)
	return invoke(ctx, method, req, resp, cc, opts...)
}

// enterStream is enterUnary for streams, whose body may hold many messages.
func enterStream(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, open grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	x := exchangeOf(ctx)
	if err := x.checkQuery(method); err != nil {
		return nil, err
	}
	if !desc.ClientStreams {
		if err := x.checkBody(); err != nil {
			return nil, err
		}
	}
	x.reached.Store(true)
	return open(ctx, desc, cc, method, opts...)
}
