package gateway

import (
	"crypto/rand"
	"net/http"
	"net/http/httptest"
	"regexp"
	"testing"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	oteltrace "go.opentelemetry.io/otel/trace"
)

func TestTheTraceHeaderIsThatOfALoadBalancer(t *testing.T) {
	const id, root = `1-67891233-[0-9a-f]{24}`, "Root=1-67891200-abcdef012345678912345678"
	for name, tc := range map[string]struct{ in, want string }{
		"none":                           {"", "Root=" + id},
		"a root":                         {root, "Self=" + id + ";" + root},
		"a root and a self":              {"Self=1-0-0;" + root, "Self=" + id + ";" + root},
		"a root and fields of one's own": {root + ";CalledFrom=app", "Self=" + id + ";" + root + ";CalledFrom=app"},
		"fields without a root":          {"CalledFrom=app", "Root=" + id + ";CalledFrom=app"},
		"a self alone":                   {"Self=1-0-0", "Root=" + id},
		"parent and sampled are kept":    {root + ";Parent=53995c3f42cd8ad8;Sampled=1", "Self=" + id + ";" + root + ";Parent=53995c3f42cd8ad8;Sampled=1"},
	} {
		t.Run(name, func(t *testing.T) {
			got := traceHeader(tc.in, time.Unix(0x67891233, 0))
			if !regexp.MustCompile("^" + tc.want + "$").MatchString(got) {
				t.Errorf("the header is %q, want %s", got, tc.want)
			}
		})
	}
}

func TestWhichTraceARequestIsPartOf(t *testing.T) {
	const low, high = "000000000000000000000001", "ffffffffffffffffffffffff" // of the ids' range
	tests := map[string]struct {
		ratio        float64
		path         string
		amzn, parent string
		trace        string // W3C, "" for none
		above        string // parent
		sampled      bool
	}{
		"nothing is traced":                {0, "/", "Root=1-67891233-" + low, "", "", "", false},
		"a root below the ratio":           {0.5, "/", "Root=1-67891233-" + low, "", "67891233" + low, "", true},
		"a root above the ratio":           {0.5, "/", "Root=1-67891233-" + high, "", "67891233" + high, "", false},
		"all":                              {1, "/", "Root=1-67891233-" + high, "", "67891233" + high, "", true},
		"the client sampled":               {0.5, "/", "Root=1-67891233-" + high + ";Parent=53995c3f42cd8ad8;Sampled=1", "", "67891233" + high, "53995c3f42cd8ad8", true},
		"the client did not":               {0.5, "/", "Root=1-67891233-" + low + ";Parent=53995c3f42cd8ad8;Sampled=0", "", "67891233" + low, "53995c3f42cd8ad8", false},
		"traceparent wins":                 {0.5, "/", "Root=1-67891233-" + low, "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7", true},
		"traceparent, not sampled":         {1, "/", "", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00", "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7", false},
		"a broken traceparent is none":     {1, "/", "Root=1-67891233-" + low, "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01", "67891233" + low, "", true},
		"a zero traceparent is none":       {1, "/", "Root=1-67891233-" + low, "00-00000000000000000000000000000000-00f067aa0ba902b7-01", "67891233" + low, "", true},
		"a broken root":                    {1, "/", "Root=1-6789-" + low, "", "", "", false},
		"a root of zeros":                  {1, "/", "Root=1-00000000-000000000000000000000000", "", "", "", false},
		"a health check":                   {1, "/healthz", "Root=1-67891233-" + low, "", "", "", false},
		"a health check over gRPC":         {1, "/grpc.health.v1.Health/Check", "Root=1-67891233-" + low, "", "", "", false},
		"a path that only looks like that": {1, "/healthzz", "Root=1-67891233-" + low, "", "67891233" + low, "", true},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodGet, tc.path, http.NoBody)
			r.Header.Set("X-Amzn-Trace-Id", tc.amzn)
			r.Header.Set("Traceparent", tc.parent)
			h := Tracing{Ratio: tc.ratio, Record: func(Span) {}}.follow(r, time.Unix(0, 0))
			if h.sampled != tc.sampled {
				t.Errorf("sampled is %v", h.sampled)
			}
			if id := oteltrace.TraceID(h.trace); tc.trace != "" && id.String() != tc.trace {
				t.Errorf("trace %s, want %s", id, tc.trace)
			}
			if id := oteltrace.SpanID(h.parent); tc.above != "" && id.String() != tc.above || tc.above == "" && id.IsValid() {
				t.Errorf("parent %s, want %s", id, tc.above)
			}
		})
	}
}

// The services decide with OpenTelemetry's sampler; gateway and services must
// choose the same traces.
func TestSamplingAgreesWithOpenTelemetry(t *testing.T) {
	for _, ratio := range []float64{0.0001, 0.05, 0.5, 0.999, 1} {
		sampler := sdktrace.TraceIDRatioBased(ratio)
		for range 2000 {
			var id [16]byte
			_, _ = rand.Read(id[:])
			want := sampler.ShouldSample(sdktrace.SamplingParameters{TraceID: id}).Decision == sdktrace.RecordAndSample
			if got := sampledBy(ratio, id); got != want {
				t.Fatalf("ratio %v, trace %x: sampled is %v, OpenTelemetry says %v", ratio, id, got, want)
			}
		}
	}
}

func TestRequestsAreReportedAsSpans(t *testing.T) {
	spans := make(chan Span, 8)
	b := setup(t, Config{Tracing: Tracing{Ratio: 1, Record: func(s Span) { spans <- s }}})
	seen := make(chan string, 8)
	b.group(nil)
	if code, _ := b.get("/v1/nobody"); code != http.StatusServiceUnavailable {
		t.Fatalf("without a target: %d", code)
	}
	if s := <-spans; s.Status != 503 || !s.Own || s.Target != "" || s.Path != "/v1/nobody" {
		t.Errorf("without a target the span is %+v", s)
	}
	b.backend("a", func(w http.ResponseWriter, r *http.Request) {
		seen <- r.Header.Get("X-Amzn-Trace-Id")
		w.WriteHeader(http.StatusTeapot)
	})
	if code, _ := b.get("/v1/tea?secret=1", "User-Agent", "kettle"); code != http.StatusTeapot {
		t.Fatalf("status %d", code)
	}
	s := <-spans
	header := <-seen
	if want := "Root=1-" + oteltrace.TraceID(s.Trace).String()[:8] + "-" + oteltrace.TraceID(s.Trace).String()[8:]; header != want {
		t.Errorf("the target was told %q, the span says %q", header, want)
	}
	if s.Method != http.MethodGet || s.Path != "/v1/tea" || s.Status != http.StatusTeapot || s.Own || s.Target == "" || s.Address == "" || s.Group == "" ||
		s.UserAgent != "kettle" || s.Client == "" || s.ID == [8]byte{} || s.Parent != [8]byte{} || s.Began.IsZero() {
		t.Errorf("the span is %+v", s)
	}
	if code, _ := b.get("/healthz"); code != http.StatusOK {
		t.Fatalf("status %d", code)
	}
	b.get("/v1/more")
	if s := <-spans; s.Path != "/v1/more" {
		t.Errorf("a health check was reported: %+v", s)
	}
}
