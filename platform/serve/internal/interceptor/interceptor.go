// Package interceptor is the chain that every gRPC call of a service runs
// through, whether it came over gRPC or over REST.
package interceptor

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"google.golang.org/grpc"

	"github.com/slipway-dev/slipway/platform/serve/internal/access"
	"github.com/slipway-dev/slipway/platform/serve/internal/drain"
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
	// StreamAge is when a stream's client is told to connect again.
	StreamAge time.Duration
}

// unary bounds the time of a unary call.
func (l Limits) unary(ctx context.Context) (context.Context, context.CancelFunc) {
	deadline, ok := ctx.Deadline()
	limit := l.UnaryMax
	if !ok {
		limit = l.Unary
	}
	if latest := time.Now().Add(limit); !ok || deadline.After(latest) {
		return context.WithDeadline(ctx, latest)
	}
	return ctx, func() {} // near enough already, and a second timer costs
}

// Config is what the chain needs to know.
type Config struct {
	Log       *slog.Logger
	Protocol  string // for the log: grpc or rest
	Domain    string // of the service's errors (AIP-193)
	Methods   access.Methods
	Tracing   *Interceptor // nil for none
	Load      *Load        // shared by all chains of a process
	Limits    Limits
	Streams   *drain.Streams // shared, too
	Tokens    Tokens         // nil if no method asks for one
	Validator *Validator
}

// Chain lists the interceptors, outermost first. The order matters:
//   - request_id is first, so that everything after it can log the id;
//   - tracing is around logging, so that a call's log line has its trace id;
//   - logging sees the code the caller sees, and the cause behind it;
//   - errors translates whatever comes from inside, panics included;
//   - recovery is inside errors and around everything that runs our code;
//   - load_shedding comes before anything that costs;
//   - deadline starts the clock before verification and validation spend time;
//   - authentication finds out who calls, authorization whether they may;
//   - validation is last: strangers learn nothing from it, and the handler only
//     ever sees valid requests.
func Chain(cfg Config) []Interceptor {
	chain := []Interceptor{requestIDs()}
	if cfg.Tracing != nil {
		chain = append(chain, *cfg.Tracing)
	}
	return append(chain,
		logging(cfg),
		errorTranslation(cfg.Domain),
		recovery(cfg.Log),
		loadShedding(cfg.Methods, cfg.Load),
		deadlines(cfg),
		authentication(cfg.Methods, cfg.Tokens),
		authorization(cfg.Methods),
		validation(cfg),
	)
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

// streamContext replaces a stream's context.
type streamContext struct {
	grpc.ServerStream

	ctx context.Context //nolint:containedctx // the only way to change a stream's context
}

// Context is the replaced one.
func (s *streamContext) Context() context.Context { return s.ctx }

// deadlines gives a call without a deadline the default one and shortens one
// that asks for more than the maximum. A stream also learns when the process
// drains, and is ended when the drain cannot wait any longer.
func deadlines(cfg Config) Interceptor {
	return Interceptor{
		Name: "deadline",
		Unary: func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
			ctx, cancel := cfg.Limits.unary(ctx)
			defer cancel()
			return next(ctx, req)
		},
		Stream: func(srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) error {
			if cfg.Methods.Find(info.FullMethod).Infrastructure {
				return next(srv, ss)
			}
			ctx, cancel := context.WithTimeout(ss.Context(), cfg.Limits.Stream)
			defer cancel()
			ctx, leave := cfg.Streams.Enter(ctx, cfg.Limits.StreamAge)
			defer leave()
			err := next(srv, &streamContext{ServerStream: ss, ctx: ctx})
			if err != nil && errors.Is(context.Cause(ctx), drain.ErrCutOff) {
				return drain.Reconnect()
			}
			return err
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
