package awsx

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"

	"github.com/slipway-dev/slipway/platform/kit/rollout"
)

// Alarms implements [rollout.Alarms].
func (c *Client) Alarms(ctx context.Context, names []string) ([]rollout.Alarm, error) {
	var list []rollout.Alarm
	for pages := cloudwatch.NewDescribeAlarmsPaginator(c.watch, &cloudwatch.DescribeAlarmsInput{
		AlarmNames: names, AlarmTypes: []types.AlarmType{types.AlarmTypeMetricAlarm, types.AlarmTypeCompositeAlarm},
	}); pages.HasMorePages(); {
		out, err := pages.NextPage(ctx)
		if err != nil {
			return nil, c.wrap("describe alarms", err)
		}
		for _, a := range out.MetricAlarms {
			list = append(list, rollout.Alarm{Name: str(a.AlarmName), Firing: a.StateValue == types.StateValueAlarm, Reason: str(a.StateReason)})
		}
		for _, a := range out.CompositeAlarms {
			list = append(list, rollout.Alarm{Name: str(a.AlarmName), Firing: a.StateValue == types.StateValueAlarm, Reason: str(a.StateReason)})
		}
	}
	return list, nil
}
