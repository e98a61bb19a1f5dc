// Package trace is the deploy kit's model of a distributed trace: its spans,
// the tree they make, and how a terminal shows it. It knows neither how spans
// are sent nor where they are kept.
package trace

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Kind says which side of a call a span is, in OpenTelemetry's words and lower
// case.
type Kind string

// The kinds of spans.
const (
	Internal Kind = "internal"
	Server   Kind = "server"
	Client   Kind = "client"
	Producer Kind = "producer"
	Consumer Kind = "consumer"
)

// Status is how a span, or a whole trace, ended.
type Status string

// The statuses. An answer that blames the caller (HTTP 4xx) is OK, as it is for
// the span of an OpenTelemetry server.
const (
	OK    Status = "ok"
	Error Status = "error"
)

// GatewayService is the service name of the load balancer's own spans. A span
// without a parent belongs below the one of its trace: a load balancer tells
// its targets the trace, but no span.
const GatewayService = "gateway"

// Span is one piece of work of one service.
type Span struct {
	ID       string // 16 hexadecimal digits
	Parent   string // span id; empty for a root
	Service  string
	Name     string
	Kind     Kind
	Start    time.Time
	Duration time.Duration
	Status   Status
	Message  string // why it failed, where the span says so
	// Attributes are strings, booleans, int64, float64, and slices of these.
	Attributes map[string]any
	Links      []Link
	// Resource describes the process that made the span.
	Resource map[string]any
}

// End is when the span ended.
func (s Span) End() time.Time { return s.Start.Add(s.Duration) }

// Link points to a span that this one follows from without being its child.
type Link struct {
	Trace ID     `json:"trace"`
	Span  string `json:"span"`
}

// Trace is what is known of one trace.
type Trace struct { //nolint:recvcheck // Tidy changes it, all else takes a value
	ID    ID
	Spans []Span
	// Partial says that some spans were not kept.
	Partial bool
}

// Tidy puts the spans in order of their start and drops repeated ones.
func (t *Trace) Tidy() {
	slices.SortStableFunc(t.Spans, func(a, b Span) int {
		return cmp.Or(a.Start.Compare(b.Start), b.End().Compare(a.End()), strings.Compare(a.ID, b.ID))
	})
	seen := map[string]bool{}
	t.Spans = slices.DeleteFunc(t.Spans, func(s Span) bool {
		again := seen[s.ID]
		seen[s.ID] = true
		return again
	})
	for i := range t.Spans {
		t.Spans[i].Duration = max(0, t.Spans[i].Duration)
	}
}

// Bounds are the start of the first span and the end of the last.
func (t Trace) Bounds() (start, end time.Time) {
	for i, s := range t.Spans {
		if i == 0 || s.Start.Before(start) {
			start = s.Start
		}
		if i == 0 || s.End().After(end) {
			end = s.End()
		}
	}
	return start, end
}

// Duration is the time from the first start to the last end.
func (t Trace) Duration() time.Duration {
	start, end := t.Bounds()
	return max(0, end.Sub(start))
}

// Services are the names of the services that took part, in alphabetical order.
func (t Trace) Services() []string {
	names := map[string]bool{}
	for _, s := range t.Spans {
		names[s.Service] = true
	}
	return slices.Sorted(maps.Keys(names))
}

// Failed reports whether the span is the service's fault: it failed, and no
// answer blames the caller.
func (s Span) Failed() bool {
	code := s.Code()
	return code >= 500 || s.Status == Error && code < 400
}

// Status is Error when any span failed.
func (t Trace) Status() Status {
	if slices.ContainsFunc(t.Spans, Span.Failed) {
		return Error
	}
	return OK
}

// Root is the span that the trace is named after; the zero Span when there is none.
func (t Trace) Root() Span {
	if roots := t.Tree(); len(roots) > 0 {
		return roots[0].Span
	}
	return Span{}
}

// Code is the HTTP status the span ended with, or 0.
func (s Span) Code() int {
	for _, key := range []string{"http.response.status_code", "http.status_code"} {
		switch v := s.Attributes[key].(type) {
		case int64:
			return int(v)
		case float64:
			return int(v)
		case string:
			n, err := strconv.Atoi(v)
			if err == nil {
				return n
			}
		}
	}
	return 0
}

// MarshalJSON writes the form that programs read; docs/cli.md describes it.
func (t Trace) MarshalJSON() ([]byte, error) {
	type span struct {
		ID         string         `json:"id"`
		Parent     string         `json:"parent"`
		Service    string         `json:"service"`
		Name       string         `json:"name"`
		Kind       Kind           `json:"kind"`
		Start      time.Time      `json:"start"`
		DurationMS float64        `json:"duration_ms"`
		Status     Status         `json:"status"`
		Message    string         `json:"message,omitempty"`
		Attributes map[string]any `json:"attributes"`
		Links      []Link         `json:"links"`
	}
	start, _ := t.Bounds()
	form := struct {
		ID         ID        `json:"id"`
		XRayID     string    `json:"xray_id"`
		Start      time.Time `json:"start"`
		DurationMS float64   `json:"duration_ms"`
		Name       string    `json:"name"`
		Status     Status    `json:"status"`
		Partial    bool      `json:"partial,omitempty"`
		Services   []string  `json:"services"`
		Spans      []span    `json:"spans"`
	}{t.ID, t.ID.XRay(), start.UTC(), milliseconds(t.Duration()), t.Root().Name, t.Status(), t.Partial, t.Services(), []span{}}
	for _, s := range t.Spans {
		attributes, links := s.Attributes, s.Links
		if attributes == nil {
			attributes = map[string]any{}
		}
		if links == nil {
			links = []Link{}
		}
		form.Spans = append(form.Spans, span{
			s.ID, s.Parent, s.Service, s.Name, s.Kind, s.Start.UTC(), milliseconds(s.Duration), s.Status, s.Message, attributes, links,
		})
	}
	raw, err := json.Marshal(form)
	if err != nil {
		return nil, fmt.Errorf("encode trace %s: %w", t.ID, err)
	}
	return raw, nil
}

func milliseconds(d time.Duration) float64 {
	return float64(d.Microseconds()) / 1000
}
