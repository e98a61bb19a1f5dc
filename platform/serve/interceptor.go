package serve

import (
	"context"
	"log/slog"
	"strings"
	"time"

	"google.golang.org/grpc"
)

// interceptor is one named link of the chain, for unary calls and streams.
type interceptor struct {
	name   string
	unary  grpc.UnaryServerInterceptor
	stream grpc.StreamServerInterceptor
}

// limits are the server-side bounds on a call's time.
type limits struct {
	unary, unaryMax, stream time.Duration
}

// chain lists the interceptors, outermost first. The order matters:
//   - request_id is first, so that everything after it can log the id;
//   - logging sees the code the caller sees, and the cause behind it;
//   - errors translates whatever comes from inside, panics included;
//   - recovery is inside errors and around everything that runs our code;
//   - deadline starts the clock before validation spends time;
//   - validation is last: the handler only ever sees valid requests.
func chain(log *slog.Logger, protocol, domain string, l limits, v *validator) []interceptor {
	return []interceptor{
		requestIDs(),
		logging(log, protocol),
		errorTranslation(domain),
		recovery(log),
		deadlines(l),
		validation(v),
	}
}

// chainOptions installs the chain in a server.
func chainOptions(all []interceptor) []grpc.ServerOption {
	unary := make([]grpc.UnaryServerInterceptor, len(all))
	stream := make([]grpc.StreamServerInterceptor, len(all))
	for i, in := range all {
		unary[i], stream[i] = in.unary, in.stream
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
func deadlines(l limits) interceptor {
	return interceptor{
		name: "deadline",
		unary: func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
			limit := l.unaryMax
			if _, ok := ctx.Deadline(); !ok {
				limit = l.unary
			}
			ctx, cancel := context.WithTimeout(ctx, limit)
			defer cancel()
			return next(ctx, req)
		},
		stream: func(srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) error {
			if infrastructure(info.FullMethod) {
				return next(srv, ss)
			}
			ctx, cancel := context.WithTimeout(ss.Context(), l.stream)
			defer cancel()
			return next(srv, &streamContext{ServerStream: ss, ctx: ctx})
		},
	}
}

// errorTranslation makes every error fit for callers; see translate.
func errorTranslation(domain string) interceptor {
	return interceptor{
		name: "errors",
		unary: func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
			resp, err := next(ctx, req)
			return resp, translate(ctx, err, domain)
		},
		stream: func(srv any, ss grpc.ServerStream, _ *grpc.StreamServerInfo, next grpc.StreamHandler) error {
			return translate(ss.Context(), next(srv, ss), domain)
		},
	}
}
