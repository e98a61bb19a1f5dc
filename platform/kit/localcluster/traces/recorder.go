package traces

import (
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"unicode/utf8"

	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	resourcepb "go.opentelemetry.io/proto/otlp/resource/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"

	"github.com/slipway-dev/slipway/platform/kit/localcluster/gateway"
	"github.com/slipway-dev/slipway/platform/kit/trace"
)

const (
	recorderQueue = 4096
	recorderBatch = 256
	longestText   = 1024
)

// Recorder writes the gateway's spans into the store. It takes them without
// waiting: what it cannot keep up with it drops.
type Recorder struct {
	store   *Store
	queue   chan gateway.Span
	stop    chan struct{}
	once    sync.Once
	done    chan struct{}
	dropped atomic.Int64
}

// NewRecorder returns a recorder for the store. Close must be called, before
// the store's.
func NewRecorder(store *Store) *Recorder {
	r := &Recorder{store: store, queue: make(chan gateway.Span, recorderQueue), stop: make(chan struct{}), done: make(chan struct{})}
	go r.run()
	return r
}

// Record takes a span.
func (r *Recorder) Record(s gateway.Span) {
	select {
	case r.queue <- s:
	default:
		r.dropped.Add(1)
	}
}

// Dropped counts the spans that were not kept.
func (r *Recorder) Dropped() int64 { return r.dropped.Load() }

// Close writes what was taken.
func (r *Recorder) Close() {
	r.once.Do(func() { close(r.stop) })
	<-r.done
}

func (r *Recorder) run() {
	defer close(r.done)
	for {
		select {
		case s := <-r.queue:
			r.write(s)
		case <-r.stop:
			for len(r.queue) > 0 {
				r.write(<-r.queue)
			}
			return
		}
	}
}

// write stores a span and those that wait behind it.
func (r *Recorder) write(s gateway.Span) {
	spans := []*tracepb.Span{spanOf(s)}
	for len(r.queue) > 0 && len(spans) < recorderBatch {
		spans = append(spans, spanOf(<-r.queue))
	}
	records, refused, err := split([]*tracepb.ResourceSpans{{
		Resource:   &resourcepb.Resource{Attributes: []*commonpb.KeyValue{text("service.name", trace.GatewayService)}},
		ScopeSpans: []*tracepb.ScopeSpans{{Spans: spans}},
	}})
	if err == nil {
		err = r.store.add(records)
	}
	lost := refused.spans
	if err != nil {
		lost = int64(len(spans))
	}
	if lost > 0 && r.dropped.Add(lost) == lost {
		r.store.cfg.Logger.Warn("the gateway's spans are dropped", "spans", lost, "error", err)
	}
}

// spanOf writes a span with OpenTelemetry's attributes for HTTP servers.
func spanOf(s gateway.Span) *tracepb.Span {
	out := &tracepb.Span{
		TraceId: s.Trace[:], SpanId: s.ID[:], Name: s.Method + " " + short(s.Path), Kind: tracepb.Span_SPAN_KIND_SERVER,
		StartTimeUnixNano: uint64(s.Began.UnixNano()),
		EndTimeUnixNano:   uint64(s.Began.Add(s.Took).UnixNano()),
		Attributes: []*commonpb.KeyValue{
			text("http.request.method", s.Method), text("url.scheme", "http"), text("url.path", short(s.Path)),
			number("http.response.status_code", s.Status), text("gateway.target_group", s.Group),
		},
	}
	if s.Parent != [8]byte{} {
		out.ParentSpanId = s.Parent[:]
	}
	add := func(key, value string) {
		if value != "" {
			out.Attributes = append(out.Attributes, text(key, short(value)))
		}
	}
	host, port := divide(s.Host)
	add("server.address", host)
	if n, err := strconv.Atoi(port); err == nil {
		out.Attributes = append(out.Attributes, number("server.port", n))
	}
	client, _ := divide(s.Client)
	add("client.address", client)
	add("user_agent.original", s.UserAgent)
	version := "1.1"
	if s.HTTP2 {
		version = "2"
	}
	add("network.protocol.version", version)
	add("rpc.response.status_code", s.GRPC)
	add("gateway.target.task", s.Target[strings.LastIndexByte(s.Target, '/')+1:])
	add("gateway.target.address", s.Address)
	if s.Status >= 500 {
		out.Status = &tracepb.Status{Code: tracepb.Status_STATUS_CODE_ERROR}
		if s.Own {
			out.Status.Message = "the gateway answered " + strconv.Itoa(s.Status) + " itself"
		}
	}
	return out
}

// divide splits an address into host and port; the port may be missing.
func divide(address string) (host, port string) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return address, ""
	}
	return host, port
}

// short bounds what a client sent, and makes it text that protobuf takes.
func short(value string) string {
	if len(value) > longestText {
		value = value[:longestText]
	}
	if !utf8.ValidString(value) {
		return strings.ToValidUTF8(value, "\uFFFD")
	}
	return value
}

func text(key, value string) *commonpb.KeyValue {
	return &commonpb.KeyValue{Key: key, Value: &commonpb.AnyValue{Value: &commonpb.AnyValue_StringValue{StringValue: value}}}
}

func number(key string, value int) *commonpb.KeyValue {
	return &commonpb.KeyValue{Key: key, Value: &commonpb.AnyValue{Value: &commonpb.AnyValue_IntValue{IntValue: int64(value)}}}
}
