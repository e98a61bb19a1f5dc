package alarms_test

import (
	"context"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
	"github.com/jonboulle/clockwork"

	"github.com/slipway-dev/slipway/platform/kit/localcluster/alarms"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/site"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/state"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/wire"
)

const blue, green = "targetgroup/web-http/1", "targetgroup/web-http-2/2"

// source is a gateway that has seen what the test says.
type source map[string]alarms.Counters

func (s source) Counters() map[string]alarms.Counters {
	out := map[string]alarms.Counters{}
	for group, c := range s {
		c.Latency = slices.Clone(c.Latency)
		out[group] = c
	}
	return out
}

// serve adds a second's requests.
func (s source) serve(group string, good, bad uint64, took time.Duration) {
	c := s[group]
	if c.Latency == nil {
		c.Latency = []alarms.Bucket{{UpTo: 100 * time.Millisecond}, {UpTo: time.Second}, {}}
	}
	c.Requests += good + bad
	c.Errors5xx += bad
	c.Seconds += took.Seconds() * float64(good+bad)
	for i := range c.Latency {
		if c.Latency[i].UpTo == 0 || took <= c.Latency[i].UpTo {
			c.Latency[i].Count += good + bad
			break
		}
	}
	s[group] = c
}

type bench struct {
	t      *testing.T
	clock  *clockwork.FakeClock
	source source
	store  *alarms.Store
	dir    string
	state  *state.Store
	client *cloudwatch.Client
}

func newBench(t *testing.T) *bench {
	t.Helper()
	b := &bench{t: t, clock: clockwork.NewFakeClock(), source: source{}, dir: t.TempDir()}
	b.open()
	t.Cleanup(func() { _ = b.state.Close() })
	return b
}

func (b *bench) open() {
	b.t.Helper()
	var err error
	if b.state, err = state.Open(b.dir); err != nil {
		b.t.Fatal(err)
	}
	if b.store, err = alarms.New(alarms.Config{Config: site.Config{State: b.state, Clock: b.clock}, Source: b.source}); err != nil {
		b.t.Fatal(err)
	}
	server := httptest.NewServer(wire.NewHandler(b.store.API()))
	b.t.Cleanup(server.Close)
	b.client = cloudwatch.New(cloudwatch.Options{
		BaseEndpoint: aws.String(server.URL), Region: "us-east-1",
		Credentials: credentials.NewStaticCredentialsProvider("local", "local", ""),
	})
}

// put makes the alarms that a service has: share of errors, latency.
func (b *bench) put() {
	b.t.Helper()
	metric := func(id, name, group string) types.MetricDataQuery {
		return types.MetricDataQuery{Id: aws.String(id), ReturnData: aws.Bool(false), MetricStat: &types.MetricStat{
			Period: aws.Int32(10), Stat: aws.String("Sum"),
			Metric: &types.Metric{Namespace: aws.String("AWS/ApplicationELB"), MetricName: aws.String(name), Dimensions: []types.Dimension{
				{Name: aws.String("TargetGroup"), Value: aws.String(group)},
			}},
		}}
	}
	for _, in := range []*cloudwatch.PutMetricAlarmInput{{
		AlarmName: aws.String("errors"), EvaluationPeriods: aws.Int32(1), Threshold: aws.Float64(5),
		ComparisonOperator: types.ComparisonOperatorGreaterThanThreshold, TreatMissingData: aws.String("notBreaching"),
		Metrics: []types.MetricDataQuery{
			metric("e1", "HTTPCode_Target_5XX_Count", blue), metric("e2", "HTTPCode_Target_5XX_Count", green),
			metric("r1", "RequestCount", blue), metric("r2", "RequestCount", green),
			{Id: aws.String("share"), Expression: aws.String("100 * (e1 + e2) / (r1 + r2)"), ReturnData: aws.Bool(true)},
		},
	}, {
		AlarmName: aws.String("latency"), EvaluationPeriods: aws.Int32(2), Threshold: aws.Float64(0.3), Period: aws.Int32(5),
		ComparisonOperator: types.ComparisonOperatorGreaterThanThreshold, TreatMissingData: aws.String("notBreaching"),
		MetricName: aws.String("TargetResponseTime"), ExtendedStatistic: aws.String("p99"), Namespace: aws.String("AWS/ApplicationELB"),
		Dimensions: []types.Dimension{{Name: aws.String("TargetGroup"), Value: aws.String(blue)}},
	}} {
		if _, err := b.client.PutMetricAlarm(context.Background(), in); err != nil {
			b.t.Fatal(err)
		}
	}
}

// pass lets seconds go by in each of which the groups serve.
func (b *bench) pass(seconds int, serve func()) {
	for range seconds {
		serve()
		b.clock.Advance(time.Second)
		b.store.Evaluate(context.Background())
	}
}

// states reads the alarms as a client does.
func (b *bench) states() string {
	b.t.Helper()
	out, err := b.client.DescribeAlarms(context.Background(), &cloudwatch.DescribeAlarmsInput{AlarmNames: []string{"errors", "latency"}})
	if err != nil {
		b.t.Fatal(err)
	}
	var all []string
	for _, a := range out.MetricAlarms {
		if a.StateUpdatedTimestamp == nil || a.StateUpdatedTimestamp.IsZero() {
			b.t.Errorf("alarm %s does not say since when", *a.AlarmName)
		}
		all = append(all, *a.AlarmName+"="+string(a.StateValue))
	}
	return strings.Join(all, " ")
}

// reason is why an alarm is in its state.
func (b *bench) reason(name string) string {
	b.t.Helper()
	out, err := b.client.DescribeAlarms(context.Background(), &cloudwatch.DescribeAlarmsInput{AlarmNames: []string{name}})
	if err != nil || len(out.MetricAlarms) != 1 {
		b.t.Fatalf("describe %s: %v", name, err)
	}
	return *out.MetricAlarms[0].StateReason
}

func TestAlarmsFollowTheTraffic(t *testing.T) {
	b := newBench(t)
	b.put()
	want := func(step, states string) {
		t.Helper()
		if got := b.states(); got != states {
			t.Fatalf("%s: %s, want %s", step, got, states)
		}
	}
	want("at first", "errors=INSUFFICIENT_DATA latency=INSUFFICIENT_DATA")
	b.pass(1, func() {})
	want("without a request", "errors=OK latency=OK")
	b.pass(10, func() { b.source.serve(blue, 100, 0, 20*time.Millisecond) })
	want("healthy traffic", "errors=OK latency=OK")
	b.pass(4, func() {
		b.source.serve(blue, 90, 0, 20*time.Millisecond)
		b.source.serve(green, 0, 10, 20*time.Millisecond)
	})
	want("four percent errors in ten seconds", "errors=OK latency=OK")
	b.pass(2, func() {
		b.source.serve(blue, 90, 0, 20*time.Millisecond)
		b.source.serve(green, 0, 10, 20*time.Millisecond)
	})
	want("six percent", "errors=ALARM latency=OK")
	if got, want := b.reason("errors"), "Threshold Crossed: 1 out of the last 1 datapoints [6] were greater than the threshold (5). It is OK again once 10s have passed without."; got != want {
		t.Errorf("reason %q, want %q", got, want)
	}
	if firing, err := b.store.Firing([]string{"errors", "latency"}); err != nil || !slices.Equal(firing, []string{"errors"}) {
		t.Errorf("firing: %v, %v", firing, err)
	}
	b.pass(5, func() { b.source.serve(blue, 100, 0, 400*time.Millisecond) })
	want("slow for one period of two", "errors=OK latency=OK")
	b.pass(5, func() { b.source.serve(blue, 100, 0, 400*time.Millisecond) })
	want("slow for both", "errors=OK latency=ALARM")
	if err := b.state.Close(); err != nil {
		t.Fatal(err)
	}
	b.open()
	want("after a restart", "errors=OK latency=ALARM")
}

func TestAlarmsThatCannotBeEvaluatedAreRefused(t *testing.T) {
	b := newBench(t)
	sound := func() *cloudwatch.PutMetricAlarmInput {
		return &cloudwatch.PutMetricAlarmInput{
			AlarmName: aws.String("a"), EvaluationPeriods: aws.Int32(1), Threshold: aws.Float64(1), Period: aws.Int32(60),
			ComparisonOperator: types.ComparisonOperatorGreaterThanThreshold, MetricName: aws.String("RequestCount"), Statistic: types.StatisticSum,
		}
	}
	if _, err := b.client.PutMetricAlarm(context.Background(), sound()); err != nil {
		t.Fatalf("the sound one is refused: %v", err)
	}
	tests := map[string]struct {
		edit func(*cloudwatch.PutMetricAlarmInput)
		says string
	}{
		"metric":    {func(in *cloudwatch.PutMetricAlarmInput) { in.MetricName = aws.String("CPU") }, "not measured"},
		"statistic": {func(in *cloudwatch.PutMetricAlarmInput) { in.Statistic = types.StatisticMinimum }, "not measured"},
		"comparison": {func(in *cloudwatch.PutMetricAlarmInput) {
			in.ComparisonOperator = types.ComparisonOperatorGreaterThanUpperThreshold
		}, "ComparisonOperator"},
		"threshold":  {func(in *cloudwatch.PutMetricAlarmInput) { in.Threshold = nil }, "Threshold"},
		"datapoints": {func(in *cloudwatch.PutMetricAlarmInput) { in.DatapointsToAlarm = aws.Int32(2) }, "DatapointsToAlarm"},
		"expression": {func(in *cloudwatch.PutMetricAlarmInput) {
			in.MetricName = nil
			in.Metrics = []types.MetricDataQuery{{Id: aws.String("e"), Expression: aws.String("1 +"), ReturnData: aws.Bool(true)}}
		}, "Expression"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			in := sound()
			tt.edit(in)
			if _, err := b.client.PutMetricAlarm(context.Background(), in); err == nil || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("error = %v, want one that says %q", err, tt.says)
			}
		})
	}
}

func TestSetDeleteAndUnknown(t *testing.T) {
	b := newBench(t)
	b.put()
	ctx := context.Background()
	if _, err := b.client.SetAlarmState(ctx, &cloudwatch.SetAlarmStateInput{
		AlarmName: aws.String("errors"), StateValue: types.StateValueAlarm, StateReason: aws.String("by hand"),
	}); err != nil {
		t.Fatal(err)
	}
	if got := b.states(); got != "errors=ALARM latency=INSUFFICIENT_DATA" {
		t.Errorf("after SetAlarmState: %s", got)
	}
	if _, err := b.client.DeleteAlarms(ctx, &cloudwatch.DeleteAlarmsInput{AlarmNames: []string{"errors"}}); err != nil {
		t.Fatal(err)
	}
	if _, err := b.store.Firing([]string{"errors"}); err == nil {
		t.Error("an alarm that is gone is no error")
	}
	if _, err := b.client.ListDashboards(ctx, &cloudwatch.ListDashboardsInput{}); err == nil || !strings.Contains(err.Error(), "does not serve") {
		t.Errorf("an operation that is not there: %v", err)
	}
}
