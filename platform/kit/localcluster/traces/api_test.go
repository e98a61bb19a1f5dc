package traces

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/xray"
	"github.com/aws/smithy-go"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"

	"github.com/slipway-dev/slipway/platform/kit/localcluster/gateway"
	"github.com/slipway-dev/slipway/platform/kit/trace"
	"github.com/slipway-dev/slipway/platform/kit/trace/segment"
)

func client(t *testing.T, s *Store) *xray.Client {
	t.Helper()
	_, server := serve(t, s)
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return xray.New(xray.Options{
		Region: "us-east-1", BaseEndpoint: aws.String(server.URL), HTTPClient: &http.Client{Transport: transport},
		Credentials: credentials.NewStaticCredentialsProvider("local", "local", ""),
	})
}

// fill stores 120 traces, one a second; every tenth failed, every third is
// inventory's.
func fill(t *testing.T, s *Store) {
	t.Helper()
	var list []*tracepb.ResourceSpans
	for n := range uint64(120) {
		service := "orders"
		if n%3 == 0 {
			service = "inventory"
		}
		made := spans(service, numbered(n), 1, 0)
		span := made.GetScopeSpans()[0].GetSpans()[0]
		span.EndTimeUnixNano = span.GetStartTimeUnixNano() + n*1e6
		span.Attributes = append(span.Attributes, text("http.request.method", "GET"), text("url.full", "http://h/v1/x"), number("http.response.status_code", 200))
		if n%10 == 0 {
			span.Status = &tracepb.Status{Code: tracepb.Status_STATUS_CODE_ERROR}
		}
		list = append(list, made)
	}
	put(t, s, list...)
}

func TestGetTraceSummaries(t *testing.T) {
	s := open(t, Config{})
	fill(t, s)
	c := client(t, s)
	all := func(from, to time.Time, filter string) (ids []trace.ID, pages int) {
		t.Helper()
		in := &xray.GetTraceSummariesInput{StartTime: &from, EndTime: &to}
		if filter != "" {
			in.FilterExpression = &filter
		}
		for pages = 1; ; pages++ {
			out, err := c.GetTraceSummaries(t.Context(), in)
			if err != nil {
				t.Fatal(err)
			}
			for _, summary := range out.TraceSummaries {
				id, err := trace.ParseID(aws.ToString(summary.Id))
				if err != nil {
					t.Fatal(err)
				}
				ids = append(ids, id)
			}
			if in.NextToken = out.NextToken; in.NextToken == nil {
				return ids, pages
			}
		}
	}
	end := began.Add(time.Hour)
	ids, pages := all(began, end, "")
	newest := numbered(119)
	if len(ids) != 120 || pages != 2 || ids[0] != idOf(newest[:]) || len(slices.Compact(slices.Sorted(slices.Values(ids)))) != 120 {
		t.Errorf("%d ids on %d pages, the first is %s", len(ids), pages, ids[0])
	}
	if ids, _ := all(began.Add(10*time.Second), began.Add(19*time.Second), ""); len(ids) != 10 {
		t.Errorf("%d traces in ten seconds", len(ids))
	}
	for filter, want := range map[string]int{
		`service("inventory")`:                  40,
		`!service("inventory")`:                 80,
		`fault`:                                 12,
		`fault = true`:                          12,
		`fault = false`:                         108,
		`fault != true`:                         108,
		`ok`:                                    108,
		`error OR throttle OR partial`:          0,
		`fault = true AND service("inventory")`: 4,
		`fault = true OR service("inventory")`:  48,
		`!(fault OR service("inventory"))`:      72,
		`duration >= 0.1`:                       20,
		`responsetime < 0.01`:                   10,
		`http.status = 200`:                     120,
		`http.method = "GET" AND http.url CONTAINS "/v1/"`: 120,
		`http.url BEGINSWITH "https"`:                      0,
		`service("it \"says\"")`:                           0,
	} {
		if ids, _ := all(began, end, filter); len(ids) != want {
			t.Errorf("%s: %d traces, want %d", filter, len(ids), want)
		}
	}
	for _, filter := range []string{`servic("x")`, `service(x)`, `fault =`, `fault = 1`, `duration ~ 3`, `annotation.a = 1`, `(fault`, `fault)`, `fault AND`, `"x"`, `http.url = 3`, strings.Repeat("!", 99) + "ok"} {
		_, err := c.GetTraceSummaries(t.Context(), &xray.GetTraceSummariesInput{StartTime: &began, EndTime: &end, FilterExpression: &filter})
		refused(t, filter, err)
	}
	_, err := c.GetTraceSummaries(t.Context(), &xray.GetTraceSummariesInput{StartTime: &end, EndTime: &began})
	refused(t, "a time frame that ends before it begins", err)
	_, err = c.GetTraceSummaries(t.Context(), &xray.GetTraceSummariesInput{StartTime: &began, EndTime: &end, NextToken: aws.String("x")})
	refused(t, "a made-up token", err)
}

func refused(t *testing.T, what string, err error) {
	t.Helper()
	var api smithy.APIError
	if !errors.As(err, &api) || api.ErrorCode() != "InvalidRequestException" || api.ErrorMessage() == "" {
		t.Errorf("%s: %v, want InvalidRequestException with a message", what, err)
	}
}

func TestBatchGetTraces(t *testing.T) {
	s := open(t, Config{})
	put(t, s, spans("orders", numbered(1), 3, 0))
	c := client(t, s)
	id := numbered(1)
	out, err := c.BatchGetTraces(t.Context(), &xray.BatchGetTracesInput{TraceIds: []string{idOf(id[:]).XRay(), "1-69000000-000000000000000000000009"}})
	if err != nil || len(out.Traces) != 1 || len(out.Traces[0].Segments) != 1 {
		t.Fatalf("%+v, %v", out, err)
	}
	d, err := segment.Parse(aws.ToString(out.Traces[0].Segments[0].Document))
	if err != nil || d.Name != "orders" || len(d.Subsegments) != 1 || len(d.Subsegments[0].Subsegments) != 1 {
		t.Errorf("the segment is %+v, %v", d, err)
	}
	for name, ids := range map[string][]string{"none": {}, "six": make([]string, 6), "no id": {"hello"}, "a part": {"1-6900"}} {
		_, err := c.BatchGetTraces(t.Context(), &xray.BatchGetTracesInput{TraceIds: ids})
		refused(t, name, err)
	}
	_, err = c.GetServiceGraph(t.Context(), &xray.GetServiceGraphInput{StartTime: &began, EndTime: &began})
	var api smithy.APIError
	if !errors.As(err, &api) || api.ErrorCode() != "UnknownOperationException" {
		t.Errorf("an operation that is not served: %v", err)
	}
}

func TestTheGatewaysSpans(t *testing.T) {
	s := open(t, Config{})
	r := NewRecorder(s)
	span := gateway.Span{
		Trace: [16]byte(numbered(1)), ID: [8]byte{7}, Parent: [8]byte{8}, Began: began, Took: time.Second,
		Method: "GET", Path: "/v1/\xff", Host: "localhost:8080", Client: "127.0.0.1:999", Status: 503, Own: true, Group: "catalog-http",
		Target: "arn:aws:ecs:us-east-1:000000000000:task/local/abc", UserAgent: strings.Repeat("x", 5000),
	}
	r.Record(span)
	r.Close()
	r.Close()
	flushed(t, s)
	got := read(t, s, numbered(1)).Spans[0]
	if got.Service != trace.GatewayService || got.Name != "GET /v1/\uFFFD" || got.Kind != trace.Server || got.Status != trace.Error || got.Message == "" ||
		got.ID != "0700000000000000" || got.Parent != "0800000000000000" || got.Duration != time.Second || got.Code() != 503 ||
		got.Attributes["gateway.target.task"] != "abc" || got.Attributes["server.port"] != int64(8080) || got.Attributes["client.address"] != "127.0.0.1" ||
		len(got.Attributes["user_agent.original"].(string)) != longestText {
		t.Errorf("the span is %+v", got)
	}
}

func TestTheGatewayNeverWaits(t *testing.T) {
	s := open(t, Config{MaxQueue: 1000})
	r := NewRecorder(s)
	s.mu.Lock() // nothing can be written
	const sent = 3 * recorderQueue
	for n := range uint64(sent) {
		r.Record(gateway.Span{Trace: [16]byte(numbered(n + 1)), ID: [8]byte{1}, Began: began, Method: "GET", Path: "/"})
	}
	s.mu.Unlock()
	r.Close()
	flushed(t, s)
	kept := len(s.between(0, began.Add(time.Hour*24).UnixNano()))
	if lost := r.Dropped(); lost == 0 || int(lost)+kept != sent {
		t.Errorf("%d kept and %d dropped of %d", kept, lost, sent)
	}
}

func BenchmarkOpen(b *testing.B) {
	dir := b.TempDir()
	s, err := Open(Config{Dir: dir})
	if err != nil {
		b.Fatal(err)
	}
	for n := uint64(0); s.total < 60<<20; n++ {
		records, _, err := split([]*tracepb.ResourceSpans{spans("orders", numbered(n), 10, 100)})
		if err != nil {
			b.Fatal(err)
		}
		for _, r := range records {
			s.write(r)
		}
	}
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if s, err = Open(Config{Dir: dir}); err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(len(s.index)), "traces")
		_ = s.Close()
	}
}
