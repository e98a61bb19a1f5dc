package rest

import (
	"context"
	"net/http"
	"reflect"
	"testing"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/slipway-dev/slipway/platform/serve/internal/echopb"
	"github.com/slipway-dev/slipway/platform/serve/internal/requestid"
)

// byGateway is the metadata that the gateway itself would make.
func byGateway(t *testing.T, r *http.Request) metadata.MD {
	t.Helper()
	mux := runtime.NewServeMux(runtime.WithIncomingHeaderMatcher(func(key string) (string, bool) {
		name, ok := requestHeaders[key]
		return name, ok && key != "Authorization" // which it passes anyway
	}))
	ctx, err := runtime.AnnotateContext(t.Context(), mux, r, "/p.S/M")
	if err != nil {
		t.Fatal(err)
	}
	md, _ := metadata.FromOutgoingContext(ctx)
	return md
}

// TestMetadataIsTheGateways compares what we make with what the gateway would.
func TestMetadataIsTheGateways(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		header     http.Header
		host, from string
	}{
		"nothing": {},
		"usual":   {http.Header{"Authorization": {"Bearer x"}, "Accept": {"*/*"}, "Cookie": {"c"}}, "shop.test", "192.0.2.1:4711"},
		"every header": {http.Header{
			"Idempotency-Key": {"k"}, "If-Match": {"m"}, "If-None-Match": {"n"}, "Accept-Language": {"de"}, "Traceparent": {"00-1"},
			"Tracestate": {"a=b"}, "Baggage": {"c=d", "e=f"}, "X-Amzn-Trace-Id": {"Root=1"}, "Grpc-Metadata-Authorization": {"Bearer forged"},
		}, "shop.test", "[2001:db8::1]:80"},
		"two tokens":         {http.Header{"Authorization": {"Bearer x", "Bearer y"}}, "", ""},
		"behind proxies":     {http.Header{"X-Forwarded-For": {"198.51.100.7", "203.0.113.9"}, "X-Forwarded-Host": {"public.test"}}, "inner", "10.0.0.1:1"},
		"no address":         {http.Header{"X-Forwarded-For": {"198.51.100.7"}}, "", "@"},
		"not for gRPC":       {http.Header{"Authorization": {"Bearer ä", "Bearer x"}, "If-Match": {"a\tb"}, "X-Forwarded-For": {"\xff", "192.0.2.9"}}, "ä", "192.0.2.1:1"},
		"a forwarded secret": {http.Header{"X-Forwarded-Host": {"\x01"}}, "inner", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := (&http.Request{Header: tc.header, Host: tc.host, RemoteAddr: tc.from}).WithContext(t.Context())
			got, want := metadataOf(r), byGateway(t, r)
			if len(got)+len(want) > 0 && !reflect.DeepEqual(got, want) {
				t.Errorf("got %v, the gateway makes %v", got, want)
			}
		})
	}
	r := (&http.Request{}).WithContext(requestid.With(t.Context(), "req-1"))
	if got := metadataOf(r); !reflect.DeepEqual(got, metadata.MD{requestid.Key: {"req-1"}}) {
		t.Errorf("got %v", got)
	}
}

// TestMetadataIsForTheRequestsCallAlone has a handler that calls its own process
// again: that call must not act in its caller's name.
func TestMetadataIsForTheRequestsCallAlone(t *testing.T) {
	t.Parallel()
	var seen []metadata.MD
	var client echopb.EchoServiceClient
	_, client, _ = connect(t, &echo{one: func(ctx context.Context, r *echopb.EchoRequest) (*echopb.EchoResponse, error) {
		md, _ := metadata.FromIncomingContext(ctx)
		seen = append(seen, md)
		if r.GetText() == "first" {
			return client.Echo(ctx, &echopb.EchoRequest{Text: "second"})
		}
		return &echopb.EchoResponse{}, nil
	}})
	x := &exchangeContext{Context: t.Context(), exchange: exchange{metadata: metadata.Pairs("authorization", "Bearer x")}}
	ctx := metadata.AppendToOutgoingContext(x, "more", "1")
	if _, err := client.Echo(ctx, &echopb.EchoRequest{Text: "first"}, grpc.WaitForReady(false)); err != nil {
		t.Fatal(err)
	}
	want := []metadata.MD{{"authorization": {"Bearer x"}, "more": {"1"}}, {}}
	if len(seen) != 2 || !reflect.DeepEqual(seen[0], want[0]) || len(seen[1]) != 0 {
		t.Errorf("got %v, want %v", seen, want)
	}
}

// TestGatewayHeader keeps what the generated code looks at.
func TestGatewayHeader(t *testing.T) {
	t.Parallel()
	if got := gatewayHeader(http.Header{"Authorization": {"x"}, "Cookie": {"y"}}); got != nil {
		t.Errorf("got %v", got)
	}
	want := http.Header{"Content-Type": {"application/json"}, "Grpc-Timeout": {"1S"}, "Te": {"trailers"}, "Accept": {"*/*"}}
	all := want.Clone()
	all.Set("Cookie", "y")
	if got := gatewayHeader(all); !reflect.DeepEqual(got, want) {
		t.Errorf("got %v", got)
	}
}
