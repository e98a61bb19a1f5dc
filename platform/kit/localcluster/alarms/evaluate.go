package alarms

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
	"github.com/expr-lang/expr"
)

// sample is what every target group had seen at a time.
type sample struct {
	at     time.Time
	groups map[string]Counters
}

// comparisons are the operators an alarm may compare with.
func comparisons() map[types.ComparisonOperator]func(value, threshold float64) bool {
	return map[types.ComparisonOperator]func(value, threshold float64) bool{
		types.ComparisonOperatorGreaterThanThreshold:          func(v, t float64) bool { return v > t },
		types.ComparisonOperatorGreaterThanOrEqualToThreshold: func(v, t float64) bool { return v >= t },
		types.ComparisonOperatorLessThanThreshold:             func(v, t float64) bool { return v < t },
		types.ComparisonOperatorLessThanOrEqualToThreshold:    func(v, t float64) bool { return v <= t },
	}
}

// inWords are the operators as CloudWatch's reasons have them.
var inWords = map[types.ComparisonOperator]string{
	types.ComparisonOperatorGreaterThanThreshold:          "greater than",
	types.ComparisonOperatorGreaterThanOrEqualToThreshold: "greater than or equal to",
	types.ComparisonOperatorLessThanThreshold:             "less than",
	types.ComparisonOperatorLessThanOrEqualToThreshold:    "less than or equal to",
}

// queries are what the alarm looks at, in the form of metric math.
func queries(name *string, dimensions []types.Dimension, period *int32, stat types.Statistic, extended *string, metrics []types.MetricDataQuery) []types.MetricDataQuery {
	if name == nil {
		return metrics
	}
	asked := string(stat)
	if extended != nil {
		asked = *extended
	}
	return []types.MetricDataQuery{{Id: aws.String("m"), ReturnData: aws.Bool(true), MetricStat: &types.MetricStat{
		Metric: &types.Metric{MetricName: name, Dimensions: dimensions}, Period: period, Stat: aws.String(asked),
	}}}
}

func queriesOf(a *types.MetricAlarm) []types.MetricDataQuery {
	return queries(a.MetricName, a.Dimensions, a.Period, a.Statistic, a.ExtendedStatistic, a.Metrics)
}

// checkMetrics refuses metrics that are not measured here, and expressions
// that mean nothing.
func checkMetrics(in *cloudwatch.PutMetricAlarmInput) error {
	returned, env := 0, map[string]any{}
	all := queries(in.MetricName, in.Dimensions, in.Period, in.Statistic, in.ExtendedStatistic, in.Metrics)
	for _, q := range all {
		env[aws.ToString(q.Id)] = 0.0
		if q.ReturnData == nil || *q.ReturnData {
			returned++
		}
		if q.MetricStat == nil {
			continue
		}
		if aws.ToInt32(q.MetricStat.Period) < 1 {
			return validation("Period must be at least 1 second.")
		}
		if _, err := stat(q.MetricStat, Counters{}); err != nil {
			return validation("%s", err)
		}
	}
	if returned != 1 {
		return validation("Exactly one of the metrics must return data, %d do.", returned)
	}
	for _, q := range all {
		if q.Expression == nil {
			continue
		}
		if _, err := expr.Compile(*q.Expression, options(env)...); err != nil {
			return validation("Expression %s: %s", *q.Expression, err)
		}
	}
	return nil
}

// options are the language of metric math, as far as it is here: arithmetic,
// comparisons, IF and FILL.
func options(env map[string]any) []expr.Option {
	return []expr.Option{
		expr.Env(env), expr.AsFloat64(),
		expr.Function("IF", func(args ...any) (any, error) {
			if yes, ok := args[0].(bool); ok && yes {
				return args[1], nil
			}
			return args[2], nil
		}, new(func(bool, float64, float64) float64), new(func(bool, float64, int) float64)),
		expr.Function("FILL", func(args ...any) (any, error) { return args[0], nil }, new(func(float64, int) float64)),
	}
}

// period is the alarm's period: that of its metrics.
func period(a *types.MetricAlarm) time.Duration {
	longest := int32(1)
	for _, q := range queriesOf(a) {
		longest = max(longest, aws.ToInt32(q.Period))
		if q.MetricStat != nil {
			longest = max(longest, aws.ToInt32(q.MetricStat.Period))
		}
	}
	return time.Duration(longest) * time.Second
}

// window is how far back an alarm looks.
func window(a *types.MetricAlarm) time.Duration {
	return period(a) * time.Duration(aws.ToInt32(a.EvaluationPeriods))
}

// judge is the state that an alarm should have now; "" leaves it.
// Source: "Using Amazon CloudWatch alarms", evaluating an alarm.
func (s *Store) judge(a *types.MetricAlarm, now time.Time) (types.StateValue, string) {
	compare := comparisons()[a.ComparisonOperator]
	breaching, missing, needed := 0, 0, int(aws.ToInt32(a.DatapointsToAlarm))
	periods := int(aws.ToInt32(a.EvaluationPeriods))
	if needed == 0 {
		needed = periods
	}
	var values []string
	for i := range periods {
		end := now.Add(-time.Duration(i) * period(a))
		value, ok := s.value(a, end.Add(-period(a)), end)
		switch {
		case !ok && aws.ToString(a.TreatMissingData) == "breaching":
			breaching++
		case !ok && aws.ToString(a.TreatMissingData) == "notBreaching":
		case !ok:
			missing++
		case compare(value, *a.Threshold):
			breaching++
			fallthrough
		default:
			values = append(values, strconv.FormatFloat(value, 'g', 4, 64))
		}
	}
	shown := "[" + strings.Join(values, ", ") + "]"
	switch {
	case breaching >= needed:
		// Whoever waits for the alarm, as a deployment that it would have ECS
		// ignore, has to know for how long.
		return types.StateValueAlarm, fmt.Sprintf("Threshold Crossed: %d out of the last %d datapoints %s were %s the threshold (%g). It is OK again once %s have passed without.",
			breaching, periods, shown, inWords[a.ComparisonOperator], *a.Threshold, window(a))
	case missing == periods && aws.ToString(a.TreatMissingData) == "ignore":
		return "", ""
	case missing == periods:
		return types.StateValueInsufficientData, "Insufficient Data: no requests."
	default:
		return types.StateValueOk, fmt.Sprintf("Threshold not crossed: datapoints %s.", shown)
	}
}

// value is what the alarm's metrics say of a stretch of time; false without data.
func (s *Store) value(a *types.MetricAlarm, from, to time.Time) (float64, bool) {
	env, any := map[string]any{}, false
	all := queriesOf(a)
	result, found := 0.0, false
	for _, q := range all {
		if q.MetricStat == nil {
			continue
		}
		delta := s.between(dimension(q.MetricStat.Metric), from, to)
		v, err := stat(q.MetricStat, delta)
		if err != nil || math.IsNaN(v) {
			v = 0
		}
		any = any || delta.Requests > 0
		env[aws.ToString(q.Id)] = v
		if q.ReturnData == nil || *q.ReturnData {
			result, found = v, true
		}
	}
	for _, q := range all {
		if q.Expression == nil || q.ReturnData != nil && !*q.ReturnData {
			continue
		}
		program, err := expr.Compile(*q.Expression, options(env)...)
		if err != nil {
			return 0, false
		}
		out, err := expr.Run(program, env)
		v, isNumber := out.(float64)
		if err != nil || !isNumber || math.IsNaN(v) || math.IsInf(v, 0) {
			return 0, false // as a division by zero gives no datapoint
		}
		result, found = v, true
	}
	return result, found && any
}

// dimension is the target group that a metric is of.
func dimension(m *types.Metric) string {
	for _, d := range m.Dimensions {
		if aws.ToString(d.Name) == "TargetGroup" {
			return aws.ToString(d.Value)
		}
	}
	return ""
}

// between is what a target group saw from one time to another. The sample that
// is nearest before a time stands for it; before the first there was nothing.
func (s *Store) between(group string, from, to time.Time) Counters {
	at := func(when time.Time) Counters {
		var last Counters
		for _, p := range s.past {
			if p.at.After(when) {
				break
			}
			last = p.groups[group]
		}
		return last
	}
	a, b := at(from), at(to)
	out := Counters{
		Requests: b.Requests - min(a.Requests, b.Requests), Errors5xx: b.Errors5xx - min(a.Errors5xx, b.Errors5xx),
		GRPCFailures: b.GRPCFailures - min(a.GRPCFailures, b.GRPCFailures), Seconds: b.Seconds - a.Seconds,
	}
	for i, bucket := range b.Latency {
		if i < len(a.Latency) {
			bucket.Count -= min(a.Latency[i].Count, bucket.Count)
		}
		out.Latency = append(out.Latency, bucket)
	}
	return out
}

// GRPCFailureCount counts the calls that ended with a status which is the
// server's fault. AWS/ApplicationELB has no such metric, for a load balancer
// takes a failed gRPC call, which has the HTTP status 200, for a good one. In
// AWS the services' logs have it: see package provision.
const GRPCFailureCount = "GRPCFailureCount"

// stat is a statistic of a metric over what a group saw.
func stat(q *types.MetricStat, c Counters) (float64, error) {
	name, asked := aws.ToString(q.Metric.MetricName), aws.ToString(q.Stat)
	switch {
	case name == "RequestCount" && asked == "Sum":
		return float64(c.Requests), nil
	case name == "HTTPCode_Target_5XX_Count" && asked == "Sum":
		return float64(c.Errors5xx), nil
	case name == GRPCFailureCount && asked == "Sum":
		return float64(c.GRPCFailures), nil
	case name == "TargetResponseTime" && asked == "Average":
		return c.Seconds / float64(c.Requests), nil
	case name == "TargetResponseTime" && strings.HasPrefix(asked, "p"):
		percent, err := strconv.ParseFloat(asked[1:], 64)
		if err != nil || percent <= 0 || percent > 100 {
			return 0, fmt.Errorf("statistic %s is not known", asked)
		}
		return percentile(c.Latency, percent), nil
	}
	return 0, fmt.Errorf("statistic %q of metric %q is not measured on this cluster", asked, name)
}

// percentile is the value, in seconds, below which so many percent of the
// requests were. Within a bucket they are taken to lie evenly on a logarithmic
// scale, as its neighbours' bounds do; in the first, evenly.
func percentile(buckets []Bucket, percent float64) float64 {
	total := uint64(0)
	for _, b := range buckets {
		total += b.Count
	}
	rank, seen, lower := float64(total)*percent/100, 0.0, 0.0
	for _, b := range buckets {
		upper, count := b.UpTo.Seconds(), float64(b.Count)
		switch {
		case count == 0 || seen+count < rank:
		case upper == 0: // no bound: more than the greatest
			return lower
		case lower == 0:
			return upper * (rank - seen) / count
		default:
			return lower * math.Pow(upper/lower, (rank-seen)/count)
		}
		seen, lower = seen+count, upper
	}
	return 0
}
