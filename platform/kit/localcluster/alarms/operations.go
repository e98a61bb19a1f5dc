package alarms

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
	"github.com/aws/smithy-go"

	"github.com/slipway-dev/slipway/platform/kit/localcluster/state"
)

func validation(format string, args ...any) error {
	return &smithy.GenericAPIError{Code: "ValidationError", Message: fmt.Sprintf(format, args...), Fault: smithy.FaultClient}
}

// PutMetricAlarm makes an alarm, or changes one, whose state then stays until
// the next evaluation.
func (s *Store) PutMetricAlarm(_ context.Context, in *cloudwatch.PutMetricAlarmInput) (*cloudwatch.PutMetricAlarmOutput, error) {
	if err := check(in); err != nil {
		return nil, err
	}
	now := s.cfg.Clock.Now().UTC()
	s.mu.Lock()
	defer s.mu.Unlock()
	name := *in.AlarmName
	next := types.MetricAlarm{
		AlarmName: in.AlarmName, AlarmArn: aws.String(s.cfg.ARN("cloudwatch", "alarm:"+name)),
		AlarmDescription: in.AlarmDescription, ActionsEnabled: in.ActionsEnabled,
		AlarmActions: in.AlarmActions, OKActions: in.OKActions, InsufficientDataActions: in.InsufficientDataActions,
		ComparisonOperator: in.ComparisonOperator, DatapointsToAlarm: in.DatapointsToAlarm, Dimensions: in.Dimensions,
		EvaluationPeriods: in.EvaluationPeriods, ExtendedStatistic: in.ExtendedStatistic, MetricName: in.MetricName,
		Metrics: in.Metrics, Namespace: in.Namespace, Period: in.Period, Statistic: in.Statistic, Threshold: in.Threshold,
		TreatMissingData: in.TreatMissingData, Unit: in.Unit, AlarmConfigurationUpdatedTimestamp: aws.Time(now),
	}
	if old := s.alarms[name]; old != nil {
		next.StateValue, next.StateReason = old.StateValue, old.StateReason
		next.StateUpdatedTimestamp, next.StateTransitionedTimestamp = old.StateUpdatedTimestamp, old.StateTransitionedTimestamp
	} else {
		move(&next, types.StateValueInsufficientData, "Unchecked: Initial alarm creation", now)
	}
	if err := s.keep(&next); err != nil {
		return nil, err
	}
	s.alarms[name] = &next
	return &cloudwatch.PutMetricAlarmOutput{}, nil
}

// DescribeAlarms lists metric alarms by name, prefix or state.
func (s *Store) DescribeAlarms(_ context.Context, in *cloudwatch.DescribeAlarmsInput) (*cloudwatch.DescribeAlarmsOutput, error) {
	if len(in.AlarmNames) > 0 && in.AlarmNamePrefix != nil {
		return nil, validation("AlarmNames and AlarmNamePrefix exclude each other.")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	out := &cloudwatch.DescribeAlarmsOutput{MetricAlarms: []types.MetricAlarm{}}
	for _, name := range slices.Sorted(maps.Keys(s.alarms)) {
		switch a := s.alarms[name]; {
		case len(in.AlarmNames) > 0 && !slices.Contains(in.AlarmNames, name):
		case !strings.HasPrefix(name, aws.ToString(in.AlarmNamePrefix)):
		case in.StateValue != "" && in.StateValue != a.StateValue:
		case name <= aws.ToString(in.NextToken):
		case len(out.MetricAlarms) == pageSize(in.MaxRecords):
			out.NextToken = out.MetricAlarms[len(out.MetricAlarms)-1].AlarmName
			return out, nil
		default:
			out.MetricAlarms = append(out.MetricAlarms, *a)
		}
	}
	return out, nil
}

// pageSize is 50 unless asked otherwise, at most 100, as in CloudWatch.
func pageSize(asked *int32) int {
	if n := aws.ToInt32(asked); n > 0 {
		return int(min(n, 100))
	}
	return 50
}

// DeleteAlarms deletes alarms; ones that do not exist are ignored.
func (s *Store) DeleteAlarms(_ context.Context, in *cloudwatch.DeleteAlarmsInput) (*cloudwatch.DeleteAlarmsOutput, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	err := s.cfg.State.Update(func(tx *state.Tx) error {
		for _, name := range in.AlarmNames {
			if err := tx.Delete(bucket, name); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	for _, name := range in.AlarmNames {
		delete(s.alarms, name)
	}
	return &cloudwatch.DeleteAlarmsOutput{}, nil
}

// SetAlarmState puts an alarm into a state until its next evaluation finds
// another one.
func (s *Store) SetAlarmState(_ context.Context, in *cloudwatch.SetAlarmStateInput) (*cloudwatch.SetAlarmStateOutput, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.alarms[aws.ToString(in.AlarmName)]
	if a == nil {
		return nil, &types.ResourceNotFound{Message: aws.String("There is no alarm " + aws.ToString(in.AlarmName) + ".")}
	}
	next := *a
	move(&next, in.StateValue, aws.ToString(in.StateReason), s.cfg.Clock.Now())
	if err := s.keep(&next); err != nil {
		return nil, err
	}
	*a = next
	return &cloudwatch.SetAlarmStateOutput{}, nil
}

// check refuses an alarm that could not be evaluated.
func check(in *cloudwatch.PutMetricAlarmInput) error {
	switch {
	case aws.ToString(in.AlarmName) == "":
		return validation("AlarmName is required.")
	case aws.ToInt32(in.EvaluationPeriods) < 1:
		return validation("EvaluationPeriods must be at least 1.")
	case aws.ToInt32(in.DatapointsToAlarm) > *in.EvaluationPeriods:
		return validation("DatapointsToAlarm must not be above EvaluationPeriods.")
	case in.Threshold == nil:
		return validation("Threshold is required: anomaly detection is not available on this cluster.")
	case in.MetricName != nil && len(in.Metrics) > 0:
		return validation("MetricName and Metrics exclude each other.")
	}
	if _, known := comparisons()[in.ComparisonOperator]; !known {
		return validation("ComparisonOperator %s is not available on this cluster.", in.ComparisonOperator)
	}
	if in.TreatMissingData != nil && !slices.Contains([]string{"missing", "ignore", "breaching", "notBreaching"}, *in.TreatMissingData) {
		return validation("TreatMissingData %s is not known.", *in.TreatMissingData)
	}
	return checkMetrics(in)
}
