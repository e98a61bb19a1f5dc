package traces

import (
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/slipway-dev/slipway/platform/kit/trace"
)

// What is taken of one request; AWS's own OTLP endpoint has like bounds
// (CloudWatch user guide, "OTLP endpoints").
const (
	maxRequest      = 8 << 20
	maxRequestSpans = 10_000
	maxSpan         = 200 << 10
)

// rejection counts the spans of a request that cannot be kept, and says why.
type rejection struct {
	spans int64
	why   string
}

func (r *rejection) add(why string) {
	r.spans++
	if r.why == "" {
		r.why = why
	}
}

// split sorts the spans of a request by trace, a record for each trace and
// resource.
func split(request []*tracepb.ResourceSpans) (records []record, refused rejection, err error) {
	taken := 0
	for _, rs := range request {
		groups := map[traceID]*tracepb.ResourceSpans{}
		var order []traceID
		for _, scope := range rs.GetScopeSpans() {
			added := map[traceID]*tracepb.ScopeSpans{}
			for _, s := range scope.GetSpans() {
				if why := objection(s, taken); why != "" {
					refused.add(why)
					continue
				}
				taken++
				id := traceID(s.GetTraceId())
				if groups[id] == nil {
					groups[id] = &tracepb.ResourceSpans{Resource: rs.GetResource(), SchemaUrl: rs.GetSchemaUrl()}
					order = append(order, id)
				}
				if added[id] == nil {
					added[id] = &tracepb.ScopeSpans{Scope: scope.GetScope(), SchemaUrl: scope.GetSchemaUrl()}
					groups[id].ScopeSpans = append(groups[id].ScopeSpans, added[id])
				}
				added[id].Spans = append(added[id].Spans, s)
			}
		}
		for _, id := range order {
			r, err := recordOf(id, groups[id])
			if err != nil {
				return nil, refused, err
			}
			records = append(records, r)
		}
	}
	return records, refused, nil
}

// objection says why a span cannot be kept; "" when it can.
func objection(s *tracepb.Span, taken int) string {
	switch {
	case len(s.GetTraceId()) != 16 || isZero(s.GetTraceId()):
		return "a trace id has 16 bytes that are not all zero"
	case len(s.GetSpanId()) != 8 || isZero(s.GetSpanId()):
		return "a span id has 8 bytes that are not all zero"
	case s.GetStartTimeUnixNano() == 0 || s.GetStartTimeUnixNano() > 1<<62 || s.GetEndTimeUnixNano() > 1<<62:
		return "a span needs a start time"
	case taken >= maxRequestSpans:
		return fmt.Sprintf("a request has at most %d spans", maxRequestSpans)
	case proto.Size(s) > maxSpan:
		return fmt.Sprintf("a span has at most %d bytes", maxSpan)
	default:
		return ""
	}
}

func isZero(id []byte) bool {
	for _, b := range id {
		if b != 0 {
			return false
		}
	}
	return true
}

func recordOf(id traceID, spans *tracepb.ResourceSpans) (record, error) {
	r := record{id: id}
	for _, scope := range spans.GetScopeSpans() {
		for _, s := range scope.GetSpans() {
			start, end := times(s)
			if r.spans == 0 {
				r.start, r.end = start, end
			}
			r.start, r.end = min(r.start, start), max(r.end, end)
			r.spans++
		}
	}
	var err error
	if r.payload, err = proto.Marshal(spans); err != nil {
		return r, fmt.Errorf("encode spans: %w", err)
	}
	return r, nil
}

// times are a span's start and end; it does not end before it starts.
func times(s *tracepb.Span) (start, end int64) {
	start, end = int64(s.GetStartTimeUnixNano()), int64(s.GetEndTimeUnixNano()) //nolint:gosec // objection bounds them
	return start, max(start, end)
}

// idOf and keyOf translate between the forms of a trace id.
func idOf(raw []byte) trace.ID { return trace.ID(hex.EncodeToString(raw)) }

func keyOf(id trace.ID) (key traceID, ok bool) {
	raw, err := hex.DecodeString(string(id))
	if err != nil || len(raw) != len(key) {
		return key, false
	}
	return traceID(raw), true
}

// appendSpans reads spans from their stored form.
func appendSpans(to []trace.Span, from *tracepb.ResourceSpans) []trace.Span {
	resource := attributes(from.GetResource().GetAttributes())
	service, _ := resource["service.name"].(string)
	if service == "" {
		service = "unknown_service" // OpenTelemetry's name for one that does not say
	}
	for _, scope := range from.GetScopeSpans() {
		for _, s := range scope.GetSpans() {
			start, end := times(s)
			out := trace.Span{
				ID: hex.EncodeToString(s.GetSpanId()), Parent: hex.EncodeToString(s.GetParentSpanId()),
				Service: service, Name: s.GetName(), Kind: kindOf(s.GetKind()),
				Start: time.Unix(0, start).UTC(), Duration: time.Duration(end - start),
				Status: trace.OK, Attributes: attributes(s.GetAttributes()), Resource: resource,
			}
			if isZero(s.GetParentSpanId()) {
				out.Parent = ""
			}
			if s.GetStatus().GetCode() == tracepb.Status_STATUS_CODE_ERROR {
				out.Status, out.Message = trace.Error, message(s)
			}
			for _, l := range s.GetLinks() {
				out.Links = append(out.Links, trace.Link{Trace: idOf(l.GetTraceId()), Span: hex.EncodeToString(l.GetSpanId())})
			}
			to = append(to, out)
		}
	}
	return to
}

// message is why a span failed: its status says so, or an exception event.
func message(s *tracepb.Span) string {
	if text := s.GetStatus().GetMessage(); text != "" {
		return text
	}
	for _, e := range s.GetEvents() {
		if e.GetName() != "exception" {
			continue
		}
		if text, ok := attributes(e.GetAttributes())["exception.message"].(string); ok {
			return text
		}
	}
	return ""
}

func kindOf(k tracepb.Span_SpanKind) trace.Kind {
	if k == tracepb.Span_SPAN_KIND_UNSPECIFIED {
		return trace.Internal
	}
	return trace.Kind(strings.ToLower(strings.TrimPrefix(k.String(), "SPAN_KIND_")))
}

func attributes(list []*commonpb.KeyValue) map[string]any {
	out := make(map[string]any, len(list))
	for _, kv := range list {
		out[kv.GetKey()] = valueOf(kv.GetValue(), 0)
	}
	return out
}

// deepest is how deep a value may nest.
const deepest = 8

func valueOf(v *commonpb.AnyValue, depth int) any {
	if depth > deepest {
		return "..."
	}
	switch v := v.GetValue().(type) {
	case *commonpb.AnyValue_StringValue:
		return v.StringValue
	case *commonpb.AnyValue_BoolValue:
		return v.BoolValue
	case *commonpb.AnyValue_IntValue:
		return v.IntValue
	case *commonpb.AnyValue_DoubleValue:
		return v.DoubleValue
	case *commonpb.AnyValue_ArrayValue:
		out := []any{}
		for _, element := range v.ArrayValue.GetValues() {
			out = append(out, valueOf(element, depth+1))
		}
		return out
	case *commonpb.AnyValue_KvlistValue:
		out := map[string]any{}
		for _, kv := range v.KvlistValue.GetValues() {
			out[kv.GetKey()] = valueOf(kv.GetValue(), depth+1)
		}
		return out
	case *commonpb.AnyValue_BytesValue:
		return hex.EncodeToString(v.BytesValue)
	default:
		return ""
	}
}
