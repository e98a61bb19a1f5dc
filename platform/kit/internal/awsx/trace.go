package awsx

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/xray"
	"github.com/aws/aws-sdk-go-v2/service/xray/types"

	"github.com/slipway-dev/slipway/platform/kit/trace"
	"github.com/slipway-dev/slipway/platform/kit/trace/segment"
)

const (
	// traceBatch is how many traces one call of BatchGetTraces reads at most.
	traceBatch = 5
	// summaryPages bounds the pages read of one time frame.
	summaryPages = 200
	// firstFrame and widestFrame are the time frames asked for: short ones first,
	// for the newest traces are wanted, and never more than X-Ray takes.
	firstFrame  = 15 * time.Minute
	widestFrame = 6 * time.Hour
)

var _ trace.Source = (*Client)(nil)

// FindTraces implements [trace.Source], newest first.
func (c *Client) FindTraces(ctx context.Context, q trace.Query) ([]trace.ID, error) {
	type found struct {
		id    trace.ID
		start time.Time
	}
	var list []found
	frame := firstFrame
	for to := q.To; to.After(q.From) && (q.Limit <= 0 || len(list) < q.Limit); frame = min(4*frame, widestFrame) {
		from := to.Add(-frame)
		if from.Before(q.From) {
			from = q.From
		}
		summaries, err := c.summaries(ctx, from, to, filterOf(q))
		if err != nil {
			return nil, err
		}
		for _, s := range summaries {
			id, err := trace.ParseID(str(s.Id))
			if err == nil && id.Complete() {
				list = append(list, found{id, cmp.Or(when(s.StartTime), from)})
			}
		}
		to = from
	}
	slices.SortStableFunc(list, func(a, b found) int { return b.start.Compare(a.start) })
	var ids []trace.ID
	seen := map[trace.ID]bool{} // a trace at the edge is in both frames
	for _, f := range list {
		if !seen[f.id] {
			ids = append(ids, f.id)
		}
		seen[f.id] = true
	}
	return ids, nil
}

// summaries reads all pages of one time frame.
func (c *Client) summaries(ctx context.Context, from, to time.Time, filter string) (list []types.TraceSummary, err error) {
	in := &xray.GetTraceSummariesInput{StartTime: &from, EndTime: &to, FilterExpression: optional(filter)}
	for range summaryPages {
		out, err := c.xray.GetTraceSummaries(ctx, in)
		if err != nil {
			return nil, c.wrap("list traces", err)
		}
		list = append(list, out.TraceSummaries...)
		if in.NextToken = out.NextToken; str(in.NextToken) == "" {
			break
		}
	}
	return list, nil
}

// filterOf writes a query as a filter expression (X-Ray developer guide, "Use
// filter expressions").
func filterOf(q trace.Query) string {
	var terms []string
	if q.Service != "" {
		terms = append(terms, "service("+strconv.Quote(q.Service)+")")
	}
	switch q.Status {
	case trace.Error:
		terms = append(terms, "fault = true")
	case trace.OK:
		terms = append(terms, "fault = false")
	}
	if q.Least > 0 {
		terms = append(terms, "duration >= "+strconv.FormatFloat(q.Least.Seconds(), 'f', -1, 64))
	}
	return strings.Join(terms, " AND ")
}

// Traces implements [trace.Source].
func (c *Client) Traces(ctx context.Context, ids []trace.ID) (traces []trace.Trace, err error) {
	for some := range slices.Chunk(ids, traceBatch) {
		in := &xray.BatchGetTracesInput{}
		for _, id := range some {
			in.TraceIds = append(in.TraceIds, id.XRay())
		}
		parts := map[trace.ID][]segment.Document{}
		partial := map[trace.ID]bool{}
		for {
			out, err := c.xray.BatchGetTraces(ctx, in)
			if err != nil {
				return nil, c.wrap("read traces", err)
			}
			for _, t := range out.Traces {
				id, documents, err := documentsOf(t)
				if err != nil {
					return nil, err
				}
				parts[id] = append(parts[id], documents...)
				partial[id] = partial[id] || aws.ToBool(t.LimitExceeded)
			}
			if in.NextToken = out.NextToken; str(in.NextToken) == "" {
				break
			}
		}
		for _, id := range some {
			if len(parts[id]) > 0 {
				t := segment.Decode(id, parts[id])
				t.Partial = partial[id]
				traces = append(traces, t)
			}
		}
	}
	return traces, nil
}

func documentsOf(t types.Trace) (id trace.ID, documents []segment.Document, err error) {
	if id, err = trace.ParseID(str(t.Id)); err != nil {
		return id, nil, fmt.Errorf("read traces: %w", err)
	}
	for _, s := range t.Segments {
		d, err := segment.Parse(str(s.Document))
		if err != nil {
			return id, nil, fmt.Errorf("read trace %s: %w", id, err)
		}
		documents = append(documents, d)
	}
	return id, documents, nil
}
