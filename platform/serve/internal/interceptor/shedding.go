package interceptor

import (
	"context"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/tap"

	"github.com/slipway-dev/slipway/platform/serve/errs"
	"github.com/slipway-dev/slipway/platform/serve/internal/access"
)

// shedPause is what a refused caller is asked to wait.
const shedPause = time.Second

// Load bounds how many calls of a process run at once, over all its protocols
// and connections. What is over the bound is refused at once: a queue would hold
// memory and answer callers that have given up.
type Load struct {
	unary, streams, arrived bound
}

// bound is a counter with a limit.
type bound struct {
	limit int64
	now   atomic.Int64
}

func (b *bound) take() bool {
	if b.now.Add(1) > b.limit {
		b.now.Add(-1)
		return false
	}
	return true
}

func (b *bound) release() { b.now.Add(-1) }

// NewLoad bounds unary calls and streams each.
func NewLoad(unary, streams int) *Load {
	l := &Load{}
	l.unary.limit, l.streams.limit = int64(unary), int64(streams)
	// Calls whose message is still on its way count here alone, so there is room
	// for as many again.
	l.arrived.limit = 2 * (l.unary.limit + l.streams.limit)
	return l
}

// Running is how many unary calls and streams run now.
func (l *Load) Running() (unary, streams int64) { return l.unary.now.Load(), l.streams.now.Load() }

func overloaded(what string) error {
	return errs.New(errs.Overloaded, "OVERLOADED", "the service runs as many "+what+" as it can; try again").After(shedPause)
}

// loadShedding refuses what is over the bound. The server's own methods pass:
// its health must be known above all when it is busy.
func loadShedding(methods access.Methods, l *Load) Interceptor {
	return Interceptor{
		Name: "load_shedding",
		Unary: func(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
			if methods.Find(info.FullMethod).Infrastructure {
				return next(ctx, req)
			}
			if !l.unary.take() {
				return nil, overloaded("requests")
			}
			defer l.unary.release()
			return next(ctx, req)
		},
		Stream: func(srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) error {
			if methods.Find(info.FullMethod).Infrastructure {
				return next(srv, ss)
			}
			if !l.streams.take() {
				return overloaded("streams")
			}
			defer l.streams.release()
			return next(srv, ss)
		},
	}
}

// Admission bounds calls from the moment their headers arrive, before the first
// interceptor runs: gRPC reads a unary call's message before it calls one, so
// callers that send headers and then little else would pile up, with what they
// sent. It bounds their number, and the time a unary call has from its headers on.
func Admission(methods access.Methods, l *Load, limits Limits) grpc.ServerOption {
	refusal := status.New(codes.ResourceExhausted, "the service holds as many calls as it can; try again").Err()
	return grpc.InTapHandle(func(ctx context.Context, info *tap.Info) (context.Context, error) {
		m, known := methods[info.FullMethodName]
		if !known {
			return ctx, nil // the server's own, or none that exists
		}
		if !l.arrived.take() {
			return nil, refusal
		}
		if !m.Streaming {
			// The context ends with the call, and the timer with it.
			ctx, _ = limits.unary(ctx)
		}
		context.AfterFunc(ctx, l.arrived.release)
		return ctx, nil
	})
}
