package gateway

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// echo is gRPC's own test service.
type echo struct {
	testpb.UnimplementedTestServiceServer
}

func (echo) UnaryCall(_ context.Context, r *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
	if r.GetResponseStatus().GetCode() != 0 {
		return nil, status.Error(codes.Code(r.GetResponseStatus().GetCode()), r.GetResponseStatus().GetMessage())
	}
	return &testpb.SimpleResponse{Payload: r.GetPayload()}, nil
}

func (echo) FullDuplexCall(s testpb.TestService_FullDuplexCallServer) error {
	s.SetTrailer(metadata.Pairs("sum", "42"))
	for {
		m, err := s.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := s.Send(&testpb.StreamingOutputCallResponse{Payload: m.GetPayload()}); err != nil {
			return err
		}
	}
}

// grpcGroup adds a GRPC target group and returns a client of the gateway.
func (b *bundle) grpcGroup() testpb.TestServiceClient {
	b.t.Helper()
	b.group(func(tg *TargetGroup) {
		tg.Protocol = GRPC
		tg.HealthCheck.Path = ""
		tg.HealthCheck.Matcher = "0"
	})
	conn, err := grpc.NewClient(strings.TrimPrefix(b.url, "http://"), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { conn.Close() })
	return testpb.NewTestServiceClient(conn)
}

func (b *bundle) grpcBackend(id string, withHealth bool) *grpc.Server {
	b.t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.t.Fatal(err)
	}
	srv := grpc.NewServer()
	testpb.RegisterTestServiceServer(srv, echo{})
	if withHealth {
		healthpb.RegisterHealthServer(srv, health.NewServer())
	}
	go func() { _ = srv.Serve(l) }()
	b.t.Cleanup(srv.Stop)
	addr := l.Addr().(*net.TCPAddr)
	if err := b.Register(groupARN, Target{ID: id, Host: "127.0.0.1", Port: addr.Port}); err != nil {
		b.t.Fatal(err)
	}
	return srv
}

func TestGRPC(t *testing.T) {
	b := setup(t, Config{})
	client := b.grpcGroup()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()

	_, err := client.UnaryCall(ctx, &testpb.SimpleRequest{})
	if status.Code(err) != codes.Unavailable || !strings.Contains(err.Error(), "no healthy target") {
		t.Errorf("without a target: %v", err)
	}
	b.grpcBackend("a", true)
	b.await("a", StateHealthy)
	body := []byte(strings.Repeat("x", 1<<20))
	res, err := client.UnaryCall(ctx, &testpb.SimpleRequest{Payload: &testpb.Payload{Body: body}})
	if err != nil || len(res.GetPayload().GetBody()) != len(body) {
		t.Fatalf("unary call: %v", err)
	}
	_, err = client.UnaryCall(ctx, &testpb.SimpleRequest{ResponseStatus: &testpb.EchoStatus{Code: int32(codes.Aborted), Message: "etag"}})
	if status.Code(err) != codes.Aborted || status.Convert(err).Message() != "etag" {
		t.Errorf("a target's status came through as %v", err)
	}
	if _, err := client.UnaryCall(ctx, &testpb.SimpleRequest{ResponseStatus: &testpb.EchoStatus{Code: int32(codes.Internal)}}); status.Code(err) != codes.Internal {
		t.Errorf("a target's failure came through as %v", err)
	}
	if code, _ := b.get("/"); code != 464 {
		t.Errorf("HTTP/1.1 to a GRPC target group: %d", code)
	}
	duplex(ctx, t, client)
	poll(t, func() bool { return b.Metrics()[groupARN].GRPC["10"] == 1 && b.Metrics()[groupARN].GRPC["0"] == 2 })
	if m := b.Metrics()[groupARN]; m.GRPCFailures() != 1 || m.Target["5xx"] != 0 {
		t.Errorf("%d failures, %d with an HTTP status of 5xx; an aborted call is none, an internal error is one", m.GRPCFailures(), m.Target["5xx"])
	}
}

// duplex sends each message only after the answer to the one before.
func duplex(ctx context.Context, t *testing.T, client testpb.TestServiceClient) {
	t.Helper()
	stream, err := client.FullDuplexCall(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []string{"one", "two", "three"} {
		if err := stream.Send(&testpb.StreamingOutputCallRequest{Payload: &testpb.Payload{Body: []byte(s)}}); err != nil {
			t.Fatal(err)
		}
		if m, err := stream.Recv(); err != nil || string(m.GetPayload().GetBody()) != s {
			t.Fatalf("answer to %q: %v, %v", s, m, err)
		}
	}
	if err := stream.CloseSend(); err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Recv(); !errors.Is(err, io.EOF) {
		t.Fatalf("end of stream: %v", err)
	}
	if got := stream.Trailer().Get("sum"); len(got) != 1 || got[0] != "42" {
		t.Fatalf("trailer %v", stream.Trailer())
	}
}

// TestGRPCHealthIsTheStatusCode: as in AWS, a server without a health service
// is not healthy when the matcher is 0.
func TestGRPCHealthIsTheStatusCode(t *testing.T) {
	b := setup(t, Config{})
	b.grpcGroup()
	b.grpcBackend("a", false)
	b.await("a", StateUnhealthy)
	if h := b.Health(groupARN, "a"); h.Description != "Health checks failed with these codes: [12]" {
		t.Errorf("unhealthy as %+v", h)
	}
}

// TestARefusedCallIsUnavailable: a gRPC client sees UNAVAILABLE, not a broken stream.
func TestARefusedCallIsUnavailable(t *testing.T) {
	b := setup(t, Config{})
	client := b.grpcGroup()
	srv := b.grpcBackend("a", true)
	b.await("a", StateHealthy)
	srv.Stop()
	if _, err := client.UnaryCall(t.Context(), &testpb.SimpleRequest{}); status.Code(err) != codes.Unavailable {
		t.Errorf("got %v", err)
	}
	b.await("a", StateUnhealthy)
}
