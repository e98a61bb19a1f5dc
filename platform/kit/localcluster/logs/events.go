package logs

import (
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"
)

// PutLogEvents adds events to a stream, within the service's limits (API
// reference, PutLogEvents): at most 10,000 in order of time, 1 MiB in all, 24
// hours from first to last. Those more than two hours ahead, 14 days old or
// older than the group's retention are rejected in the answer. Sequence
// tokens are accepted and mean nothing.
func (s *Store) PutLogEvents(_ context.Context, in *cloudwatchlogs.PutLogEventsInput) (*cloudwatchlogs.PutLogEventsOutput, error) {
	if err := checkBatch(in.LogEvents); err != nil {
		return nil, err
	}
	s.mu.RLock()
	g, err := s.group(aws.ToString(in.LogGroupName))
	var st *stream
	var horizon int64
	if err == nil {
		horizon = s.horizon(g)
		st, err = g.stream(in.LogStreamName)
	}
	s.mu.RUnlock()
	if err != nil {
		return nil, err
	}
	out := &cloudwatchlogs.PutLogEventsOutput{NextSequenceToken: aws.String(fmt.Sprintf("%056d", s.number.Load()))}
	records, rejected := s.accept(in.LogEvents, horizon)
	if rejected != (types.RejectedLogEventsInfo{}) {
		out.RejectedLogEventsInfo = &rejected
	}
	if err := s.add(g.info.Name, st, records); err != nil {
		return nil, err
	}
	return out, nil
}

func checkBatch(events []types.InputLogEvent) error {
	if len(events) == 0 || len(events) > maxEvents {
		return invalidParameter(fmt.Sprintf("A batch has 1 to %d log events.", maxEvents))
	}
	size := 0
	for i, e := range events {
		text := aws.ToString(e.Message)
		switch {
		case text == "" || e.Timestamp == nil || *e.Timestamp < 0:
			return invalidParameter("A log event has a timestamp and a message that is not empty.")
		case !utf8.ValidString(text):
			return invalidParameter("A log event's message is UTF-8.")
		case i > 0 && *e.Timestamp < *events[i-1].Timestamp:
			return invalidParameter("Log events in a single PutLogEvents request must be in chronological order.")
		}
		size += len(text) + eventOverhead
		if size > maxAnswerBytes {
			return invalidParameter(fmt.Sprintf("Upload too large: the batch exceeds %d bytes.", maxAnswerBytes))
		}
	}
	if *events[len(events)-1].Timestamp-*events[0].Timestamp > (24 * time.Hour).Milliseconds() {
		return invalidParameter("The batch of log events in a single PutLogEvents request cannot span more than 24 hours.")
	}
	return nil
}

// accept takes the events whose times are acceptable and names the others by
// index: "end" indices are exclusive.
func (s *Store) accept(events []types.InputLogEvent, horizon int64) (records []record, rejected types.RejectedLogEventsInfo) {
	now := s.now()
	oldest := now - (14 * 24 * time.Hour).Milliseconds()
	newest := now + (2 * time.Hour).Milliseconds()
	for i, e := range events {
		index := int32(i)
		switch {
		case *e.Timestamp < horizon:
			rejected.ExpiredLogEventEndIndex = aws.Int32(index + 1)
		case *e.Timestamp < oldest:
			rejected.TooOldLogEventEndIndex = aws.Int32(index + 1)
		case *e.Timestamp > newest:
			if rejected.TooNewLogEventStartIndex == nil {
				rejected.TooNewLogEventStartIndex = aws.Int32(index)
			}
		default:
			records = append(records, record{position: position{Time: *e.Timestamp}, Ingested: now, Message: *e.Message})
		}
	}
	return records, rejected
}

// pick lists streams of a group in order of name: those named, or those
// with a prefix, or all.
func (s *Store) pick(groupName string, names []string, prefix string) ([]*stream, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	g, err := s.group(groupName)
	if err != nil {
		return nil, err
	}
	var out []*stream
	for _, name := range slices.Sorted(maps.Keys(g.streams)) {
		if strings.HasPrefix(name, prefix) && (len(names) == 0 || slices.Contains(names, name)) {
			out = append(out, g.streams[name])
		}
	}
	return out, nil
}

func (s *Store) visibleFrom(groupName string, start *int64) int64 {
	s.mu.RLock()
	defer s.mu.RUnlock()
	from := aws.ToInt64(start)
	if g, ok := s.groups[groupName]; ok {
		from = max(from, s.horizon(g))
	}
	return from
}

// FilterLogEvents finds events over the streams of a group in order of time
// and, within a millisecond, of arrival; latest first if StartFromHead is
// false. Both times are inclusive. See compile for the patterns.
func (s *Store) FilterLogEvents(ctx context.Context, in *cloudwatchlogs.FilterLogEventsInput) (*cloudwatchlogs.FilterLogEventsOutput, error) {
	limit, err := pageSize(in.Limit, maxEvents, maxEvents)
	if err != nil {
		return nil, err
	}
	if len(in.LogStreamNames) > 0 && in.LogStreamNamePrefix != nil {
		return nil, invalidParameter("logStreamNamePrefix and logStreamNames are mutually exclusive.")
	}
	name, err := s.groupName(in.LogGroupName, in.LogGroupIdentifier)
	if err != nil {
		return nil, err
	}
	q := query{from: s.visibleFrom(name, in.StartTime), to: math.MaxInt64, limit: limit}
	if in.EndTime != nil {
		q.to = *in.EndTime
	}
	q.newest = in.StartFromHead != nil && !*in.StartFromHead
	if in.NextToken != nil {
		kind, at, err := parseToken(*in.NextToken)
		if err != nil {
			return nil, err
		}
		if q.newest = kind == 'r'; q.newest {
			q.before = &at
		} else {
			q.after = &at
		}
	}
	if q.matches, err = compile(aws.ToString(in.FilterPattern)); err != nil {
		return nil, invalidPattern(err)
	}
	if q.streams, err = s.pick(name, in.LogStreamNames, aws.ToString(in.LogStreamNamePrefix)); err != nil {
		return nil, err
	}
	hits, more, err := q.run(ctx)
	if err != nil {
		return nil, err
	}
	kind := byte('n')
	if q.newest {
		kind = 'r'
		slices.Reverse(hits)
	}
	out := &cloudwatchlogs.FilterLogEventsOutput{Events: []types.FilteredLogEvent{}, SearchedLogStreams: []types.SearchedLogStream{}}
	for _, h := range hits {
		out.Events = append(out.Events, types.FilteredLogEvent{
			EventId: aws.String(fmt.Sprintf("%028d%028d", h.Time, h.Number)), LogStreamName: aws.String(h.stream),
			Timestamp: aws.Int64(h.Time), IngestionTime: aws.Int64(h.Ingested), Message: aws.String(h.Message),
		})
	}
	if more {
		out.NextToken = token(kind, hits[len(hits)-1].position)
	}
	return out, nil
}

// GetLogEvents reads a page of one stream: the newest events, the oldest with
// StartFromHead, or those after or before a token. It always gives tokens for
// both directions; at an end, the one that it was given. The start time is
// inclusive, the end time exclusive.
func (s *Store) GetLogEvents(ctx context.Context, in *cloudwatchlogs.GetLogEventsInput) (*cloudwatchlogs.GetLogEventsOutput, error) {
	limit, err := pageSize(in.Limit, maxEvents, maxEvents)
	if err != nil {
		return nil, err
	}
	name, err := s.groupName(in.LogGroupName, in.LogGroupIdentifier)
	if err != nil {
		return nil, err
	}
	s.mu.RLock()
	g, err := s.group(name)
	var st *stream
	if err == nil {
		st, err = g.stream(in.LogStreamName)
	}
	s.mu.RUnlock()
	if err != nil {
		return nil, err
	}
	q := query{
		streams: []*stream{st}, from: s.visibleFrom(name, in.StartTime), to: math.MaxInt64, limit: limit,
		matches: func(string) bool { return true }, newest: !aws.ToBool(in.StartFromHead),
	}
	if in.EndTime != nil {
		q.to = *in.EndTime - 1
	}
	at := position{Time: q.from}
	if in.NextToken != nil {
		kind, p, err := parseToken(*in.NextToken)
		if err != nil {
			return nil, err
		}
		at = p
		if q.newest = kind == 'b'; q.newest {
			q.before = &at
		} else {
			q.after = &at
		}
	}
	hits, _, err := q.run(ctx)
	if err != nil {
		return nil, err
	}
	return page(hits, at, q), nil
}

// page makes the answer of GetLogEvents. at is where the query began. A
// forward token stands for what comes after it, a backward token for what
// comes before.
func page(hits []hit, at position, q query) *cloudwatchlogs.GetLogEventsOutput {
	first, last := at, at
	switch {
	case len(hits) > 0:
		first, last = hits[0].position, hits[len(hits)-1].position
	case q.after != nil:
		first.Number++ // so that the event at the token is before it
	case q.before != nil && last.Number > 0:
		last.Number--
	}
	out := &cloudwatchlogs.GetLogEventsOutput{
		Events: []types.OutputLogEvent{}, NextForwardToken: token('f', last), NextBackwardToken: token('b', first),
	}
	for _, h := range hits {
		out.Events = append(out.Events, types.OutputLogEvent{
			Timestamp: aws.Int64(h.Time), IngestionTime: aws.Int64(h.Ingested), Message: aws.String(h.Message),
		})
	}
	return out
}
