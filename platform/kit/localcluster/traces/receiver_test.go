package traces

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"
	otelcodes "go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	oteltrace "go.opentelemetry.io/otel/trace"
	collectorpb "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	statuspb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/slipway-dev/slipway/platform/kit/trace"
)

// The exporters that services use must be content with the receiver.
func TestOpenTelemetryExporters(t *testing.T) {
	s := open(t, Config{})
	_, server := serve(t, s)
	address := strings.TrimPrefix(server.URL, "http://")
	exporters := map[string]func() (sdktrace.SpanExporter, error){
		"http": func() (sdktrace.SpanExporter, error) {
			return otlptracehttp.New(t.Context(), otlptracehttp.WithEndpointURL(server.URL+Path))
		},
		"http, compressed": func() (sdktrace.SpanExporter, error) {
			return otlptracehttp.New(t.Context(), otlptracehttp.WithEndpointURL(server.URL+Path), otlptracehttp.WithCompression(otlptracehttp.GzipCompression))
		},
		"grpc": func() (sdktrace.SpanExporter, error) {
			return otlptracegrpc.New(t.Context(), otlptracegrpc.WithEndpoint(address), otlptracegrpc.WithInsecure())
		},
		"grpc, compressed": func() (sdktrace.SpanExporter, error) {
			return otlptracegrpc.New(t.Context(), otlptracegrpc.WithEndpoint(address), otlptracegrpc.WithInsecure(), otlptracegrpc.WithCompressor("gzip"))
		},
	}
	for name, make := range exporters {
		t.Run(name, func(t *testing.T) {
			exporter, err := make()
			if err != nil {
				t.Fatal(err)
			}
			provider := sdktrace.NewTracerProvider(
				sdktrace.WithSyncer(exporter), sdktrace.WithResource(resource.NewSchemaless(attribute.String("service.name", "orders"))),
			)
			ctx, root := provider.Tracer("t").Start(t.Context(), "POST /v1/orders", oteltrace.WithSpanKind(oteltrace.SpanKindServer))
			_, child := provider.Tracer("t").Start(ctx, "INSERT", oteltrace.WithSpanKind(oteltrace.SpanKindClient),
				oteltrace.WithAttributes(attribute.Int("rows", 3), attribute.StringSlice("tables", []string{"a", "b"}), attribute.Bool("ok", false), attribute.Float64("cost", 0.5)))
			child.RecordError(fmt.Errorf("duplicate key"))
			child.SetStatus(otelcodes.Error, "duplicate key")
			child.End()
			root.End()
			if err := provider.Shutdown(context.WithoutCancel(t.Context())); err != nil {
				t.Fatalf("the exporter complains: %v", err)
			}
			flushed(t, s)
			got := read(t, s, traceID(root.SpanContext().TraceID()))
			tree := got.Tree()
			if len(tree) != 1 || len(tree[0].Children) != 1 {
				t.Fatalf("the tree is %+v", tree)
			}
			insert := tree[0].Children[0].Span
			if insert.Service != "orders" || insert.Kind != trace.Client || insert.Status != trace.Error || insert.Message != "duplicate key" ||
				insert.Attributes["rows"] != int64(3) || insert.Attributes["cost"] != 0.5 || insert.Attributes["ok"] != false ||
				fmt.Sprint(insert.Attributes["tables"]) != "[a b]" {
				t.Errorf("the span is %+v", insert)
			}
		})
	}
}

// The example of the OTLP specification's JSON, shortened: ids are hexadecimal,
// enums numbers, 64-bit integers strings, unknown members are passed over.
const jsonSpans = `{"resourceSpans":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"my.service"}}]},
 "scopeSpans":[{"scope":{"name":"my.library","unknown":1},"spans":[{"traceId":"5B8EFFF798038103D269B633813FC60C","spanId":"EEE19B7EC3C1B174",
 "parentSpanId":"EEE19B7EC3C1B173","name":"I'm a server span","startTimeUnixNano":"1544712660000000000","endTimeUnixNano":"1544712661000000000",
 "kind":2,"links":[{"traceId":"5b8efff798038103d269b633813fc60d","spanId":"eee19b7ec3c1b175"}],
 "attributes":[{"key":"n","value":{"intValue":"7"}}],"status":{}}]}]}]}`

func post(t *testing.T, url, contentType, encoding string, body []byte) (*http.Response, []byte) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", contentType)
	req.Header.Set("Content-Encoding", encoding)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, raw
}

func TestJSON(t *testing.T) {
	s := open(t, Config{})
	_, server := serve(t, s)
	resp, raw := post(t, server.URL+Path, "application/json; charset=utf-8", "", []byte(jsonSpans))
	if resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") != "application/json" || string(raw) != "{}" {
		t.Fatalf("%s %s %s", resp.Status, resp.Header.Get("Content-Type"), raw)
	}
	flushed(t, s)
	got, found, err := s.Trace("5b8efff798038103d269b633813fc60c")
	if err != nil || !found {
		t.Fatalf("found %v, %v", found, err)
	}
	span := got.Spans[0]
	link := trace.Link{Trace: "5b8efff798038103d269b633813fc60d", Span: "eee19b7ec3c1b175"}
	if span.ID != "eee19b7ec3c1b174" || span.Parent != "eee19b7ec3c1b173" || span.Kind != trace.Server || span.Duration != time.Second ||
		span.Attributes["n"] != int64(7) || len(span.Links) != 1 || span.Links[0] != link {
		t.Errorf("the span is %+v", span)
	}
	bad := strings.Replace(jsonSpans, "5B8EFFF798038103D269B633813FC60C", "5B8E", 1)
	resp, raw = post(t, server.URL+Path, "application/json", "", []byte(bad))
	var answer struct {
		PartialSuccess struct {
			RejectedSpans, ErrorMessage string
		}
	}
	if err := json.Unmarshal(raw, &answer); err != nil || resp.StatusCode != http.StatusOK ||
		answer.PartialSuccess.RejectedSpans != "1" || !strings.Contains(answer.PartialSuccess.ErrorMessage, "trace id") {
		t.Errorf("a short trace id: %s %s", resp.Status, raw)
	}
}

func TestSpansThatCannotBeKeptAreCounted(t *testing.T) {
	s := open(t, Config{})
	_, server := serve(t, s)
	request := &collectorpb.ExportTraceServiceRequest{ResourceSpans: []*tracepb.ResourceSpans{spans("orders", numbered(1), 6, 0)}}
	list := request.GetResourceSpans()[0].GetScopeSpans()[0].GetSpans()
	list[1].SpanId = nil
	list[2].TraceId = make([]byte, 16)
	list[3].StartTimeUnixNano = 0
	list[4].Name = strings.Repeat("x", maxSpan)
	raw, err := proto.Marshal(request)
	if err != nil {
		t.Fatal(err)
	}
	resp, raw := post(t, server.URL+Path, typeProtobuf, "", raw)
	var answer collectorpb.ExportTraceServiceResponse
	if err := proto.Unmarshal(raw, &answer); err != nil || resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") != typeProtobuf {
		t.Fatalf("%s: %v", resp.Status, err)
	}
	if answer.GetPartialSuccess().GetRejectedSpans() != 4 || answer.GetPartialSuccess().GetErrorMessage() == "" {
		t.Errorf("the answer is %v", &answer)
	}
	flushed(t, s)
	if got := read(t, s, numbered(1)); len(got.Spans) != 2 {
		t.Errorf("%d spans are kept", len(got.Spans))
	}
}

func TestRequestsThatAreRefused(t *testing.T) {
	_, server := serve(t, open(t, Config{}))
	packed := func(n int) []byte {
		var b bytes.Buffer
		w := gzip.NewWriter(&b)
		_, _ = w.Write(make([]byte, n))
		_ = w.Close()
		return b.Bytes()
	}
	for name, tc := range map[string]struct {
		kind, encoding string
		body           []byte
		want           int
	}{
		"another content type":    {"text/plain", "", nil, 415},
		"no content type":         {"", "", nil, 415},
		"another encoding":        {typeProtobuf, "zstd", nil, 415},
		"not gzip":                {typeProtobuf, "gzip", []byte("plain"), 400},
		"not protobuf":            {typeProtobuf, "", []byte("hello"), 400},
		"not JSON":                {typeJSON, "", []byte("{"), 400},
		"JSON of another kind":    {typeJSON, "", []byte(`{"resourceSpans":7}`), 400},
		"JSON that nests deep":    {typeJSON, "", []byte(strings.Repeat(`{"resourceSpans":[`, 20000)), 400},
		"too large":               {typeProtobuf, "", make([]byte, maxRequest+1), 413},
		"too large when unpacked": {typeProtobuf, "gzip", packed(maxRequest + 1), 413},
	} {
		t.Run(name, func(t *testing.T) {
			resp, raw := post(t, server.URL+Path, tc.kind, tc.encoding, tc.body)
			if resp.StatusCode != tc.want {
				t.Fatalf("%s, want %d", resp.Status, tc.want)
			}
			if tc.want == 415 && tc.encoding == "" {
				return
			}
			var answer statuspb.Status
			if tc.kind == typeProtobuf {
				if err := proto.Unmarshal(raw, &answer); err != nil || answer.GetMessage() == "" || resp.Header.Get("Content-Type") != typeProtobuf {
					t.Errorf("the answer is no Status: %v, %q", err, raw)
				}
			} else if !bytes.Contains(raw, []byte(`"message"`)) {
				t.Errorf("the answer is no Status: %q", raw)
			}
			if resp.Header.Get("Retry-After") != "" {
				t.Error("it may be sent again, which would not help")
			}
		})
	}
	resp, err := http.Get(server.URL + Path)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("GET: %s", resp.Status)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL+Path, strings.NewReader(jsonSpans))
	if err != nil {
		t.Fatal(err)
	}
	req.Host = "evil.example"
	req.Header.Set("Content-Type", typeJSON)
	if resp, err = http.DefaultClient.Do(req); err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusForbidden {
		t.Errorf("a request under another host name: %s", resp.Status)
	}
}

// A sender is told to come again, and is never kept waiting, whether the
// receiver or the disk is behind.
func TestOverload(t *testing.T) {
	s := open(t, Config{MaxQueue: 1000})
	r, server := serve(t, s)
	conn, err := grpc.NewClient(strings.TrimPrefix(server.URL, "http://"), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	client := collectorpb.NewTraceServiceClient(conn)
	request := &collectorpb.ExportTraceServiceRequest{ResourceSpans: []*tracepb.ResourceSpans{spans("orders", numbered(1), 1, 900)}}
	raw, err := proto.Marshal(request)
	if err != nil {
		t.Fatal(err)
	}
	turnedAway := func(t *testing.T) {
		t.Helper()
		resp, body := post(t, server.URL+Path, typeProtobuf, "", raw)
		var answer statuspb.Status
		if err := proto.Unmarshal(body, &answer); err != nil || resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") != "1" || answer.GetMessage() == "" {
			t.Errorf("over HTTP: %s, Retry-After %q, %v %v", resp.Status, resp.Header.Get("Retry-After"), &answer, err)
		}
		_, err := client.Export(t.Context(), request)
		refused := status.Convert(err)
		if refused.Code() != codes.Unavailable || len(refused.Details()) != 1 {
			t.Fatalf("over gRPC: %v", err)
		}
		if info, ok := refused.Details()[0].(*errdetails.RetryInfo); !ok || info.GetRetryDelay().AsDuration() != time.Second {
			t.Errorf("over gRPC: %v", refused.Details())
		}
	}
	t.Run("the disk is behind", func(t *testing.T) {
		s.mu.Lock()
		defer s.mu.Unlock()
		if resp, _ := post(t, server.URL+Path, typeProtobuf, "", raw); resp.StatusCode != http.StatusOK {
			t.Fatalf("the first request: %s", resp.Status)
		}
		turnedAway(t)
	})
	flushed(t, s)
	t.Run("the receiver is busy", func(t *testing.T) {
		for range atOnce {
			r.enter()
		}
		turnedAway(t)
		for range atOnce {
			r.leave()
		}
	})
	if _, err := client.Export(t.Context(), request); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

func FuzzRequest(f *testing.F) {
	raw, err := proto.Marshal(&collectorpb.ExportTraceServiceRequest{ResourceSpans: []*tracepb.ResourceSpans{spans("orders", numbered(1), 2, 3)}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw, false)
	f.Add([]byte(jsonSpans), true)
	f.Fuzz(func(t *testing.T, raw []byte, asJSON bool) {
		kind := typeProtobuf
		if asJSON {
			kind = typeJSON
		}
		var request collectorpb.ExportTraceServiceRequest
		if decode(kind, raw, &request) != nil {
			return
		}
		records, _, err := split(request.GetResourceSpans())
		if err != nil {
			return
		}
		for _, r := range records {
			if back, ok := first(r.appendTo(nil)); !ok || back.id != r.id || back.spans != r.spans {
				t.Errorf("record %+v reads as %+v", r, back)
			}
			var spans tracepb.ResourceSpans
			if err := proto.Unmarshal(r.payload, &spans); err != nil || len(appendSpans(nil, &spans)) != int(r.spans) {
				t.Errorf("payload: %v", err)
			}
		}
	})
}
