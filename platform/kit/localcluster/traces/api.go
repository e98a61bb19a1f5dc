package traces

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/xray"
	"github.com/aws/aws-sdk-go-v2/service/xray/types"
	"github.com/aws/smithy-go"

	"github.com/slipway-dev/slipway/platform/kit/localcluster/wire"
	"github.com/slipway-dev/slipway/platform/kit/trace"
	"github.com/slipway-dev/slipway/platform/kit/trace/segment"
)

// Bounds of the API.
const (
	summaryPage = 100 // traces in one answer
	looksAt     = 500 // traces read for one answer
	batch       = 5   // traces in one call, as in X-Ray
)

// API describes the operations of X-Ray that are served.
func (s *Store) API() wire.API {
	return wire.API{
		Protocol: wire.Protocol{
			Target: "AWSXRay", Signing: "xray", Names: wire.Pascal,
			Paths: map[string]string{"/TraceSummaries": "GetTraceSummaries", "/Traces": "BatchGetTraces"},
		},
		Operations: map[string]wire.Operation{
			"GetTraceSummaries": wire.Op(s.GetTraceSummaries),
			"BatchGetTraces":    wire.Op(s.BatchGetTraces),
		},
	}
}

func invalid(format string, args ...any) error {
	return &smithy.GenericAPIError{Code: "InvalidRequestException", Message: fmt.Sprintf(format, args...), Fault: smithy.FaultClient}
}

// GetTraceSummaries lists the traces that began in a time frame, newest first.
// Whatever the time range type, a trace's time is its start.
func (s *Store) GetTraceSummaries(_ context.Context, in *xray.GetTraceSummariesInput) (*xray.GetTraceSummariesOutput, error) {
	if in.StartTime == nil || in.EndTime == nil || in.EndTime.Before(*in.StartTime) {
		return nil, invalid("StartTime and EndTime are needed, and EndTime must not be before StartTime")
	}
	match, err := parseFilter(aws.ToString(in.FilterExpression))
	if err != nil {
		return nil, invalid("Invalid filter expression: %s", err)
	}
	ids := s.between(in.StartTime.UnixNano(), in.EndTime.UnixNano())
	if token := trace.ID(aws.ToString(in.NextToken)); token != "" {
		if !token.Complete() {
			return nil, invalid("Invalid NextToken")
		}
		i := slices.Index(ids, token)
		if i < 0 { // the history has dropped it, and all before it
			i = len(ids) - 1
		}
		ids = ids[i+1:]
	}
	out := &xray.GetTraceSummariesOutput{ApproximateTime: in.EndTime, TraceSummaries: []types.TraceSummary{}}
	looked := 0
	for _, id := range ids {
		if len(out.TraceSummaries) == summaryPage || looked == looksAt {
			out.NextToken = aws.String(string(ids[looked-1]))
			break
		}
		looked++
		t, found, err := s.Trace(id)
		if err != nil {
			return nil, err
		}
		if found && match(subjectOf(t)) {
			out.TraceSummaries = append(out.TraceSummaries, summary(t))
		}
	}
	out.TracesProcessedCount = aws.Int64(int64(looked))
	return out, nil
}

// summary describes a trace as GetTraceSummaries does.
func summary(t trace.Trace) types.TraceSummary {
	start, _ := t.Bounds()
	about := subjectOf(t)
	root := t.Root()
	out := types.TraceSummary{
		Id: aws.String(t.ID.XRay()), StartTime: &start, Duration: aws.Float64(t.Duration().Seconds()),
		ResponseTime: aws.Float64(root.Duration.Seconds()), EntryPoint: serviceID(root.Service),
		HasFault: &about.fault, HasError: &about.blamed, HasThrottle: &about.throttle, IsPartial: &t.Partial, Revision: 1,
	}
	for _, name := range t.Services() {
		out.ServiceIds = append(out.ServiceIds, *serviceID(name))
	}
	if h := about.http; h != nil {
		out.Http = &types.Http{
			HttpMethod: &h.Request.Method, HttpURL: &h.Request.URL, UserAgent: &h.Request.UserAgent, ClientIp: &h.Request.ClientIP,
		}
		if h.Response != nil {
			out.Http.HttpStatus = aws.Int32(int32(h.Response.Status)) //nolint:gosec // an HTTP status
		}
	}
	return out
}

func serviceID(name string) *types.ServiceId {
	return &types.ServiceId{Name: aws.String(name), Names: []string{name}}
}

// BatchGetTraces reads up to five traces by their ids.
func (s *Store) BatchGetTraces(_ context.Context, in *xray.BatchGetTracesInput) (*xray.BatchGetTracesOutput, error) {
	if len(in.TraceIds) == 0 || len(in.TraceIds) > batch {
		return nil, invalid("TraceIds holds 1 to %d ids", batch)
	}
	out := &xray.BatchGetTracesOutput{Traces: []types.Trace{}, UnprocessedTraceIds: []string{}}
	for _, text := range in.TraceIds {
		id, err := trace.ParseID(text)
		if err != nil || !id.Complete() {
			return nil, invalid("Invalid trace id: %s", text)
		}
		t, found, err := s.Trace(id)
		if err != nil {
			return nil, err
		}
		if !found {
			continue
		}
		shown := types.Trace{Id: aws.String(id.XRay()), Duration: aws.Float64(t.Duration().Seconds()), LimitExceeded: &t.Partial}
		for _, d := range segment.Encode(t) {
			raw, err := json.Marshal(d)
			if err != nil {
				return nil, fmt.Errorf("encode segment %s: %w", d.ID, err)
			}
			shown.Segments = append(shown.Segments, types.Segment{Id: aws.String(d.ID), Document: aws.String(string(raw))})
		}
		out.Traces = append(out.Traces, shown)
	}
	return out, nil
}
