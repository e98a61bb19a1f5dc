package segment

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/slipway-dev/slipway/platform/kit/trace"
)

var began = time.Date(2026, 11, 22, 10, 0, 0, 123456e3, time.UTC)

// through writes a trace as text and reads it back.
func through(t interface{ Fatal(args ...any) }, in trace.Trace) trace.Trace {
	var documents []Document
	for _, d := range Encode(in) {
		raw, err := json.Marshal(d)
		if err != nil {
			t.Fatal(err)
		}
		back, err := Parse(string(raw))
		if err != nil {
			t.Fatal(err)
		}
		documents = append(documents, back)
	}
	return Decode(in.ID, documents)
}

// What the cluster writes the kit reads as it was, whatever the spans are.
func TestSegmentsReadAsTheyWereWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := trace.Trace{ID: "6921c0a04bf92f3577b34da6a3ce929d"}
		for i := range rapid.IntRange(1, 12).Draw(t, "spans") {
			s := trace.Span{
				ID: fmt.Sprintf("%016x", i+1), Service: rapid.SampledFrom([]string{"gateway", "orders", "catalog"}).Draw(t, "service"),
				Name: rapid.StringN(1, 20, 50).Draw(t, "name"), Status: trace.OK,
				Kind:     rapid.SampledFrom([]trace.Kind{trace.Internal, trace.Server, trace.Client, trace.Producer, trace.Consumer}).Draw(t, "kind"),
				Start:    began.Add(time.Duration(rapid.IntRange(0, 1e6).Draw(t, "after")) * time.Microsecond),
				Duration: time.Duration(rapid.IntRange(0, 1e6).Draw(t, "took")) * time.Microsecond,
				Attributes: map[string]any{
					"text": rapid.String().Draw(t, "text"), "whole": int64(rapid.IntRange(-1e6, 1e6).Draw(t, "whole")),
					"part": 0.25, "yes": true, "list": []any{"a", int64(2)},
				},
				Resource: map[string]any{},
			}
			if i > 0 && rapid.Bool().Draw(t, "child") {
				s.Parent = fmt.Sprintf("%016x", rapid.IntRange(1, i+2).Draw(t, "parent"))
			}
			if rapid.Bool().Draw(t, "http") {
				s.Attributes["http.request.method"], s.Attributes["url.path"] = "GET", "/v1/x"
				s.Attributes["http.response.status_code"] = rapid.SampledFrom([]int64{200, 404, 429, 503}).Draw(t, "code")
			}
			if rapid.Bool().Draw(t, "failed") {
				s.Status, s.Message = trace.Error, "why"
				if code := s.Code(); code < 400 && rapid.Bool().Draw(t, "silent") {
					s.Message = ""
				}
			}
			if rapid.Bool().Draw(t, "linked") {
				s.Links = []trace.Link{{Trace: "6921c0a0000000000000000000000001", Span: "00000000000000ff"}}
			}
			in.Spans = append(in.Spans, s)
		}
		in.Tidy()
		got := through(t, in)
		byID := cmpopts.SortSlices(func(a, b trace.Span) bool { return a.ID < b.ID })
		for i := range in.Spans { // an answer of 5xx is a failure
			if in.Spans[i].Failed() {
				in.Spans[i].Status = trace.Error
			}
		}
		if diff := cmp.Diff(in, got, byID, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("read back (-written +read):\n%s", diff)
		}
	})
}

func TestSegmentsHaveXRaysShape(t *testing.T) {
	in := trace.Trace{ID: "6921c0a04bf92f3577b34da6a3ce929d", Spans: []trace.Span{
		{
			ID: "a1", Service: "orders", Name: "POST /v1/orders", Kind: trace.Server, Start: began, Duration: time.Second, Status: trace.Error, Message: "no stock",
			Attributes: map[string]any{
				"http.request.method": "POST", "url.path": "/v1/orders", "url.scheme": "http", "server.address": "localhost", "server.port": int64(8080),
				"http.response.status_code": int64(503), "user_agent.original": "curl",
			},
			Resource: map[string]any{"service.version": "v1", "aws.ecs.task.arn": "arn:aws:ecs:x"},
		},
		{
			ID: "a2", Parent: "a1", Service: "orders", Name: "SELECT", Kind: trace.Client, Start: began, Duration: time.Millisecond, Status: trace.OK,
			Attributes: map[string]any{"db.query.text": "SELECT 1", "db.system.name": "postgresql"},
			Links:      []trace.Link{{Trace: "6921c0a0000000000000000000000001", Span: "ff"}},
		},
		{ID: "a3", Parent: "a2", Service: "catalog", Name: "Get", Kind: trace.Server, Start: began, Status: trace.OK, Attributes: map[string]any{"http.request.method": "GET", "http.response.status_code": int64(429)}},
	}}
	got := Encode(in)
	if len(got) != 2 || len(got[0].Subsegments) != 1 {
		t.Fatalf("segments %+v", got)
	}
	top, sub, other := got[0], got[0].Subsegments[0], got[1]
	if top.Name != "orders" || top.TraceID != "1-6921c0a0-4bf92f3577b34da6a3ce929d" || !top.Fault || top.Error || top.Service.Version != "v1" ||
		top.Origin != "AWS::ECS::Fargate" || top.HTTP.Request.URL != "http://localhost:8080/v1/orders" || top.HTTP.Response.Status != 503 || string(top.Cause) != `{"exceptions":[{"message":"no stock"}]}` {
		t.Errorf("the segment is %+v", top)
	}
	if sub.Namespace != "remote" || sub.SQL.Query != "SELECT 1" || sub.TraceID != "" || sub.ParentID != "" || len(sub.Links) != 1 || sub.Links[0].TraceID != "1-6921c0a0-000000000000000000000001" {
		t.Errorf("the subsegment is %+v", sub)
	}
	if other.ParentID != "a2" || !other.Error || !other.Throttle || other.Fault {
		t.Errorf("the other service's segment is %+v", other)
	}
}

// Documents as the collector's exporter and AWS's own services write them.
func TestForeignSegments(t *testing.T) {
	documents := make([]Document, 0, 4)
	for _, text := range []string{
		`{"id":"194fcc8747581230","name":"orders","start_time":1767139200.5,"end_time":1767139200.75,"trace_id":"1-6921c0a0-4bf92f3577b34da6a3ce929d",
		  "http":{"request":{"url":"https://shop.example.com/v1/orders?x=1","method":"POST","user_agent":"curl","client_ip":"10.0.0.1"},"response":{"status":409}},
		  "error":true,"aws":{"xray":{"auto_instrumentation":false}},"annotations":{"customer":7},
		  "metadata":{"default":{"otel.resource.service.name":"orders","otel.resource.aws.ecs.task.arn":"arn:aws:ecs:x","enduser.id":"u"},"odd":"text"},
		  "subsegments":[{"id":"53995c3f42cd8ad8","name":"catalog","start_time":1767139200.6,"end_time":1767139200.7,"namespace":"remote",
		    "cause":"abcd","fault":true,"metadata":{"default":{"rpc.service":"slipway.catalog.v1.CatalogService","rpc.method":"GetProduct"}},
		    "subsegments":[{"id":"53995c3f42cd8ad9","name":"marshal","start_time":1767139200.61,"end_time":1767139200.62}]}]}`,
		`{"id":"1111111111111111","name":"catalog","inferred":true,"parent_id":"53995c3f42cd8ad8","start_time":1767139200.6,"end_time":1767139200.7}`,
		`{"id":"2222222222222222","name":"SELECT","type":"subsegment","parent_id":"53995c3f42cd8ad9","start_time":1767139200.6,"in_progress":true,"sql":{"sanitized_query":"SELECT 1"}}`,
	} {
		d, err := Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		documents = append(documents, d)
	}
	got := Decode("6921c0a04bf92f3577b34da6a3ce929d", documents)
	type line struct {
		ID, Parent, Service, Name string
		Kind                      trace.Kind
		Status                    trace.Status
		Took                      time.Duration
	}
	var lines []line
	for _, s := range got.Spans {
		lines = append(lines, line{s.ID, s.Parent, s.Service, s.Name, s.Kind, s.Status, s.Duration})
	}
	want := []line{
		{"194fcc8747581230", "", "orders", "POST /v1/orders", trace.Server, trace.OK, 250 * time.Millisecond},
		{"53995c3f42cd8ad8", "194fcc8747581230", "orders", "slipway.catalog.v1.CatalogService/GetProduct", trace.Client, trace.Error, 100 * time.Millisecond},
		{"2222222222222222", "53995c3f42cd8ad9", "orders", "SELECT", trace.Client, trace.OK, 0},
		{"53995c3f42cd8ad9", "53995c3f42cd8ad8", "orders", "marshal", trace.Internal, trace.OK, 10 * time.Millisecond},
	}
	if diff := cmp.Diff(want, lines); diff != "" {
		t.Errorf("spans (-want +got):\n%s", diff)
	}
	root := got.Spans[0]
	if root.Attributes["customer"] != int64(7) || root.Attributes["enduser.id"] != "u" || root.Code() != 409 || root.Resource["aws.ecs.task.arn"] != "arn:aws:ecs:x" {
		t.Errorf("attributes %v, resource %v", root.Attributes, root.Resource)
	}
	if _, err := Parse("{"); err == nil {
		t.Error("half a document is read")
	}
}
