package interceptor

import (
	"log/slog"
	"strings"
	"testing"
)

// TestChainKeepsItsOrder is the golden list of interceptors. A change here is a
// change for every service: see Chain for what each place means.
func TestChainKeepsItsOrder(t *testing.T) {
	t.Parallel()
	const want = "request_id > tracing > logging > errors > recovery > load_shedding > deadline > authentication > authorization > validation"
	var names []string
	tracing := requestIDs()
	tracing.Name = "tracing"
	for _, in := range Chain(Config{Log: slog.New(slog.DiscardHandler), Protocol: "grpc", Domain: "x", Tracing: &tracing, Validator: NewValidator()}) {
		if in.Unary == nil || in.Stream == nil {
			t.Errorf("interceptor %s does not cover unary calls and streams", in.Name)
		}
		names = append(names, in.Name)
	}
	if got := strings.Join(names, " > "); got != want {
		t.Errorf("chain is\n  %s\nwant\n  %s", got, want)
	}
}
