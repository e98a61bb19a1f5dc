package manifest

// How canary and linear deployments move traffic. These are the steps of the
// configurations that ECS and CodeDeploy name Canary10Percent5Minutes and, with
// fewer steps than the ten of Linear10PercentEvery1Minutes, a fifth each minute:
// alarms over whole minutes see every step, and a release is out after minutes.
const (
	// CanaryPercent of the traffic goes to the new release first, then all of it.
	CanaryPercent = 10
	// CanaryMinutes is how long a canary has its share.
	CanaryMinutes = 5
	// LinearPercent more of the traffic goes to it with each step.
	LinearPercent = 20
	// LinearMinutes is how long one step lasts.
	LinearMinutes = 1
)

// BurnRate is how much faster than the objective allows the error budget has to
// be spent for the errors alarm to go off: 14.4 spends a thirty-day budget's
// fiftieth in an hour.
// Source: Google, The Site Reliability Workbook, "Alerting on SLOs".
const BurnRate = 14.4

// ErrorRatio is the share of failed requests, 0 to 1, above which the errors
// alarm of the objectives goes off.
func (s SLO) ErrorRatio() float64 { return min(1, BurnRate*(100-s.Availability)/100) }

// AlarmName is the name of a service's CloudWatch alarm in an environment.
func AlarmName(environment, service string, alarm Alarm) string {
	return "slipway-" + environment + "-" + service + "-" + string(alarm)
}
