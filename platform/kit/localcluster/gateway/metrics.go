package gateway

import (
	"maps"
	"math"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/codes"
)

// The latency histogram is exponential: its bounds go from a tenth of a
// millisecond to 105 s, eight to each doubling, so that a bucket is nine percent
// wide. CloudWatch's own are ten. The last bucket has no bound.
// Source: OpenTelemetry, Metrics data model, ExponentialHistogram (scale 3).
const (
	lowestBound = 100 * time.Microsecond
	perDoubling = 8
	doublings   = 20
	bounds      = perDoubling*doublings + 1
)

// bound is the upper bound of a bucket.
func bound(i int) time.Duration {
	return time.Duration(float64(lowestBound) * math.Exp2(float64(i)/perDoubling))
}

// bucketOf is the bucket of a latency.
func bucketOf(took time.Duration) int {
	if took <= lowestBound {
		return 0
	}
	i := int(math.Ceil(perDoubling * math.Log2(float64(took)/float64(lowestBound))))
	return min(i, bounds)
}

// Metrics is what a target group has seen since the gateway began. Numbers only
// grow.
type Metrics struct {
	// Requests counts everything sent to the group.
	Requests uint64 `json:"requests"`
	// Target counts the targets' answers by class: "2xx" to "5xx".
	Target map[string]uint64 `json:"target"`
	// Gateway counts the gateway's own answers by code, such as "503"; "460" is
	// a client that went away.
	Gateway map[string]uint64 `json:"gateway"`
	// GRPC counts the targets' answers by gRPC status code.
	GRPC map[string]uint64 `json:"grpc,omitempty"`
	// Latency counts the requests by the time to the head of the answer, as
	// TargetResponseTime of Elastic Load Balancing does: a stream may last.
	Latency []Bucket `json:"latency"`
	// TotalSeconds is the sum of all latencies.
	TotalSeconds float64 `json:"total_seconds"`
	// InFlight is the number of requests at work now.
	InFlight int `json:"in_flight"`
}

// GRPCFailures counts the answers whose gRPC status is the server's fault, by
// number: UNKNOWN, DEADLINE_EXCEEDED, UNIMPLEMENTED, INTERNAL, UNAVAILABLE and
// DATA_LOSS. They are those that a REST caller sees as 500 and above. Source:
// OpenTelemetry, Semantic conventions for gRPC, status of a server's span.
func (m Metrics) GRPCFailures() uint64 {
	var n uint64
	for _, code := range []codes.Code{codes.Unknown, codes.DeadlineExceeded, codes.Unimplemented, codes.Internal, codes.Unavailable, codes.DataLoss} {
		n += m.GRPC[strconv.Itoa(int(code))]
	}
	return n
}

// Bucket counts the requests that took at most UpTo and more than the bucket
// before. The last bucket has UpTo 0: no bound.
type Bucket struct {
	UpTo  time.Duration `json:"up_to"`
	Count uint64        `json:"count"`
}

// metrics are the live counters of a group.
type metrics struct {
	classes [6]atomic.Uint64
	latency [bounds + 1]atomic.Uint64
	total   atomic.Int64

	mu   sync.Mutex // for the rare ones
	own  map[int]uint64
	grpc map[string]uint64
}

func (m *metrics) observe(f *flight, took time.Duration) {
	if !f.answered.IsZero() {
		took = f.answered.Sub(f.began)
	}
	m.latency[bucketOf(took)].Add(1)
	m.total.Add(int64(took))
	if f.own || f.status == 0 {
		m.mu.Lock()
		defer m.mu.Unlock()
		if m.own == nil {
			m.own = map[int]uint64{}
		}
		m.own[fallback(f.status, statusClientClosed)]++
		return
	}
	m.classes[min(f.status/100, 5)].Add(1)
	if f.group.protocol != GRPC {
		return
	}
	code := fallback(f.response.Trailer.Get("Grpc-Status"), f.response.Header.Get("Grpc-Status"))
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.grpc == nil {
		m.grpc = map[string]uint64{}
	}
	m.grpc[fallback(code, "none")]++
}

// Metrics is a snapshot for each target group, by ARN.
func (g *Gateway) Metrics() map[string]Metrics {
	g.mu.Lock()
	groups := make(map[string]*group, len(g.groups))
	maps.Copy(groups, g.groups)
	g.mu.Unlock()
	out := make(map[string]Metrics, len(groups))
	for arn, gr := range groups {
		s := gr.metrics.snapshot()
		gr.mu.Lock()
		for _, t := range gr.targets {
			s.InFlight += len(t.flights)
		}
		gr.mu.Unlock()
		out[arn] = s
	}
	return out
}

func (m *metrics) snapshot() Metrics {
	s := Metrics{Target: map[string]uint64{}, Gateway: map[string]uint64{}}
	for class := 1; class < len(m.classes); class++ {
		if n := m.classes[class].Load(); n > 0 {
			s.Target[strconv.Itoa(class)+"xx"] = n
		}
	}
	for i := range m.latency {
		b := Bucket{Count: m.latency[i].Load()}
		if i < bounds {
			b.UpTo = bound(i)
		}
		s.Requests += b.Count
		s.Latency = append(s.Latency, b)
	}
	s.TotalSeconds = time.Duration(m.total.Load()).Seconds()
	m.mu.Lock()
	defer m.mu.Unlock()
	for code, n := range m.own {
		s.Gateway[strconv.Itoa(code)] = n
	}
	if len(m.grpc) > 0 {
		s.GRPC = make(map[string]uint64, len(m.grpc))
		maps.Copy(s.GRPC, m.grpc)
	}
	return s
}
