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

// alarms are those that the manifest lists, where there are requests to watch.
func (s shell) alarms() []manifest.Alarm {
	if len(s.entries()) == 0 {
		return nil
	}
	return s.service.Deploy.Alarms
}

// alarmNames are the alarms that watch the service's deployments.
func (s shell) alarmNames() []string {
	var names []string
	for _, a := range s.alarms() {
		names = append(names, manifest.AlarmName(s.env.Name, s.service.Name, a))
	}
	return names
}

// keepAlarms writes the service's alarms and deletes those it had before.
func (p *Provisioner) keepAlarms(ctx context.Context, s shell) error {
	var gone []string
	for _, a := range []manifest.Alarm{manifest.AlarmErrors, manifest.AlarmLatency} {
		if !slices.Contains(s.alarms(), a) {
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

// alarm is one of the service's alarms, over both target groups of its first
// load balancer entry: the service as its users see it, whichever release
// answers.
func (s shell) alarm(kind manifest.Alarm) *cloudwatch.PutMetricAlarmInput {
	in := &cloudwatch.PutMetricAlarmInput{
		AlarmName:          aws.String(manifest.AlarmName(s.env.Name, s.service.Name, kind)),
		ComparisonOperator: cwtypes.ComparisonOperatorGreaterThanThreshold,
		TreatMissingData:   aws.String("notBreaching"),
		ActionsEnabled:     aws.Bool(false),
	}
	in.Metrics = s.metrics("r", "RequestCount", "Sum")
	expression := ""
	switch kind {
	case manifest.AlarmErrors:
		in.AlarmDescription = aws.String(fmt.Sprintf("The share of requests to %s that end with a status of 500 or above spends its error budget %g times too fast.", s.service.Name, manifest.BurnRate))
		in.Threshold, in.EvaluationPeriods = aws.Float64(s.service.SLO.ErrorRatio()), aws.Int32(1)
		in.Metrics = append(in.Metrics, s.metrics("e", "HTTPCode_Target_5XX_Count", "Sum")...)
		expression = fmt.Sprintf("IF(FILL(e1,0)+FILL(e2,0) >= %d, (FILL(e1,0)+FILL(e2,0))/(FILL(r1,0)+FILL(r2,0)), 0)", leastErrors)
	case manifest.AlarmLatency:
		in.AlarmDescription = aws.String("One of a hundred requests to " + s.service.Name + " takes longer than its objective.")
		in.Threshold = aws.Float64(time.Duration(s.service.SLO.LatencyP99).Seconds())
		in.EvaluationPeriods = aws.Int32(latencyPeriods)
		in.Metrics = append(in.Metrics, s.metrics("l", "TargetResponseTime", "p99")...)
		expression = fmt.Sprintf("IF(FILL(r1,0)+FILL(r2,0) >= %d, IF(FILL(l1,0) > FILL(l2,0), FILL(l1,0), FILL(l2,0)), 0)", leastRequests)
	}
	in.Metrics = append(in.Metrics, cwtypes.MetricDataQuery{
		Id: aws.String("value"), Label: aws.String(string(kind)), Expression: aws.String(expression), ReturnData: aws.Bool(true),
	})
	return in
}

// metrics are one metric of each of the two target groups, with the ids letter1
// and letter2.
func (s shell) metrics(letter, name, stat string) []cwtypes.MetricDataQuery {
	var out []cwtypes.MetricDataQuery
	for i, tg := range s.entries()[0].groups {
		out = append(out, cwtypes.MetricDataQuery{
			Id: aws.String(fmt.Sprintf("%s%d", letter, i+1)), ReturnData: aws.Bool(false),
			MetricStat: &cwtypes.MetricStat{
				Period: aws.Int32(alarmPeriod), Stat: aws.String(stat),
				Metric: &cwtypes.Metric{
					Namespace: aws.String("AWS/ApplicationELB"), MetricName: aws.String(name),
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
