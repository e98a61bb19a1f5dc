package rest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"github.com/slipway-dev/slipway/platform/serve/internal/drain"
	"github.com/slipway-dev/slipway/platform/serve/internal/echopb"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// echo does what a test tells it to.
type echo struct {
	echopb.UnimplementedEchoServiceServer

	one  func(context.Context, *echopb.EchoRequest) (*echopb.EchoResponse, error)
	many func(*echopb.EchoRequest, grpc.ServerStreamingServer[echopb.EchoResponse]) error
	chat func(grpc.BidiStreamingServer[echopb.EchoRequest, echopb.EchoResponse]) error
}

func (e *echo) Echo(ctx context.Context, r *echopb.EchoRequest) (*echopb.EchoResponse, error) {
	return e.one(ctx, r)
}

func (e *echo) Count(r *echopb.EchoRequest, s grpc.ServerStreamingServer[echopb.EchoResponse]) error {
	return e.many(r, s)
}

func (e *echo) Chat(s grpc.BidiStreamingServer[echopb.EchoRequest, echopb.EchoResponse]) error {
	return e.chat(s)
}

// seen is what the interceptors of a test's channel saw.
type seen struct{ methods []string }

func connect(t *testing.T, e *echo) (*Channel, echopb.EchoServiceClient, *seen) {
	t.Helper()
	s := &seen{}
	c := NewChannel(ChannelConfig{
		Unary: func(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
			s.methods = append(s.methods, info.FullMethod)
			return next(ctx, req)
		},
		Stream: func(srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) error {
			s.methods = append(s.methods, fmt.Sprint(info.FullMethod, info.IsClientStream, info.IsServerStream))
			return next(srv, ss)
		},
	})
	echopb.RegisterEchoServiceServer(c, e)
	t.Cleanup(func() {
		if err := c.Stop(t.Context()); err != nil && !errors.Is(err, drain.ErrTimeout) {
			t.Error(err)
		}
	})
	return c, echopb.NewEchoServiceClient(c), s
}

// TestUnaryCall looks at all that passes in both directions.
func TestUnaryCall(t *testing.T) {
	t.Parallel()
	_, client, s := connect(t, &echo{one: func(ctx context.Context, r *echopb.EchoRequest) (*echopb.EchoResponse, error) {
		in, _ := metadata.FromIncomingContext(ctx)
		out, _ := metadata.FromOutgoingContext(ctx)
		method, _ := grpc.Method(ctx)
		p, _ := peer.FromContext(ctx)
		_, limited := ctx.Deadline()
		text := fmt.Sprint(r.GetText(), in.Get("key"), len(out), method, p.Addr, limited)
		err := errors.Join(
			grpc.SetHeader(ctx, metadata.Pairs("h", "1")), grpc.SendHeader(ctx, metadata.Pairs("h", "2")),
			grpc.SetTrailer(ctx, metadata.Pairs("t", "3")))
		if grpc.SetHeader(ctx, metadata.Pairs("late", "4")) == nil {
			err = errors.New("a header was added to one that was sent")
		}
		return &echopb.EchoResponse{Text: text, DeadlineMs: 7}, err
	}})
	ctx, cancel := context.WithTimeout(metadata.AppendToOutgoingContext(t.Context(), "Key", "value"), time.Minute)
	defer cancel()
	var header, trailer metadata.MD
	var with peer.Peer
	got, err := client.Echo(ctx, &echopb.EchoRequest{Text: "hi"}, grpc.Header(&header), grpc.Trailer(&trailer), grpc.Peer(&with))
	if err != nil {
		t.Fatal(err)
	}
	if want := "hi[value]0/slipway.serve.echo.EchoService/Echogatewaytrue"; strings.ReplaceAll(got.GetText(), " ", "") != want || got.GetDeadlineMs() != 7 {
		t.Errorf("got %v, want %s", got, want)
	}
	if h := header.Get("h"); !slices.Equal(h, []string{"1", "2"}) || !slices.Equal(trailer.Get("t"), []string{"3"}) || with.Addr == nil {
		t.Errorf("header %v, trailer %v, peer %v", header, trailer, with)
	}
	if !slices.Equal(s.methods, []string{"/slipway.serve.echo.EchoService/Echo"}) {
		t.Errorf("the interceptors saw %v", s.methods)
	}
}

func TestErrorsOfACall(t *testing.T) {
	t.Parallel()
	cause := errors.New("row 4711")
	for name, tc := range map[string]struct {
		answer *echopb.EchoResponse
		err    error
		code   codes.Code
		text   string
	}{
		"a status":             {err: status.Error(codes.NotFound, "gone"), code: codes.NotFound, text: "gone"},
		"a wrapped status":     {err: fmt.Errorf("read: %w", status.Error(codes.NotFound, "gone")), code: codes.NotFound, text: "gone"},
		"a cancelled context":  {err: fmt.Errorf("read: %w", context.Canceled), code: codes.Canceled},
		"a deadline":           {err: context.DeadlineExceeded, code: codes.DeadlineExceeded},
		"any other":            {err: cause, code: codes.Unknown},
		"text that is not one": {err: status.Error(codes.NotFound, "a\xffb"), code: codes.NotFound, text: "a\uFFFDb"},
		"neither":              {code: codes.Internal},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, client, _ := connect(t, &echo{
				one: func(context.Context, *echopb.EchoRequest) (*echopb.EchoResponse, error) {
					return tc.answer, tc.err
				},
			})
			_, err := client.Echo(t.Context(), &echopb.EchoRequest{})
			st := status.Convert(err)
			if st.Code() != tc.code || !strings.Contains(st.Message(), tc.text) {
				t.Errorf("got %v", err)
			}
			if errors.Is(err, cause) {
				t.Error("the cause is within reach of the caller")
			}
		})
	}
	c, _, _ := connect(t, &echo{})
	if err := c.Invoke(t.Context(), "/nobody/Knows", &echopb.EchoRequest{}, &echopb.EchoResponse{}); status.Code(err) != codes.Unimplemented {
		t.Errorf("unknown method: %v", err)
	}
	if _, err := c.NewStream(t.Context(), &grpc.StreamDesc{}, "/nobody/Knows"); status.Code(err) != codes.Unimplemented {
		t.Errorf("unknown stream: %v", err)
	}
	if err := c.Invoke(t.Context(), echopb.EchoService_Echo_FullMethodName, &echopb.EchoResponse{}, &echopb.EchoResponse{}); status.Code(err) != codes.Internal {
		t.Errorf("request of another type: %v", err)
	}
}

// TestMessagesArriveOneByOne would hang if the channel kept a message back.
func TestMessagesArriveOneByOne(t *testing.T) {
	t.Parallel()
	next := make(chan struct{})
	_, client, s := connect(t, &echo{many: func(r *echopb.EchoRequest, ss grpc.ServerStreamingServer[echopb.EchoResponse]) error {
		if err := ss.SetHeader(metadata.Pairs("h", "1")); err != nil {
			return err
		}
		ss.SetTrailer(metadata.Pairs("t", "2"))
		answer := &echopb.EchoResponse{}
		for i := range r.GetTimes() {
			answer.Text = fmt.Sprint(r.GetText(), i) // the same message again and again
			if err := ss.Send(answer); err != nil {
				return err
			}
			<-next
		}
		return status.Error(codes.Aborted, "over")
	}})
	stream, err := client.Count(t.Context(), &echopb.EchoRequest{Text: "n", Times: 3})
	if err != nil {
		t.Fatal(err)
	}
	if header, err := stream.Header(); err != nil || !slices.Equal(header.Get("h"), []string{"1"}) {
		t.Errorf("header %v, %v", header, err)
	}
	var got []string
	for range 3 {
		m, err := stream.Recv()
		if err != nil {
			t.Fatal(err)
		}
		next <- struct{}{}
		got = append(got, m.GetText())
	}
	if _, err := stream.Recv(); status.Code(err) != codes.Aborted {
		t.Errorf("the end is %v", err)
	}
	if !slices.Equal(got, []string{"n0", "n1", "n2"}) || !slices.Equal(stream.Trailer().Get("t"), []string{"2"}) {
		t.Errorf("got %v, trailer %v", got, stream.Trailer())
	}
	if !slices.Equal(s.methods, []string{"/slipway.serve.echo.EchoService/Countfalse true"}) {
		t.Errorf("the interceptors saw %v", s.methods)
	}
}

func TestConversation(t *testing.T) {
	t.Parallel()
	_, client, _ := connect(t, &echo{chat: func(ss grpc.BidiStreamingServer[echopb.EchoRequest, echopb.EchoResponse]) error {
		for {
			r, err := ss.Recv()
			if errors.Is(err, io.EOF) {
				return nil
			}
			if err != nil {
				return err
			}
			if r.GetText() == "stop" {
				return status.Error(codes.Aborted, "stopped")
			}
			if err := ss.Send(&echopb.EchoResponse{Text: r.GetText()}); err != nil {
				return err
			}
		}
	}})
	chat, err := client.Chat(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	request := &echopb.EchoRequest{}
	for _, word := range []string{"a", "b"} {
		request.Text = word
		if err := chat.Send(request); err != nil {
			t.Fatal(err)
		}
		request.Text = "changed after it was sent"
		if got, err := chat.Recv(); err != nil || got.GetText() != word {
			t.Errorf("got %v, %v", got, err)
		}
	}
	if err := chat.CloseSend(); err != nil {
		t.Fatal(err)
	}
	if _, err := chat.Recv(); !errors.Is(err, io.EOF) {
		t.Errorf("the end is %v", err)
	}
	if chat, err = client.Chat(t.Context()); err != nil {
		t.Fatal(err)
	}
	for err == nil {
		err = chat.Send(&echopb.EchoRequest{Text: "stop"})
	}
	if _, end := chat.Recv(); !errors.Is(err, io.EOF) || status.Code(end) != codes.Aborted {
		t.Errorf("sending ended with %v, receiving with %v", err, end)
	}
}

// TestCallerGoesAway ends a unary call and a stream whose reader is gone.
func TestCallerGoesAway(t *testing.T) {
	t.Parallel()
	ended := make(chan error, 1)
	_, client, _ := connect(t, &echo{
		one: func(ctx context.Context, _ *echopb.EchoRequest) (*echopb.EchoResponse, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		},
		many: func(_ *echopb.EchoRequest, ss grpc.ServerStreamingServer[echopb.EchoResponse]) error {
			var err error
			for err == nil {
				err = ss.Send(&echopb.EchoResponse{})
			}
			ended <- err
			return err
		},
	})
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if _, err := client.Echo(ctx, &echopb.EchoRequest{}); status.Code(err) != codes.DeadlineExceeded {
		t.Errorf("past the deadline: %v", err)
	}
	ctx, cancel = context.WithCancel(t.Context())
	stream, err := client.Count(ctx, &echopb.EchoRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Recv(); err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := <-ended; status.Code(err) != codes.Canceled {
		t.Errorf("the handler's send ended with %v", err)
	}
	for err == nil {
		_, err = stream.Recv()
	}
	if status.Code(err) != codes.Canceled {
		t.Errorf("the stream ended with %v", err)
	}
}

func TestStop(t *testing.T) {
	t.Parallel()
	running, release := make(chan struct{}), make(chan struct{})
	hold := &echo{one: func(ctx context.Context, r *echopb.EchoRequest) (*echopb.EchoResponse, error) {
		if r.GetText() == "quick" {
			return &echopb.EchoResponse{}, nil
		}
		running <- struct{}{}
		select {
		case <-release:
			return &echopb.EchoResponse{}, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}}
	c, client, _ := connect(t, hold)
	answer := make(chan error, 1)
	call := func() { _, err := client.Echo(t.Context(), &echopb.EchoRequest{}); answer <- err }
	go call()
	<-running
	stopped := make(chan error, 1)
	go func() { stopped <- c.Stop(t.Context()) }()
	var refused error
	for refused == nil { // until Stop has begun
		_, refused = client.Echo(t.Context(), &echopb.EchoRequest{Text: "quick"})
	}
	if status.Code(refused) != codes.Unavailable {
		t.Errorf("a new call got %v", refused)
	}
	select {
	case err := <-stopped:
		t.Fatalf("Stop did not wait: %v", err)
	default:
	}
	close(release)
	if err := errors.Join(<-answer, <-stopped, c.Stop(t.Context())); err != nil {
		t.Error(err)
	}
}

// TestStopCutsOff ends a call that does not end by itself.
func TestStopCutsOff(t *testing.T) {
	t.Parallel()
	running := make(chan struct{})
	c, client, _ := connect(t, &echo{one: func(ctx context.Context, _ *echopb.EchoRequest) (*echopb.EchoResponse, error) {
		close(running)
		<-ctx.Done()
		return nil, ctx.Err()
	}})
	answer := make(chan error, 1)
	go func() { _, err := client.Echo(t.Context(), &echopb.EchoRequest{}); answer <- err }()
	<-running
	over, cancel := context.WithCancel(t.Context())
	cancel()
	if err := c.Stop(over); !errors.Is(err, drain.ErrTimeout) {
		t.Errorf("got %v", err)
	}
	if err := <-answer; status.Code(err) != codes.Canceled {
		t.Errorf("the call ended with %v", err)
	}
}
