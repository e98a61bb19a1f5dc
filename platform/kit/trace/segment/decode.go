package segment

import (
	"bytes"
	"encoding/json"
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/slipway-dev/slipway/platform/kit/trace"
)

// subsegment is the type of one that stands by itself.
const subsegment = "subsegment"

// Decode makes a trace of segments. Those that X-Ray inferred are left out:
// nobody reported them.
func Decode(id trace.ID, documents []Document) trace.Trace {
	t := trace.Trace{ID: id}
	for _, d := range documents {
		if !d.Inferred && d.Type != subsegment {
			t.Spans = appendSpans(t.Spans, d, nil)
		}
	}
	for _, d := range documents { // sent apart from the segments that they belong to
		if d.Type == subsegment {
			var above *trace.Span
			if i := slices.IndexFunc(t.Spans, func(s trace.Span) bool { return s.ID == d.ParentID }); i >= 0 {
				above = new(t.Spans[i])
			}
			t.Spans = appendSpans(t.Spans, d, above)
		}
	}
	t.Tidy()
	return t
}

// appendSpans adds a document and its subsegments; above is the segment or
// subsegment that holds it.
func appendSpans(to []trace.Span, d Document, above *trace.Span) []trace.Span {
	s := trace.Span{
		ID: d.ID, Parent: d.ParentID, Service: d.Name, Name: d.name(), Kind: d.kind(above),
		Start: moment(d.Start), Status: trace.OK, Message: d.message(), Attributes: d.attributes(),
		Resource: map[string]any{},
	}
	if d.End > 0 && !d.InProgress {
		s.Duration = max(0, moment(d.End).Sub(s.Start))
	}
	switch {
	case above != nil:
		s.Service, s.Resource = above.Service, above.Resource
		if s.Parent == "" {
			s.Parent = above.ID
		}
	default:
		for key, value := range s.Attributes {
			if name, ok := strings.CutPrefix(key, resourcePrefix); ok {
				s.Resource[name] = value
				delete(s.Attributes, key)
			}
		}
		if name := text(s.Resource, "service.name"); name != "" {
			s.Service = name
		}
	}
	if d.Fault || d.told("status") == string(trace.Error) {
		s.Status = trace.Error
	}
	for _, l := range d.Links {
		s.Links = append(s.Links, trace.Link{Trace: idFrom(l.TraceID), Span: l.ID})
	}
	to = append(to, s)
	for _, sub := range d.Subsegments {
		to = appendSpans(to, sub, &s)
	}
	return to
}

// told is what the metadata say of the span itself.
func (d Document) told(key string) string { return text(d.Metadata[telemetry], key) }

// name is the span's own name, or what comes near it: a segment bears its
// service's name.
func (d Document) name() string {
	if name := d.told("name"); name != "" {
		return name
	}
	if d.HTTP == nil || d.HTTP.Request == nil || d.HTTP.Request.Method == "" {
		if method := text(d.Metadata[attributes], "rpc.method"); method != "" {
			return strings.TrimPrefix(text(d.Metadata[attributes], "rpc.service")+"/"+method, "/")
		}
		return d.Name
	}
	path := d.HTTP.Request.URL
	if u, err := url.Parse(path); err == nil && u.Path != "" {
		path = u.Path
	}
	return d.HTTP.Request.Method + " " + path
}

func (d Document) kind(above *trace.Span) trace.Kind {
	if kind := d.told("kind"); kind != "" {
		return trace.Kind(kind)
	}
	switch {
	case d.Namespace != "" || d.SQL != nil:
		return trace.Client
	case above == nil && d.Type != subsegment:
		return trace.Server
	default:
		return trace.Internal
	}
}

func (d Document) message() string {
	var c cause
	if len(d.Cause) == 0 || json.Unmarshal(d.Cause, &c) != nil {
		return ""
	}
	for _, e := range c.Exceptions {
		if e.Message != "" {
			return e.Message
		}
	}
	return ""
}

// attributes are those the exporter kept, the indexed ones, and what X-Ray has
// members of its own for.
func (d Document) attributes() map[string]any {
	out := map[string]any{}
	if d.HTTP != nil && d.HTTP.Request != nil {
		set(out, "http.request.method", d.HTTP.Request.Method)
		set(out, "url.full", d.HTTP.Request.URL)
		set(out, "user_agent.original", d.HTTP.Request.UserAgent)
		set(out, "client.address", d.HTTP.Request.ClientIP)
	}
	if d.HTTP != nil && d.HTTP.Response != nil && d.HTTP.Response.Status != 0 {
		out["http.response.status_code"] = int64(d.HTTP.Response.Status)
	}
	if d.SQL != nil {
		set(out, "db.query.text", d.SQL.Query)
		set(out, "db.system.name", d.SQL.Database)
	}
	if d.Metadata[telemetry] != nil {
		clear(out) // the attributes are all in the metadata
	}
	maps.Copy(out, d.Annotations)
	maps.Copy(out, d.Metadata[attributes])
	return out
}

func set(to map[string]any, key, value string) {
	if value != "" {
		to[key] = value
	}
}

// UnmarshalJSON keeps whole numbers apart from others, and passes over
// metadata that are no objects.
func (d *Document) UnmarshalJSON(raw []byte) error {
	type plain Document
	form := struct {
		*plain

		Metadata    map[string]json.RawMessage `json:"metadata"`
		Annotations map[string]json.RawMessage `json:"annotations"`
	}{plain: (*plain)(d)}
	if err := json.Unmarshal(raw, &form); err != nil {
		return err //nolint:wrapcheck // Parse says what was read
	}
	for namespace, text := range form.Metadata {
		var values map[string]json.RawMessage
		if json.Unmarshal(text, &values) != nil {
			continue
		}
		for key, value := range values {
			d.put(namespace, key, number(value))
		}
	}
	for key, value := range form.Annotations {
		if d.Annotations == nil {
			d.Annotations = map[string]any{}
		}
		d.Annotations[key] = number(value)
	}
	return nil
}

// number decodes a value, whole numbers as int64.
func number(raw json.RawMessage) any {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	var v any
	if dec.Decode(&v) != nil {
		return string(raw)
	}
	return plainNumbers(v)
}

func plainNumbers(v any) any {
	switch v := v.(type) {
	case json.Number:
		if n, err := v.Int64(); err == nil {
			return n
		}
		f, err := v.Float64()
		if err != nil {
			return v.String()
		}
		return f
	case []any:
		for i := range v {
			v[i] = plainNumbers(v[i])
		}
	}
	return v
}
