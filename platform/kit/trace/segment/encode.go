package segment

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"

	"github.com/slipway-dev/slipway/platform/kit/trace"
)

// Encode writes a trace as segments: one for each request or job that a
// service served, and what it did meanwhile as subsegments within.
func Encode(t trace.Trace) []Document {
	e := &encoder{trace: t, children: map[string][]trace.Span{}, written: map[string]bool{}}
	byID := make(map[string]trace.Span, len(t.Spans))
	for _, s := range t.Spans {
		byID[s.ID] = s
	}
	var tops []trace.Span
	for _, s := range t.Spans {
		parent, here := byID[s.Parent]
		if here && parent.Service == s.Service && s.Kind != trace.Server && s.Kind != trace.Consumer {
			e.children[s.Parent] = append(e.children[s.Parent], s)
		} else {
			tops = append(tops, s)
		}
	}
	var out []Document
	for _, s := range tops {
		out = append(out, e.top(s))
	}
	for _, s := range t.Spans { // what stands in a circle
		if !e.written[s.ID] {
			out = append(out, e.top(s))
		}
	}
	return out
}

type encoder struct {
	trace    trace.Trace
	children map[string][]trace.Span
	written  map[string]bool
}

// top writes a segment.
func (e *encoder) top(s trace.Span) Document {
	d := e.document(s)
	d.TraceID, d.ParentID, d.Name, d.Namespace = e.trace.ID.XRay(), s.Parent, s.Service, ""
	if version := text(s.Resource, "service.version"); version != "" {
		d.Service = &Service{Version: version}
	}
	if text(s.Resource, "aws.ecs.task.arn") != "" {
		d.Origin = "AWS::ECS::Fargate"
	}
	for key, value := range s.Resource {
		d.put(attributes, resourcePrefix+key, value)
	}
	return d
}

// document writes what segments and subsegments have in common.
func (e *encoder) document(s trace.Span) Document {
	e.written[s.ID] = true
	d := Document{
		ID: s.ID, Name: s.Name, Start: seconds(s.Start), End: seconds(s.End()),
		HTTP: HTTPOf(s.Attributes), SQL: sqlOf(s.Attributes),
	}
	if s.Kind == trace.Client || s.Kind == trace.Producer {
		d.Namespace = "remote"
	}
	d.judge(s)
	for key, value := range s.Attributes {
		d.put(attributes, key, value)
	}
	d.put(telemetry, "name", s.Name)
	d.put(telemetry, "kind", string(s.Kind))
	d.put(telemetry, "status", string(s.Status))
	for _, l := range s.Links {
		d.Links = append(d.Links, Link{TraceID: l.Trace.XRay(), ID: l.Span})
	}
	for _, c := range e.children[s.ID] {
		if !e.written[c.ID] {
			d.Subsegments = append(d.Subsegments, e.document(c))
		}
	}
	return d
}

// Judge tells in X-Ray's words how a span ended: by a fault of the service, an
// error of its caller, or because the caller asks too often, which is an error,
// too.
func Judge(s trace.Span) (fault, blamed, throttle bool) {
	code := s.Code()
	return s.Failed(), code >= 400 && code < 500, code == http.StatusTooManyRequests
}

// judge says what went wrong, and whose fault it was.
func (d *Document) judge(s trace.Span) {
	d.Fault, d.Error, d.Throttle = Judge(s)
	if s.Message == "" {
		return
	}
	raw, err := json.Marshal(cause{Exceptions: []exception{{Message: s.Message, Type: text(s.Attributes, "exception.type", "error.type")}}})
	if err == nil {
		d.Cause = raw
	}
}

func (d *Document) put(namespace, key string, value any) {
	if d.Metadata == nil {
		d.Metadata = map[string]map[string]any{}
	}
	if d.Metadata[namespace] == nil {
		d.Metadata[namespace] = map[string]any{}
	}
	d.Metadata[namespace][key] = value
}

// text is the first of the attributes that is there, in words.
func text(from map[string]any, keys ...string) string {
	for _, key := range keys {
		if v, ok := from[key]; ok {
			return fmt.Sprint(v)
		}
	}
	return ""
}

// HTTPOf reads the attributes of OpenTelemetry's HTTP conventions, new and old;
// nil when there are none.
func HTTPOf(a map[string]any) *HTTP {
	method := text(a, "http.request.method", "http.method")
	if method == "" {
		return nil
	}
	url := text(a, "url.full", "http.url")
	if url == "" {
		host := text(a, "server.address", "net.host.name")
		if port := text(a, "server.port", "net.host.port"); host != "" && port != "" {
			host = net.JoinHostPort(host, port)
		}
		if host != "" {
			url = text(a, "url.scheme", "http.scheme")
			if url == "" {
				url = "http"
			}
			url += "://" + host
		}
		url += text(a, "url.path", "http.target")
	}
	out := &HTTP{Request: &Request{
		Method: method, URL: url,
		UserAgent: text(a, "user_agent.original", "http.user_agent"), ClientIP: text(a, "client.address", "http.client_ip"),
	}}
	if code := (trace.Span{Attributes: a}).Code(); code != 0 {
		out.Response = &Response{Status: code}
	}
	return out
}

// sqlOf reads the attributes of OpenTelemetry's database conventions.
func sqlOf(a map[string]any) *SQL {
	query := text(a, "db.query.text", "db.statement")
	if query == "" {
		return nil
	}
	return &SQL{Query: query, Database: text(a, "db.system.name", "db.system")}
}
