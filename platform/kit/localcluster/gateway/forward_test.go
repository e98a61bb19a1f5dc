package gateway

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/status"
)

// direct serves the way from service to service and returns its address.
func (b *bundle) direct() string {
	b.t.Helper()
	srv := httptest.NewUnstartedServer(b.Forward(groupARN))
	srv.Config.Protocols = new(http.Protocols)
	srv.Config.Protocols.SetHTTP1(true)
	srv.Config.Protocols.SetUnencryptedHTTP2(true)
	srv.Start()
	b.t.Cleanup(srv.Close)
	return srv.Listener.Addr().String()
}

// directClient is a gRPC client of the way from service to service.
func (b *bundle) directClient() testpb.TestServiceClient {
	b.t.Helper()
	conn, err := grpc.NewClient(b.direct(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { conn.Close() })
	return testpb.NewTestServiceClient(conn)
}

// TestForwardPassesOverATargetThatIsGone: of a request to a target that
// refuses the connection nothing was sent, so another one serves it.
func TestForwardPassesOverATargetThatIsGone(t *testing.T) {
	b := setup(t, Config{})
	b.group(func(tg *TargetGroup) {
		tg.Protocol, tg.HealthCheck.Path, tg.HealthCheck.Matcher = GRPC, "", "0"
		tg.HealthCheck.Interval, tg.HealthCheck.UnhealthyThreshold = time.Hour, 1000 // it stays in the choice
		tg.HealthCheck.Timeout = time.Second
	})
	client := b.directClient()
	gone := b.grpcBackend("a", true)
	b.grpcBackend("b", true)
	b.await("a", StateHealthy)
	b.await("b", StateHealthy)
	gone.Stop()
	for range 10 {
		res, err := client.UnaryCall(t.Context(), &testpb.SimpleRequest{Payload: &testpb.Payload{Body: []byte("whole")}})
		if err != nil || string(res.GetPayload().GetBody()) != "whole" {
			t.Fatalf("got %v, %v", res, err)
		}
	}
	if h := b.Health(groupARN, "a"); h.State != StateHealthy {
		t.Fatalf("the dead target is %s, so that nothing was passed over", h.State)
	}
}

func TestForwardAnswersUnavailableWhenNobodyIsThere(t *testing.T) {
	b := setup(t, Config{})
	client := b.directClient() // the target group does not even exist
	if _, err := client.UnaryCall(t.Context(), &testpb.SimpleRequest{}); status.Code(err) != codes.Unavailable {
		t.Errorf("without a target group: %v", err)
	}
	b.group(func(tg *TargetGroup) { tg.Protocol, tg.HealthCheck.Path, tg.HealthCheck.Matcher = GRPC, "", "0" })
	srv := b.grpcBackend("a", true)
	b.await("a", StateHealthy)
	srv.Stop()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if _, err := client.UnaryCall(ctx, &testpb.SimpleRequest{}); status.Code(err) != codes.Unavailable {
		t.Errorf("with a target that is gone: %v", err)
	}
}

// TestForwardAddsNothing: between services there is no load balancer to see.
func TestForwardAddsNothing(t *testing.T) {
	b := setup(t, Config{})
	b.group(nil)
	seen := make(chan http.Header, 1)
	b.backend("a", func(_ http.ResponseWriter, r *http.Request) { seen <- r.Header })
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+b.direct()+"/", strings.NewReader("body"))
	if err != nil {
		t.Fatal(err)
	}
	req.Header = http.Header{"X-Amzn-Trace-Id": {"Root=1-2-3"}, "X-Forwarded-For": {"10.0.0.1"}, "Traceparent": {"00-1-2-01"}}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, res.Body)
	res.Body.Close()
	got := <-seen
	for name, want := range map[string]string{"X-Amzn-Trace-Id": "Root=1-2-3", "X-Forwarded-For": "10.0.0.1", "X-Forwarded-Port": "", "X-Forwarded-Proto": "", "Traceparent": "00-1-2-01"} {
		if got.Get(name) != want {
			t.Errorf("%s: %q, want %q", name, got.Get(name), want)
		}
	}
}
