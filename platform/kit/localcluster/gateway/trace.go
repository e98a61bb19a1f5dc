package gateway

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"net/http"
	"strings"
	"time"
)

// Tracing says which requests the gateway reports as spans of their traces.
// What the load balancer of AWS tells its targets does not depend on it.
type Tracing struct {
	// Ratio is the share of traces that are reported, 0 to 1. Which ones follows
	// from the trace id alone, as in OpenTelemetry's TraceIDRatioBased sampler, so
	// that the services choose the same. A client that has chosen already
	// (traceparent, or Sampled in X-Amzn-Trace-Id) is followed.
	Ratio float64
	// Record takes a span. It must not block. Nil reports nothing.
	Record func(Span)
}

// Span is one request as the gateway saw it.
type Span struct {
	Trace  [16]byte
	ID     [8]byte
	Parent [8]byte // the client's span; zero for none
	Began  time.Time
	Took   time.Duration

	Method, Path, Host, Client, UserAgent string
	HTTP2                                 bool
	// Status is the HTTP status, 460 for a client that went away. GRPC is the
	// gRPC status code, empty where there is none.
	Status int
	GRPC   string
	// Own says that the gateway gave the answer itself.
	Own bool
	// Group is the target group's name. Target (the task's ARN) and Address are
	// empty when no target was asked.
	Group, Target, Address string
}

// hop is what the gateway knows of the trace a request belongs to.
type hop struct {
	header  string // X-Amzn-Trace-Id for the target
	trace   [16]byte
	parent  [8]byte
	sampled bool
}

// follow decides on the trace of a request that came through the listener.
func (t Tracing) follow(r *http.Request, now time.Time) hop {
	h := hop{header: traceHeader(r.Header.Get("X-Amzn-Trace-Id"), now)}
	if t.Record == nil || t.Ratio <= 0 || isHealthCheck(r.URL.Path) {
		return h
	}
	if id, parent, flags, ok := parseTraceparent(r.Header.Get("Traceparent")); ok {
		h.trace, h.parent, h.sampled = id, parent, flags&1 == 1
		return h
	}
	sampled, ok := h.readHeader()
	switch {
	case !ok:
	case h.parent != [8]byte{} && sampled != "":
		h.sampled = sampled == "1"
	default:
		h.sampled = sampledBy(t.Ratio, h.trace)
	}
	return h
}

// readHeader takes trace and parent from the header; ok is false when its Root
// is no trace id, which a client can bring about.
func (h *hop) readHeader() (sampled string, ok bool) {
	for field := range strings.SplitSeq(h.header, ";") {
		name, value, _ := strings.Cut(field, "=")
		switch name {
		case "Root":
			parts := strings.Split(value, "-")
			ok = len(parts) == 3 && parts[0] == "1" && len(parts[1]) == 8 && decodeID(h.trace[:], parts[1]+parts[2])
		case "Parent":
			if !decodeID(h.parent[:], value) {
				h.parent = [8]byte{}
			}
		case "Sampled":
			sampled = value
		}
	}
	return sampled, ok
}

// decodeID reads an id of exactly len(into) bytes that are not all zero.
func decodeID(into []byte, digits string) bool {
	if len(digits) != 2*len(into) || strings.Trim(digits, "0") == "" {
		return false
	}
	_, err := hex.Decode(into, []byte(digits))
	return err == nil
}

// parseTraceparent reads W3C's header (Trace Context, "traceparent Header").
func parseTraceparent(text string) (id [16]byte, parent [8]byte, flags byte, ok bool) {
	parts := strings.Split(text, "-")
	if text != strings.ToLower(text) || len(parts) < 4 || len(parts[0]) != 2 || parts[0] == "ff" || parts[0] == "00" && len(parts) != 4 || len(parts[3]) != 2 {
		return id, parent, 0, false
	}
	flag, err := hex.DecodeString(parts[3])
	if err != nil || !decodeID(id[:], parts[1]) || !decodeID(parent[:], parts[2]) {
		return id, parent, 0, false
	}
	return id, parent, flag[0], true
}

// sampledBy is OpenTelemetry's TraceIDRatioBased: the last eight bytes of the id,
// but for the lowest bit, are below the ratio's share of their range.
func sampledBy(ratio float64, id [16]byte) bool {
	return ratio >= 1 || binary.BigEndian.Uint64(id[8:])>>1 < uint64(ratio*(1<<63))
}

// isHealthCheck tells the paths that are asked all the time and mean nothing.
func isHealthCheck(path string) bool {
	return path == "/healthz" || path == "/livez" || strings.HasPrefix(path, "/grpc.health.v1.Health/")
}

// record reports a request that is over.
func (g *Gateway) record(f *flight, r *http.Request, took time.Duration) {
	if !f.hop.sampled {
		return
	}
	s := Span{
		Trace: f.hop.trace, Parent: f.hop.parent, Began: f.began, Took: took,
		Method: r.Method, Path: r.URL.Path, Host: r.Host, Client: r.RemoteAddr, UserAgent: r.UserAgent(),
		HTTP2: r.ProtoMajor == 2, Status: fallback(f.status, statusClientClosed), Own: f.own || f.status == 0, Group: f.group.name,
	}
	_, _ = rand.Read(s.ID[:]) // never fails
	if f.response != nil && f.group.protocol == GRPC {
		s.GRPC = fallback(f.response.Trailer.Get("Grpc-Status"), f.response.Header.Get("Grpc-Status"))
	}
	if f.target != nil {
		s.Target, s.Address = f.target.id, f.target.addr
	}
	g.tracing.Record(s)
}

// traceHeader gives the X-Amzn-Trace-Id header for the target: a new Root when the
// client sent none, else the client's fields with this hop as Self (Elastic
// Load Balancing, "Request tracing").
func traceHeader(in string, now time.Time) string {
	var random [12]byte
	_, _ = rand.Read(random[:]) // never fails
	id := "1-" + hex.EncodeToString(be32(now)) + "-" + hex.EncodeToString(random[:])
	var kept []string
	hasRoot := false
	for field := range strings.SplitSeq(in, ";") {
		field = strings.TrimSpace(field)
		if field == "" || strings.HasPrefix(field, "Self=") {
			continue
		}
		hasRoot = hasRoot || strings.HasPrefix(field, "Root=")
		kept = append(kept, field)
	}
	name := "Root="
	if hasRoot {
		name = "Self="
	}
	return strings.Join(append([]string{name + id}, kept...), ";")
}

func be32(t time.Time) []byte {
	return binary.BigEndian.AppendUint32(nil, uint32(t.Unix())) //nolint:gosec // the trace header holds 32 bits of seconds
}
