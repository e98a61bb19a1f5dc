package traces

import (
	"compress/gzip"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/jonboulle/clockwork"
	collectorpb "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	statuspb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/slipway-dev/slipway/platform/kit/localcluster/wire"
)

// Path is where exporters send spans over HTTP (OTLP specification, "OTLP/HTTP
// Request").
const Path = "/v1/traces"

const (
	typeProtobuf = "application/x-protobuf"
	typeJSON     = "application/json"
	typeGRPC     = "application/grpc"

	// atOnce bounds the requests in work, and so the memory they take.
	atOnce = 8
	// readLimit is how long a sender may take for its request.
	readLimit = 10 * time.Second
	// comeAgain is when a sender that was turned away may try again, in seconds.
	comeAgain = 1
)

// Receiver takes spans by OTLP: over HTTP as protobuf or JSON, and over gRPC.
type Receiver struct {
	store *Store
	clock clockwork.Clock
	slots chan struct{}
	grpc  *grpc.Server
}

// NewReceiver returns a receiver for the store. Close must be called.
func NewReceiver(store *Store, clock clockwork.Clock) *Receiver {
	r := &Receiver{store: store, clock: clock, slots: make(chan struct{}, atOnce)}
	r.grpc = grpc.NewServer(grpc.MaxRecvMsgSize(maxRequest))
	collectorpb.RegisterTraceServiceServer(r.grpc, exporter{receiver: r})
	return r
}

// Close ends what is under way over gRPC.
func (r *Receiver) Close() { r.grpc.Stop() }

// Takes reports whether a request is one for the receiver.
func (*Receiver) Takes(req *http.Request) bool {
	return req.URL.Path == Path || strings.HasPrefix(req.URL.Path, grpcPrefix)
}

// ServeHTTP answers one request.
func (r *Receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	if !wire.Loopback(req.Host) {
		http.Error(w, "this is for programs on this machine", http.StatusForbidden)
		return
	}
	if strings.HasPrefix(req.URL.Path, grpcPrefix) {
		r.serveGRPC(w, req)
		return
	}
	if req.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		http.Error(w, "spans are sent with POST", http.StatusMethodNotAllowed)
		return
	}
	kind, _, err := mime.ParseMediaType(req.Header.Get("Content-Type"))
	if err != nil || kind != typeProtobuf && kind != typeJSON {
		http.Error(w, "the content type is "+typeProtobuf+" or "+typeJSON, http.StatusUnsupportedMediaType)
		return
	}
	reply := &reply{w: w, kind: kind}
	if !r.enter() {
		reply.refuse(http.StatusServiceUnavailable, codes.Unavailable, ErrBusy.Error())
		return
	}
	defer r.leave()
	raw, code, err := r.body(w, req)
	if err != nil {
		reply.refuse(code, codes.InvalidArgument, err.Error())
		return
	}
	var request collectorpb.ExportTraceServiceRequest
	if err := decode(kind, raw, &request); err != nil {
		reply.refuse(http.StatusBadRequest, codes.InvalidArgument, err.Error())
		return
	}
	answer, err := r.accept(&request)
	switch {
	case errors.Is(err, ErrBusy), errors.Is(err, ErrClosed):
		reply.refuse(http.StatusServiceUnavailable, codes.Unavailable, err.Error())
	case err != nil:
		reply.refuse(http.StatusBadRequest, codes.InvalidArgument, err.Error())
	default:
		reply.send(http.StatusOK, answer)
	}
}

// enter takes a slot, if one is free.
func (r *Receiver) enter() bool {
	select {
	case r.slots <- struct{}{}:
		return true
	default:
		return false
	}
}

func (r *Receiver) leave() { <-r.slots }

// body reads the request within its bounds of size and time.
func (r *Receiver) body(w http.ResponseWriter, req *http.Request) (raw []byte, code int, err error) {
	deadline := http.NewResponseController(w)
	if err := deadline.SetReadDeadline(r.clock.Now().Add(readLimit)); err == nil {
		defer func() { _ = deadline.SetReadDeadline(time.Time{}) }() // it could be set, so it can be unset
	}
	var in io.Reader = http.MaxBytesReader(w, req.Body, maxRequest)
	switch encoding := strings.ToLower(req.Header.Get("Content-Encoding")); encoding {
	case "", "identity":
	case "gzip":
		unzipped, err := gzip.NewReader(in)
		if err != nil {
			return nil, http.StatusBadRequest, errors.New("the body is not gzip")
		}
		in = unzipped
	default:
		return nil, http.StatusUnsupportedMediaType, fmt.Errorf("content encoding %q is neither gzip nor identity", encoding)
	}
	raw, err = io.ReadAll(io.LimitReader(in, maxRequest+1))
	_, tooLarge := errors.AsType[*http.MaxBytesError](err)
	switch {
	case tooLarge || len(raw) > maxRequest:
		return nil, http.StatusRequestEntityTooLarge, fmt.Errorf("a request has at most %d bytes, unpacked", maxRequest)
	case err != nil:
		return nil, http.StatusBadRequest, fmt.Errorf("read body: %w", err)
	}
	return raw, 0, nil
}

func decode(kind string, raw []byte, into *collectorpb.ExportTraceServiceRequest) error {
	if kind == typeProtobuf {
		if err := proto.Unmarshal(raw, into); err != nil {
			return fmt.Errorf("read spans: %w", err)
		}
		return nil
	}
	if err := (protojson.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(raw, into); err != nil {
		return fmt.Errorf("read spans: %w", err)
	}
	for _, resource := range into.GetResourceSpans() {
		for _, scope := range resource.GetScopeSpans() {
			for _, s := range scope.GetSpans() {
				s.TraceId, s.SpanId, s.ParentSpanId = fromHex(s.GetTraceId()), fromHex(s.GetSpanId()), fromHex(s.GetParentSpanId())
				for _, l := range s.GetLinks() {
					l.TraceId, l.SpanId = fromHex(l.GetTraceId()), fromHex(l.GetSpanId())
				}
			}
		}
	}
	return nil
}

// fromHex mends an id of OTLP's JSON, which writes ids in hexadecimal digits
// where protobuf's JSON has base64: encoding what was decoded gives the digits
// back. What is not such an id becomes none, and its span is refused.
func fromHex(id []byte) []byte {
	if len(id) == 0 {
		return nil
	}
	raw, err := hex.DecodeString(base64.StdEncoding.EncodeToString(id))
	if err != nil {
		return nil
	}
	return raw
}

// accept queues the spans of a request, and says which it refused.
func (r *Receiver) accept(request *collectorpb.ExportTraceServiceRequest) (*collectorpb.ExportTraceServiceResponse, error) {
	records, refused, err := split(request.GetResourceSpans())
	if err != nil {
		return nil, err
	}
	if err := r.store.add(records); err != nil {
		return nil, err
	}
	answer := &collectorpb.ExportTraceServiceResponse{}
	if refused.spans > 0 {
		answer.PartialSuccess = &collectorpb.ExportTracePartialSuccess{RejectedSpans: refused.spans, ErrorMessage: refused.why}
	}
	return answer, nil
}

// reply answers in the encoding of the request.
type reply struct {
	w    http.ResponseWriter
	kind string
}

func (a *reply) refuse(code int, kind codes.Code, why string) {
	if code == http.StatusServiceUnavailable {
		a.w.Header().Set("Retry-After", strconv.Itoa(comeAgain))
	}
	a.send(code, &statuspb.Status{Code: int32(kind), Message: why}) //nolint:gosec // a small constant
}

func (a *reply) send(code int, m proto.Message) {
	var raw []byte
	var err error
	if a.kind == typeJSON {
		raw, err = protojson.Marshal(m)
	} else {
		raw, err = proto.Marshal(m)
	}
	if err != nil {
		http.Error(a.w, err.Error(), http.StatusInternalServerError)
		return
	}
	a.w.Header().Set("Content-Type", a.kind)
	a.w.WriteHeader(code)
	_, _ = a.w.Write(raw) // the sender is gone: nobody to tell
}
