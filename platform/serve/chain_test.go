package serve

import (
	"log/slog"
	"strings"
	"testing"
)

// TestChainKeepsItsOrder is the golden list of interceptors. A change here is a
// change for every service: see chain for what each place means.
func TestChainKeepsItsOrder(t *testing.T) {
	t.Parallel()
	const want = "request_id > logging > errors > recovery > deadline > validation"
	var names []string
	for _, in := range chain(slog.New(slog.DiscardHandler), "grpc", "x", limits{}, newValidator()) {
		if in.unary == nil || in.stream == nil {
			t.Errorf("interceptor %s does not cover unary calls and streams", in.name)
		}
		names = append(names, in.name)
	}
	if got := strings.Join(names, " > "); got != want {
		t.Errorf("chain is\n  %s\nwant\n  %s", got, want)
	}
}
