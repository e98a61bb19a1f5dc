// Package interceptor is the chain that every gRPC call of a service runs
// through, whether it came over gRPC or over REST.
package interceptor

import (
	"context"
	"log/slog"
	"strings"
	"time"

	"google.golang.org/grpc"

	"github.com/slipway-dev/slipway/platform/serve/internal/problem"
)

// Interceptor is one named link of the chain, for unary calls and streams.
type Interceptor struct {
	Name   string
	Unary  grpc.UnaryServerInterceptor
	Stream grpc.StreamServerInterceptor
}

// Limits are the server-side bounds on a call's time: of a unary call without a
// deadline, of one with a deadline, and of a stream.
type Limits struct {
	Unary, UnaryMax, Stream time.Duration
}

// Config is what the chain needs to know.
type Config struct {
	Log       *slog.Logger
	Protocol  string // for the log: grpc or rest
	Domain    string // of the service's errors (AIP-193)
	Limits    Limits
	Validator *Validator
}

// Chain lists the interceptors, outermost first. The order matters:
//   - request_id is first, so that everything after it can log the id;
//   - logging sees the code the caller sees, and the cause behind it;
//   - errors translates whatever comes from inside, panics included;
//   - recovery is inside errors and around everything that runs our code;
//   - deadline starts the clock before validation spends time;
//   - validation is last: the handler only ever sees valid requests.
func Chain(cfg Config) []Interceptor {
	return []Interceptor{
		requestIDs(),
		logging(cfg.Log, cfg.Protocol),
		errorTranslation(cfg.Domain),
		recovery(cfg.Log),
		deadlines(cfg.Limits),
		validation(cfg.Validator),
	}
}

// Options install the chain in a server.
func Options(all []Interceptor) []grpc.ServerOption {
	unary := make([]grpc.UnaryServerInterceptor, len(all))
	stream := make([]grpc.StreamServerInterceptor, len(all))
	for i, in := range all {
		unary[i], stream[i] = in.Unary, in.Stream
	}
	return []grpc.ServerOption{grpc.ChainUnaryInterceptor(unary...), grpc.ChainStreamInterceptor(stream...)}
}

// infrastructure reports whether the method belongs to the server itself:
// probes and reflection are neither logged nor validated.
func infrastructure(method string) bool {
	return strings.HasPrefix(method, "/grpc.health.") || strings.HasPrefix(method, "/grpc.reflection.")
}

// streamContext replaces a stream's context.
type streamContext struct {
	grpc.ServerStream

	ctx context.Context //nolint:containedctx // the only way to change a stream's context
}

// Context is the replaced one.
func (s *streamContext) Context() context.Context { return s.ctx }

// deadlines gives a call without a deadline the default one and shortens one
// that asks for more than the maximum.
func deadlines(l Limits) Interceptor {
	return Interceptor{
		Name: "deadline",
		Unary: func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
			limit := l.UnaryMax
			if _, ok := ctx.Deadline(); !ok {
				limit = l.Unary
			}
			ctx, cancel := context.WithTimeout(ctx, limit)
			defer cancel()
			return next(ctx, req)
		},
		Stream: func(srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) error {
			if infrastructure(info.FullMethod) {
				return next(srv, ss)
			}
			ctx, cancel := context.WithTimeout(ss.Context(), l.Stream)
			defer cancel()
			return next(srv, &streamContext{ServerStream: ss, ctx: ctx})
		},
	}
}

// errorTranslation makes every error fit for callers; see problem.Translate.
func errorTranslation(domain string) Interceptor {
	return Interceptor{
		Name: "errors",
		Unary: func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
			resp, err := next(ctx, req)
			return resp, problem.Translate(ctx, err, domain)
		},
		Stream: func(srv any, ss grpc.ServerStream, _ *grpc.StreamServerInfo, next grpc.StreamHandler) error {
			return problem.Translate(ss.Context(), next(srv, ss), domain)
		},
	}
}
