package logs_test

import (
	"errors"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"
	"github.com/aws/smithy-go"
	"github.com/jonboulle/clockwork"
	"pgregory.net/rapid"

	"github.com/slipway-dev/slipway/platform/kit/localcluster/logs"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/wire"
)

type bundle struct {
	*cloudwatchlogs.Client

	clock *clockwork.FakeClock
	store *logs.Store
}

func setup(t *testing.T, config logs.Config) bundle {
	t.Helper()
	b := bundle{clock: clockwork.NewFakeClockAt(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC))}
	if config.Dir == "" {
		config.Dir = t.TempDir()
	}
	config.Clock = b.clock
	b.store = open(t, config)
	t.Cleanup(func() { _ = b.store.Close() })
	server := httptest.NewServer(wire.NewHandler(b.store.API()))
	t.Cleanup(server.Close)
	b.Client = cloudwatchlogs.NewFromConfig(aws.Config{
		Region: "us-east-1", BaseEndpoint: &server.URL, RetryMaxAttempts: 1,
		Credentials: credentials.NewStaticCredentialsProvider("a", "b", ""),
	})
	return b
}

func open(t *testing.T, config logs.Config) *logs.Store {
	t.Helper()
	store, err := logs.Open(config)
	if err != nil {
		t.Fatal(err)
	}
	return store
}

func codeOf(err error) string {
	if api, ok := errors.AsType[smithy.APIError](err); ok {
		return api.ErrorCode()
	}
	return fmt.Sprint(err)
}

// filter reads all pages of a group as "stream message".
func (b bundle) filter(t *testing.T, in cloudwatchlogs.FilterLogEventsInput) []string {
	t.Helper()
	out := []string{}
	pages := cloudwatchlogs.NewFilterLogEventsPaginator(b.Client, &in)
	for pages.HasMorePages() {
		page, err := pages.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range page.Events {
			out = append(out, *e.LogStreamName+" "+*e.Message)
		}
	}
	return out
}

func (b bundle) all(t *testing.T, group string) string {
	t.Helper()
	return strings.Join(b.filter(t, cloudwatchlogs.FilterLogEventsInput{LogGroupName: &group}), "|")
}

func TestWriterMakesEventsOfLines(t *testing.T) {
	t.Parallel()
	b := setup(t, logs.Config{})
	w := b.store.Writer("/slipway/local/catalog", "catalog/app/1")
	for _, part := range []string{"one\ntw", "o\r\n\n", "\xffthree", "", "\nfour"} {
		if n, err := w.Write([]byte(part)); n != len(part) || err != nil {
			t.Fatal(n, err)
		}
	}
	if got, want := b.all(t, "/slipway/local/catalog"), "catalog/app/1 one|catalog/app/1 two|catalog/app/1 \uFFFDthree"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if err := errors.Join(w.Close(), w.Close()); err != nil {
		t.Error(err)
	}
	if got := b.all(t, "/slipway/local/catalog"); !strings.HasSuffix(got, "|catalog/app/1 four") {
		t.Errorf("Close lost the last line: %q", got)
	}
	if _, err := w.Write([]byte("x")); err == nil {
		t.Error("a closed writer writes")
	}
}

func TestWriterCutsLongLines(t *testing.T) {
	t.Parallel()
	b := setup(t, logs.Config{})
	w := b.store.Writer("g", "s")
	long := strings.Repeat("x", 600<<10)
	for rest := long + "\nend\n"; rest != ""; {
		n := min(len(rest), 32<<10)
		_, _ = w.Write([]byte(rest[:n]))
		rest = rest[n:]
	}
	got := b.filter(t, cloudwatchlogs.FilterLogEventsInput{LogGroupName: aws.String("g")})
	if len(got) != 4 || strings.ReplaceAll(strings.Join(got, ""), "s ", "") != long+"end" {
		t.Errorf("got %d events", len(got))
	}
}

func TestWriterOutlivesDeletion(t *testing.T) {
	t.Parallel()
	b := setup(t, logs.Config{})
	w := b.store.Writer("g", "s")
	_, _ = w.Write([]byte("a\n"))
	if _, err := b.DeleteLogGroup(t.Context(), &cloudwatchlogs.DeleteLogGroupInput{LogGroupName: aws.String("g")}); err != nil {
		t.Fatal(err)
	}
	_, _ = w.Write([]byte("b\n"))
	if got := b.all(t, "g"); got != "s b" {
		t.Errorf("got %q", got)
	}
}

// TestPages compares FilterLogEvents and GetLogEvents with a list of events,
// for any streams, times and page sizes.
func TestPages(t *testing.T) {
	t.Parallel()
	b := setup(t, logs.Config{SegmentBytes: 300})
	now := b.clock.Now().UnixMilli()
	n := 0
	rapid.Check(t, func(rt *rapid.T) {
		n++
		group := fmt.Sprintf("g%d", n)
		type event struct {
			at   int64
			text string
		}
		perStream := map[string][]event{}
		var inOrder [10][]string // by time, in order of arrival
		for i := range rapid.IntRange(1, 25).Draw(rt, "events") {
			e := event{rapid.Int64Range(0, 9).Draw(rt, "time"), fmt.Sprintf("e%d", i)}
			stream := rapid.SampledFrom([]string{"a", "b", "c"}).Draw(rt, "stream")
			if perStream[stream] == nil {
				_, _ = b.store.CreateLogGroup(t.Context(), &cloudwatchlogs.CreateLogGroupInput{LogGroupName: &group})
				_, _ = b.store.CreateLogStream(t.Context(), &cloudwatchlogs.CreateLogStreamInput{LogGroupName: &group, LogStreamName: &stream})
			}
			if _, err := b.store.PutLogEvents(t.Context(), &cloudwatchlogs.PutLogEventsInput{
				LogGroupName: &group, LogStreamName: &stream, LogEvents: []types.InputLogEvent{{Timestamp: aws.Int64(now + e.at), Message: &e.text}},
			}); err != nil {
				rt.Fatal(err)
			}
			perStream[stream] = append(perStream[stream], e)
			inOrder[e.at] = append(inOrder[e.at], stream+" "+e.text)
		}
		from, to := rapid.Int64Range(0, 9).Draw(rt, "from"), rapid.Int64Range(0, 9).Draw(rt, "to")
		var want []string
		for at := from; at <= to; at++ {
			want = append(want, inOrder[at]...)
		}
		limit := rapid.Int32Range(1, 7).Draw(rt, "limit")
		got := b.filter(t, cloudwatchlogs.FilterLogEventsInput{
			LogGroupName: &group, StartTime: aws.Int64(now + from), EndTime: aws.Int64(now + to), Limit: &limit,
		})
		if strings.Join(got, "|") != strings.Join(want, "|") {
			rt.Fatalf("got %q, want %q", got, want)
		}
		backwards := b.filter(t, cloudwatchlogs.FilterLogEventsInput{
			LogGroupName: &group, StartTime: aws.Int64(now + from), EndTime: aws.Int64(now + to), Limit: &limit, StartFromHead: aws.Bool(false),
		})
		for i := range want {
			if len(backwards) != len(want) || backwards[len(want)-1-i] != want[i] {
				rt.Fatalf("latest first: got %q, want the reverse of %q", backwards, want)
			}
		}
		for stream := range perStream {
			var own []string
			for _, events := range inOrder {
				for _, e := range events {
					if text, ok := strings.CutPrefix(e, stream+" "); ok {
						own = append(own, text)
					}
				}
			}
			if got := b.walk(t, group, stream, limit, true); got != strings.Join(own, " ") {
				rt.Fatalf("forward: got %q, want %q", got, own)
			}
			if got := b.walk(t, group, stream, limit, false); got != strings.Join(own, " ") {
				rt.Fatalf("backward: got %q, want %q", got, own)
			}
		}
	})
}

// walk reads a stream page by page until a token comes back unchanged, turns
// round, and checks that the way back shows the same.
func (b bundle) walk(t *testing.T, group, stream string, limit int32, head bool) string {
	t.Helper()
	var there, back []string
	in := &cloudwatchlogs.GetLogEventsInput{LogGroupName: &group, LogStreamName: &stream, Limit: &limit, StartFromHead: &head}
	step := func(forward bool, seen *[]string) (end bool) {
		out, err := b.store.GetLogEvents(t.Context(), in)
		if err != nil {
			t.Fatal(err)
		}
		var page []string
		for _, e := range out.Events {
			page = append(page, *e.Message)
		}
		next := out.NextBackwardToken
		if forward {
			next = out.NextForwardToken
			*seen = append(*seen, page...)
		} else {
			*seen = append(page, *seen...)
		}
		if in.NextToken != nil && *in.NextToken == *next {
			in.NextToken = out.NextBackwardToken
			if !forward {
				in.NextToken = out.NextForwardToken
			}
			return true
		}
		in.NextToken = next
		return false
	}
	for ended := false; !ended; {
		ended = step(head, &there)
	}
	for ended := false; !ended; {
		ended = step(!head, &back)
	}
	if strings.Join(there, " ") != strings.Join(back, " ") {
		t.Errorf("there %q, back %q", there, back)
	}
	return strings.Join(there, " ")
}

func TestPutRules(t *testing.T) {
	t.Parallel()
	b := setup(t, logs.Config{})
	ctx := t.Context()
	group, stream := aws.String("g"), aws.String("s")
	if _, err := b.CreateLogGroup(ctx, &cloudwatchlogs.CreateLogGroupInput{LogGroupName: group}); err != nil {
		t.Fatal(err)
	}
	if _, err := b.CreateLogStream(ctx, &cloudwatchlogs.CreateLogStreamInput{LogGroupName: group, LogStreamName: stream}); err != nil {
		t.Fatal(err)
	}
	now := b.clock.Now().UnixMilli()
	event := func(at time.Duration, text string) types.InputLogEvent {
		return types.InputLogEvent{Timestamp: aws.Int64(now + at.Milliseconds()), Message: &text}
	}
	put := func(events ...types.InputLogEvent) (*cloudwatchlogs.PutLogEventsOutput, error) {
		return b.PutLogEvents(ctx, &cloudwatchlogs.PutLogEventsInput{LogGroupName: group, LogStreamName: stream, LogEvents: events, SequenceToken: aws.String("any")})
	}
	large := event(0, strings.Repeat("x", 1<<20-26))
	for name, c := range map[string]struct {
		events []types.InputLogEvent
		want   string
	}{
		"good":      {[]types.InputLogEvent{event(0, "a"), event(1, "b")}, "<nil>"},
		"largest":   {[]types.InputLogEvent{large}, "<nil>"},
		"too large": {[]types.InputLogEvent{large, event(0, "x")}, "InvalidParameterException"},
		"order":     {[]types.InputLogEvent{event(time.Second, "a"), event(0, "b")}, "InvalidParameterException"},
		"span":      {[]types.InputLogEvent{event(-25*time.Hour, "a"), event(0, "b")}, "InvalidParameterException"},
		"empty":     {[]types.InputLogEvent{event(0, "")}, "InvalidParameterException"},
		"too many":  {make10001(event(0, "x")), "InvalidParameterException"},
	} {
		if _, err := put(c.events...); codeOf(err) != c.want {
			t.Errorf("%s: got %v, want %s", name, err, c.want)
		}
	}
	out, err := put(event(time.Hour, "ok"), event(3*time.Hour, "new"))
	if err != nil || out.RejectedLogEventsInfo == nil || *out.RejectedLogEventsInfo.TooNewLogEventStartIndex != 1 {
		t.Errorf("too new: %+v, %v", out, err)
	}
	out, err = put(event(-14*24*time.Hour-time.Minute, "old"), event(-14*24*time.Hour+time.Minute, "ok"))
	if err != nil || out.RejectedLogEventsInfo == nil || *out.RejectedLogEventsInfo.TooOldLogEventEndIndex != 1 {
		t.Errorf("too old: %+v, %v", out, err)
	}
	if _, err := b.PutRetentionPolicy(ctx, &cloudwatchlogs.PutRetentionPolicyInput{LogGroupName: group, RetentionInDays: aws.Int32(1)}); err != nil {
		t.Fatal(err)
	}
	out, err = put(event(-25*time.Hour, "expired"))
	if err != nil || out.RejectedLogEventsInfo == nil || *out.RejectedLogEventsInfo.ExpiredLogEventEndIndex != 1 {
		t.Errorf("expired: %+v, %v", out, err)
	}
}

func make10001(e types.InputLogEvent) []types.InputLogEvent {
	out := make([]types.InputLogEvent, 10001)
	for i := range out {
		out[i] = e
	}
	return out
}

func TestGroupsAndStreams(t *testing.T) {
	t.Parallel()
	b := setup(t, logs.Config{})
	ctx := t.Context()
	for i := range 3 {
		name := fmt.Sprintf("/slipway/local/s%d", i)
		if _, err := b.CreateLogGroup(ctx, &cloudwatchlogs.CreateLogGroupInput{LogGroupName: &name, Tags: map[string]string{"a": "b"}}); err != nil {
			t.Fatal(err)
		}
	}
	group := aws.String("/slipway/local/s1")
	for i := range 60 {
		_, _ = b.store.Writer(*group, fmt.Sprintf("s/app/%02d", 59-i)).Write([]byte("x\n"))
		b.clock.Advance(time.Second)
	}
	for code, err := range map[string]error{
		"ResourceAlreadyExistsException": second(b.CreateLogGroup(ctx, &cloudwatchlogs.CreateLogGroupInput{LogGroupName: group})),
		"InvalidParameterException":      second(b.CreateLogGroup(ctx, &cloudwatchlogs.CreateLogGroupInput{LogGroupName: aws.String("a b")})),
		"ResourceNotFoundException":      second(b.GetLogEvents(ctx, &cloudwatchlogs.GetLogEventsInput{LogGroupName: group, LogStreamName: aws.String("no")})),
	} {
		if codeOf(err) != code {
			t.Errorf("got %v, want %s", err, code)
		}
	}
	groups, err := b.DescribeLogGroups(ctx, &cloudwatchlogs.DescribeLogGroupsInput{LogGroupNamePrefix: aws.String("/slipway/local/"), Limit: aws.Int32(2)})
	if err != nil || len(groups.LogGroups) != 2 || groups.NextToken == nil ||
		*groups.LogGroups[1].Arn != "arn:aws:logs:us-east-1:000000000000:log-group:/slipway/local/s1:*" || *groups.LogGroups[1].StoredBytes == 0 {
		t.Errorf("groups: %+v, %v", groups, err)
	}
	var names []string
	pages := cloudwatchlogs.NewDescribeLogStreamsPaginator(b.Client, &cloudwatchlogs.DescribeLogStreamsInput{
		LogGroupIdentifier: groups.LogGroups[1].LogGroupArn, OrderBy: types.OrderByLastEventTime, Descending: aws.Bool(true),
	})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			t.Fatal(err)
		}
		for _, st := range page.LogStreams {
			names = append(names, *st.LogStreamName)
		}
	}
	if len(names) != 60 || names[0] != "s/app/00" || names[59] != "s/app/59" {
		t.Errorf("streams: %q", names)
	}
	arn := groups.LogGroups[1].LogGroupArn
	if _, err := b.TagResource(ctx, &cloudwatchlogs.TagResourceInput{ResourceArn: arn, Tags: map[string]string{"c": "d"}}); err != nil {
		t.Error(err)
	}
	if _, err := b.UntagResource(ctx, &cloudwatchlogs.UntagResourceInput{ResourceArn: arn, TagKeys: []string{"a"}}); err != nil {
		t.Error(err)
	}
	tags, err := b.ListTagsForResource(ctx, &cloudwatchlogs.ListTagsForResourceInput{ResourceArn: arn})
	if err != nil || fmt.Sprint(tags.Tags) != "map[c:d]" {
		t.Errorf("tags: %v, %v", tags, err)
	}
	if _, err := b.DeleteLogStream(ctx, &cloudwatchlogs.DeleteLogStreamInput{LogGroupName: group, LogStreamName: aws.String("s/app/00")}); err != nil {
		t.Error(err)
	}
	if got := len(b.filter(t, cloudwatchlogs.FilterLogEventsInput{LogGroupName: group, LogStreamNamePrefix: aws.String("s/app/0")})); got != 9 {
		t.Errorf("%d events after a deletion", got)
	}
}

func second[T any](_ T, err error) error { return err }
