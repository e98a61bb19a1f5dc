package serve_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/slipway-dev/slipway/platform/serve"
	"github.com/slipway-dev/slipway/platform/serve/errs"
	"github.com/slipway-dev/slipway/platform/serve/internal/echopb"
	"github.com/slipway-dev/slipway/platform/serve/servetest"
)

// childVariable makes the test binary run the echo service's own command line,
// so that real signals and exit codes can be tested.
const childVariable = "SERVE_TEST_CHILD"

func TestMain(m *testing.M) {
	switch os.Getenv(childVariable) {
	case "echo":
		os.Exit(serve.Main(newEcho().service()))
	case "database":
		os.Exit(serve.Main(newEcho().withDatabase()))
	}
	os.Exit(servetest.Main(m))
}

// echo is a service that behaves as its requests say.
type echo struct {
	echopb.UnimplementedEchoServiceServer

	release  chan struct{} // closed to let "hold" requests end
	held     atomic.Int64  // "hold" requests that arrived
	answered atomic.Int64  // requests that ended
}

func newEcho() *echo { return &echo{release: make(chan struct{})} }

func (e *echo) service() serve.Service {
	return serve.Service{
		Name:    "echo",
		OpenAPI: []byte(`{"openapi":"3.1.0"}`),
		Setup: func(_ context.Context, b *serve.Builder) error {
			echopb.RegisterEchoServiceServer(b, e)
			b.Gateway(func(ctx context.Context, mux *runtime.ServeMux, conn grpc.ClientConnInterface) error {
				return echopb.RegisterEchoServiceHandlerClient(ctx, mux, echopb.NewEchoServiceClient(conn))
			})
			return nil
		},
	}
}

func (e *echo) withDatabase() serve.Service {
	svc := e.service()
	svc.Migrations = fstest.MapFS{
		"migrations/00001_init.sql": {Data: []byte("-- +goose Up\nCREATE TABLE notes (text text NOT NULL);\n")},
	}
	return svc
}

// secretText must never reach a caller.
const secretText = "row of customer 4711"

func (e *echo) Echo(ctx context.Context, req *echopb.EchoRequest) (*echopb.EchoResponse, error) {
	defer e.answered.Add(1)
	if err := e.behave(ctx, req.GetBehave()); err != nil {
		return nil, err
	}
	resp := &echopb.EchoResponse{Text: req.GetText(), RequestId: serve.RequestID(ctx)}
	if deadline, ok := ctx.Deadline(); ok {
		resp.DeadlineMs = time.Until(deadline).Milliseconds()
	}
	return resp, nil
}

func (e *echo) Count(req *echopb.EchoRequest, stream grpc.ServerStreamingServer[echopb.EchoResponse]) error {
	for i := range req.GetTimes() {
		if err := stream.Send(&echopb.EchoResponse{Text: fmt.Sprint(req.GetText(), i)}); err != nil {
			return err
		}
	}
	return e.behave(stream.Context(), req.GetBehave())
}

func (e *echo) Chat(stream grpc.BidiStreamingServer[echopb.EchoRequest, echopb.EchoResponse]) error {
	for {
		req, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := e.behave(stream.Context(), req.GetBehave()); err != nil {
			return err
		}
		if err := stream.Send(&echopb.EchoResponse{Text: req.GetText(), RequestId: serve.RequestID(stream.Context())}); err != nil {
			return err
		}
	}
}

// behave does what the word says.
func (e *echo) behave(ctx context.Context, word string) error {
	what, argument, _ := strings.Cut(word, ":")
	switch what {
	case "panic":
		panic(secretText)
	case "unknown":
		return errors.New(secretText)
	case "status":
		return fmt.Errorf("%s: %w", secretText, status.Error(codes.NotFound, "no such thing"))
	case "wait": // until the deadline
		<-ctx.Done()
		return fmt.Errorf("query %s: %w", secretText, ctx.Err())
	case "hold":
		e.held.Add(1)
		select {
		case <-e.release:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	case "header":
		return grpc.SetHeader(ctx, metadata.Pairs("etag", `"7"`, "x-private", "no"))
	case "kind":
		n, err := strconv.Atoi(argument)
		if err != nil {
			return err
		}
		return errs.Wrap(errors.New(secretText), errs.Kind(n), "ECHO_REFUSED", "the echo refuses").
			With("shout", "no").WithField("text", "too loud").After(1500 * time.Millisecond)
	}
	return nil
}
