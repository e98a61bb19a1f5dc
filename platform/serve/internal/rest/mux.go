package rest

import (
	"io"
	"net/http"
	"strings"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

// The headers that pass from HTTP to gRPC and back; all others stop here.
// X-Forwarded-* and the request's id pass in their own way; see metadataOf.
var (
	requestHeaders = map[string]string{
		"Authorization":   "authorization",
		"Idempotency-Key": "idempotency-key",
		"If-Match":        "if-match",
		"If-None-Match":   "if-none-match",
		"Accept-Language": "accept-language",
		"Traceparent":     "traceparent",
		"Tracestate":      "tracestate",
		"Baggage":         "baggage",
		"X-Amzn-Trace-Id": "x-amzn-trace-id",
	}
	responseHeaders = map[string]string{
		"etag":          "ETag",
		"location":      "Location",
		"cache-control": "Cache-Control",
		"retry-after":   "Retry-After",
	}
)

// NewMux makes the REST side, whose errors have the domain. JSON is proto3 JSON
// with lowerCamelCase names and default values written out; unknown fields and
// unknown query parameters in a request are an error.
func NewMux(domain string) *runtime.ServeMux {
	errors := &failures{domain: domain}
	return runtime.NewServeMux(
		runtime.WithMarshalerOption(runtime.MIMEWildcard, &marshaler{JSONPb: runtime.JSONPb{
			MarshalOptions:   byProtojson,
			UnmarshalOptions: protojson.UnmarshalOptions{DiscardUnknown: false},
		}}),
		runtime.WithMiddlewares(noteRoute),
		runtime.WithIncomingHeaderMatcher(func(string) (string, bool) { return "", false }), // see noteRoute
		runtime.WithOutgoingHeaderMatcher(func(key string) (string, bool) {
			name, ok := responseHeaders[strings.ToLower(key)]
			return name, ok
		}),
		runtime.WithOutgoingTrailerMatcher(func(string) (string, bool) { return "", false }),
		runtime.WithErrorHandler(errors.fromGateway),
		runtime.WithRoutingErrorHandler(errors.fromRouting),
		runtime.WithStreamErrorHandler(errors.fromStream),
		runtime.WithDisablePathLengthFallback(),
		runtime.WithDisableHTTPMethodOverride(),
	)
}

// noteRoute notes the request as the route's generated code sees it, and the
// metadata that its call is to have. The code itself sees only the headers that
// are its own business: of the others it would make the metadata once more.
func noteRoute(next runtime.HandlerFunc) runtime.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request, path map[string]string) {
		x := exchangeOf(r.Context())
		x.metadata = metadataOf(r)
		r.Header, r.Host, r.RemoteAddr = gatewayHeader(r.Header), "", "" // the mux made r for this route
		x.request, x.path = r, path
		next(w, r, path)
	}
}

// marshaler is proto3 JSON whose decoder tells the body where a message ends.
type marshaler struct {
	runtime.JSONPb

	encoder encoder
}

// Marshal writes an answer; a stream's come wrapped and are left to protojson.
func (m *marshaler) Marshal(v any) ([]byte, error) {
	if message, ok := v.(proto.Message); ok && message.ProtoReflect().IsValid() {
		return m.encoder.marshal(message)
	}
	return m.JSONPb.Marshal(v) //nolint:wrapcheck // the gateway words it
}

// NewDecoder reads messages from a request's body.
func (m *marshaler) NewDecoder(r io.Reader) runtime.Decoder {
	decoder := m.JSONPb.NewDecoder(r)
	b, fromUs := r.(*body)
	wrapper, buffered := decoder.(runtime.DecoderWrapper)
	if !fromUs || !buffered {
		return decoder
	}
	return runtime.DecoderFunc(func(v any) error {
		b.ended, b.extra = false, false
		err := decoder.Decode(v)
		b.end(wrapper.Buffered())
		return err //nolint:wrapcheck // the gateway compares it with io.EOF
	})
}
