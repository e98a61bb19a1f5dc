// Package segment translates between traces and X-Ray's segment documents
// (X-Ray developer guide, "Segment documents"). The embedded cluster writes
// them, the kit reads them, and those that a collector wrote, too.
//
// What X-Ray has no member for (a span's own name, its kind) stands in the
// metadata, in the namespace "otel"; attributes stand in "default", where the
// collector's exporter for X-Ray puts them.
package segment

import (
	"encoding/json"
	"fmt"
	"math"
	"time"

	"github.com/slipway-dev/slipway/platform/kit/trace"
)

// Document is a segment, or a subsegment within one.
type Document struct { //nolint:recvcheck // it is read into, else a value
	ID          string                    `json:"id"`
	TraceID     string                    `json:"trace_id,omitempty"`
	ParentID    string                    `json:"parent_id,omitempty"`
	Name        string                    `json:"name"`
	Start       float64                   `json:"start_time"` // seconds since 1970
	End         float64                   `json:"end_time,omitempty"`
	InProgress  bool                      `json:"in_progress,omitempty"`
	Inferred    bool                      `json:"inferred,omitempty"`
	Type        string                    `json:"type,omitempty"`
	Namespace   string                    `json:"namespace,omitempty"`
	Origin      string                    `json:"origin,omitempty"`
	Service     *Service                  `json:"service,omitempty"`
	HTTP        *HTTP                     `json:"http,omitempty"`
	SQL         *SQL                      `json:"sql,omitempty"`
	Fault       bool                      `json:"fault,omitempty"`
	Error       bool                      `json:"error,omitempty"`
	Throttle    bool                      `json:"throttle,omitempty"`
	Cause       json.RawMessage           `json:"cause,omitempty"` // an object, or the id of an exception
	Annotations map[string]any            `json:"annotations,omitempty"`
	Metadata    map[string]map[string]any `json:"metadata,omitempty"`
	Links       []Link                    `json:"links,omitempty"`
	Subsegments []Document                `json:"subsegments,omitempty"`
}

// Service describes the service that made a segment.
type Service struct {
	Version string `json:"version,omitempty"`
}

// HTTP is the request that a segment answers, or that a subsegment makes.
type HTTP struct {
	Request  *Request  `json:"request,omitempty"`
	Response *Response `json:"response,omitempty"`
}

// Request is the request of an HTTP block.
type Request struct {
	Method    string `json:"method,omitempty"`
	URL       string `json:"url,omitempty"`
	UserAgent string `json:"user_agent,omitempty"`
	ClientIP  string `json:"client_ip,omitempty"`
}

// Response is the response of an HTTP block.
type Response struct {
	Status int `json:"status,omitempty"`
}

// SQL is a query that a subsegment makes.
type SQL struct {
	Query    string `json:"sanitized_query,omitempty"`
	Database string `json:"database_type,omitempty"`
}

// Link points to another span.
type Link struct {
	TraceID string `json:"trace_id"`
	ID      string `json:"id"`
}

type cause struct {
	Exceptions []exception `json:"exceptions,omitempty"`
}

type exception struct {
	Message string `json:"message,omitempty"`
	Type    string `json:"type,omitempty"`
}

// Parse reads a document.
func Parse(text string) (Document, error) {
	var d Document
	if err := json.Unmarshal([]byte(text), &d); err != nil {
		return d, fmt.Errorf("read segment document: %w", err)
	}
	return d, nil
}

// The namespaces of the metadata, and what stands in them.
const (
	attributes     = "default"
	telemetry      = "otel"
	resourcePrefix = "otel.resource."
)

func seconds(t time.Time) float64 { return float64(t.UnixNano()) / float64(time.Second) }

// moment is exact to the microsecond, which is what the number holds.
func moment(s float64) time.Time {
	return time.UnixMicro(int64(math.Round(s * 1e6))).UTC()
}

// idFrom reads X-Ray's form of a trace id.
func idFrom(text string) trace.ID {
	id, err := trace.ParseID(text)
	if err != nil {
		return trace.ID(text)
	}
	return id
}
