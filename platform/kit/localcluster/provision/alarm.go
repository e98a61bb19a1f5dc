package provision

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	cwtypes "github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"

	"github.com/slipway-dev/slipway/platform/kit/localcluster/alarms"
	"github.com/slipway-dev/slipway/platform/kit/manifest"
)

// Alarms of a laptop look at seconds where those in AWS look at minutes. What a
// few requests do is no sign of anything: fewer errors, or fewer requests, than
// these in a period set nothing off. One slow period may be the machine's.
const (
	alarmPeriod    = 5 // seconds
	leastErrors    = 5
	leastRequests  = 20
	latencyPeriods = 3
)

// watched are those alarms that the manifest lists, where there are requests to watch.
func (s shell) watched() []manifest.Alarm {
	if len(s.entries()) == 0 {
		return nil
	}
	return s.service.Deploy.Alarms
}

// alarmNames are the alarms that watch the service's deployments.
func (s shell) alarmNames() []string {
	var names []string
	for _, a := range s.watched() {
		names = append(names, manifest.AlarmName(s.env.Name, s.service.Name, a))
	}
	return names
}

// keepAlarms writes the service's alarms and deletes those it had before.
func (p *Provisioner) keepAlarms(ctx context.Context, s shell) error {
	var gone []string
	for _, a := range []manifest.Alarm{manifest.AlarmErrors, manifest.AlarmLatency} {
		if !slices.Contains(s.watched(), a) {
			gone = append(gone, manifest.AlarmName(s.env.Name, s.service.Name, a))
			continue
		}
		if _, err := p.watch.PutMetricAlarm(ctx, s.alarm(a)); err != nil {
			return fmt.Errorf("put the %s alarm: %w", a, err)
		}
	}
	if len(gone) == 0 {
		return nil
	}
	if _, err := p.watch.DeleteAlarms(ctx, &cloudwatch.DeleteAlarmsInput{AlarmNames: gone}); err != nil {
		return fmt.Errorf("delete alarms: %w", err)
	}
	return nil
}

// alarm is one of the service's alarms, over both target groups of its load
// balancer entries: the service as its users see it, whichever release answers.
// Only the first entry counts for the latency, for gRPC has streams.
func (s shell) alarm(kind manifest.Alarm) *cloudwatch.PutMetricAlarmInput {
	in := &cloudwatch.PutMetricAlarmInput{
		AlarmName:          aws.String(manifest.AlarmName(s.env.Name, s.service.Name, kind)),
		ComparisonOperator: cwtypes.ComparisonOperatorGreaterThanThreshold,
		TreatMissingData:   aws.String("notBreaching"),
		ActionsEnabled:     aws.Bool(false),
	}
	expression := ""
	switch kind {
	case manifest.AlarmErrors:
		in.AlarmDescription = aws.String(fmt.Sprintf("The share of requests to %s that end with a status of 500 or above, or with a gRPC status that is the server's fault, spends its error budget %g times too fast.", s.service.Name, manifest.BurnRate))
		in.Threshold, in.EvaluationPeriods = aws.Float64(s.service.SLO.ErrorRatio()), aws.Int32(1)
		in.Metrics, expression = s.failures()
	case manifest.AlarmLatency:
		in.AlarmDescription = aws.String("One of a hundred requests to " + s.service.Name + " takes longer than its objective.")
		in.Threshold = aws.Float64(time.Duration(s.service.SLO.LatencyP99).Seconds())
		in.EvaluationPeriods = aws.Int32(latencyPeriods)
		first := s.entries()[0]
		in.Metrics = append(s.metrics(first, "r", requestCount), s.metrics(first, "l", latency)...)
		expression = fmt.Sprintf("IF(FILL(r1,0)+FILL(r2,0) >= %d, IF(FILL(l1,0) > FILL(l2,0), FILL(l1,0), FILL(l2,0)), 0)", leastRequests)
	}
	in.Metrics = append(in.Metrics, cwtypes.MetricDataQuery{
		Id: aws.String("value"), Label: aws.String(string(kind)), Expression: aws.String(expression), ReturnData: aws.Bool(true),
	})
	return in
}

// failures are the share of failed requests, REST's or gRPC's, whichever is the
// greater: many good calls of one kind do not hide that all of the other fail.
//
// A load balancer in AWS does not look at gRPC statuses. There the same alarm
// has, in the place of GRPCFailureCount and the gRPC group's RequestCount, two
// metric filters on the service's log group, whose line for each call has its
// status: { $.msg = "request" && $.protocol = "grpc" } counts the calls, with
// ($.code = "Unknown" || $.code = "DeadlineExceeded" || $.code =
// "Unimplemented" || $.code = "Internal" || $.code = "Unavailable" || $.code =
// "DataLoss") besides, the failed ones. Expression and threshold are the same.
func (s shell) failures() (metrics []cwtypes.MetricDataQuery, expression string) {
	for _, e := range s.entries() {
		requests, failed, name := "r", "e", "HTTPCode_Target_5XX_Count"
		if e.port == grpcName {
			requests, failed, name = "q", "g", alarms.GRPCFailureCount
		}
		metrics = append(metrics, s.metrics(e, requests, requestCount)...)
		metrics = append(metrics, s.metrics(e, failed, metric{name, "Sum"})...)
		sum := func(letter string) string { return fmt.Sprintf("(FILL(%[1]s1,0)+FILL(%[1]s2,0))", letter) }
		share := fmt.Sprintf("IF(%[1]s >= %[3]d, %[1]s/%[2]s, 0)", sum(failed), sum(requests), leastErrors)
		if expression == "" {
			expression = share
		} else {
			expression = fmt.Sprintf("IF(%[1]s > %[2]s, %[1]s, %[2]s)", expression, share)
		}
	}
	return metrics, expression
}

// metric is a metric and the statistic to look at.
type metric struct{ name, stat string }

// Metrics of both alarms.
var (
	requestCount = metric{"RequestCount", "Sum"}
	latency      = metric{"TargetResponseTime", "p99"}
)

// metrics are one metric of each of the two target groups of a load balancer
// entry, with the ids letter1 and letter2.
func (s shell) metrics(e entry, letter string, of metric) []cwtypes.MetricDataQuery {
	namespace := "AWS/ApplicationELB"
	if of.name == alarms.GRPCFailureCount {
		namespace = "Slipway"
	}
	var out []cwtypes.MetricDataQuery
	for i, tg := range e.groups {
		out = append(out, cwtypes.MetricDataQuery{
			Id: aws.String(fmt.Sprintf("%s%d", letter, i+1)), ReturnData: aws.Bool(false),
			MetricStat: &cwtypes.MetricStat{
				Period: aws.Int32(alarmPeriod), Stat: aws.String(of.stat),
				Metric: &cwtypes.Metric{
					Namespace: aws.String(namespace), MetricName: aws.String(of.name),
					Dimensions: []cwtypes.Dimension{
						{Name: aws.String("LoadBalancer"), Value: aws.String("app/" + s.cluster() + "/" + stableID(s.cluster()))},
						{Name: aws.String("TargetGroup"), Value: aws.String(tg.ARN[strings.LastIndex(tg.ARN, ":")+1:])},
					},
				},
			},
		})
	}
	return out
}
