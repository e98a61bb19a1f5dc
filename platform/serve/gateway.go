package serve

import (
	"context"
	"math"
	"net"
	"strings"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/encoding/protojson"
)

// channel is how the gateway reaches this process's own gRPC methods, with
// every interceptor running.
type channel interface {
	grpc.ClientConnInterface

	// serve lets calls through until stop.
	serve() error
	// stop ends the calls, the running ones when ctx does. It may be called
	// without serve and more than once.
	stop(ctx context.Context) error
}

// loopBuffer is the size in bytes of the in-memory connection's buffer.
const loopBuffer = 256 << 10

// loop is a channel over an in-memory connection to a gRPC server of its own.
type loop struct {
	*grpc.ClientConn

	server   *grpc.Server
	listener *bufconn.Listener
}

var _ channel = (*loop)(nil)

func newLoop(server *grpc.Server) (*loop, error) {
	listener := bufconn.Listen(loopBuffer)
	conn, err := grpc.NewClient("passthrough:///loop",
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }),
		grpc.WithChainUnaryInterceptor(markReachedUnary),
		grpc.WithChainStreamInterceptor(markReachedStream),
		grpc.WithDisableRetry(),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(math.MaxInt32), grpc.MaxCallSendMsgSize(math.MaxInt32)),
	)
	if err != nil {
		return nil, err //nolint:wrapcheck // the caller names the step
	}
	return &loop{ClientConn: conn, server: server, listener: listener}, nil
}

func (l *loop) serve() error { return served("in-process gRPC", l.server.Serve(l.listener)) }

func (l *loop) stop(ctx context.Context) error {
	_ = l.Close() // fails only if it is closed already
	err := stopGRPC(ctx, l.server)
	_ = l.listener.Close() // the server closes it only if it served
	return err
}

// markReachedUnary notes that the request got to gRPC, whose logging
// interceptor then writes its line.
func markReachedUnary(ctx context.Context, method string, req, resp any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	exchangeOf(ctx).reached.Store(true)
	return invoke(ctx, method, req, resp, cc, opts...)
}

func markReachedStream(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, open grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	exchangeOf(ctx).reached.Store(true)
	return open(ctx, desc, cc, method, opts...)
}

// The headers that pass from HTTP to gRPC and back; all others stop here.
// Authorization and X-Forwarded-* pass by the gateway's own rule.
var (
	requestHeaders = map[string]string{ //nolint:gochecknoglobals // a constant table
		"X-Request-Id":    requestIDKey,
		"Idempotency-Key": "idempotency-key",
		"If-Match":        "if-match",
		"If-None-Match":   "if-none-match",
		"Accept-Language": "accept-language",
		"Traceparent":     "traceparent",
		"Tracestate":      "tracestate",
		"Baggage":         "baggage",
		"X-Amzn-Trace-Id": "x-amzn-trace-id",
	}
	responseHeaders = map[string]string{ //nolint:gochecknoglobals // a constant table
		"etag":          "ETag",
		"location":      "Location",
		"cache-control": "Cache-Control",
		"retry-after":   "Retry-After",
	}
)

// newGateway makes the REST side. JSON is proto3 JSON with lowerCamelCase names
// and default values written out; unknown fields in a request are an error.
func newGateway(errors *httpErrors) *runtime.ServeMux {
	return runtime.NewServeMux(
		runtime.WithMarshalerOption(runtime.MIMEWildcard, &runtime.JSONPb{
			MarshalOptions:   protojson.MarshalOptions{EmitDefaultValues: true},
			UnmarshalOptions: protojson.UnmarshalOptions{DiscardUnknown: false},
		}),
		runtime.WithIncomingHeaderMatcher(func(key string) (string, bool) {
			name, ok := requestHeaders[key]
			return name, ok
		}),
		runtime.WithOutgoingHeaderMatcher(func(key string) (string, bool) {
			name, ok := responseHeaders[strings.ToLower(key)]
			return name, ok
		}),
		runtime.WithOutgoingTrailerMatcher(func(string) (string, bool) { return "", false }),
		runtime.WithErrorHandler(errors.fromGateway),
		runtime.WithRoutingErrorHandler(errors.fromRouting),
		runtime.WithDisablePathLengthFallback(),
		runtime.WithDisableHTTPMethodOverride(),
	)
}

// registerGateways adds the service's routes to the mux.
func registerGateways(ctx context.Context, mux *runtime.ServeMux, conn grpc.ClientConnInterface, all []Registrar) error {
	for _, register := range all {
		if err := register(ctx, mux, conn); err != nil {
			return err
		}
	}
	return nil
}
