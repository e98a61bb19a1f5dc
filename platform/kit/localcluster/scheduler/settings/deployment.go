// Package settings checks a service's configuration and lays an update over
// it. It is pure: it looks at requests and task definitions alone.
package settings

import (
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/slipway-dev/slipway/platform/kit/localcluster/scheduler/ecserr"
)

// Defaults of a replica service's deployment configuration.
// Source: DeploymentConfiguration in the ECS API reference.
const (
	defaultMinimumHealthyPercent = 100
	defaultMaximumPercent        = 200
)

// Deployment lays what a request names over what is there, and refuses
// what cannot work or is not there.
func Deployment(old, asked *types.DeploymentConfiguration) (*types.DeploymentConfiguration, error) {
	config := types.DeploymentConfiguration{
		MinimumHealthyPercent:    aws.Int32(defaultMinimumHealthyPercent),
		MaximumPercent:           aws.Int32(defaultMaximumPercent),
		Strategy:                 types.DeploymentStrategyRolling,
		BakeTimeInMinutes:        aws.Int32(0),
		DeploymentCircuitBreaker: &types.DeploymentCircuitBreaker{},
	}
	if old != nil {
		config = *old
	}
	if asked == nil {
		return &config, nil
	}
	if err := supported(asked); err != nil {
		return nil, err
	}
	if asked.MinimumHealthyPercent != nil {
		config.MinimumHealthyPercent = asked.MinimumHealthyPercent
	}
	if asked.MaximumPercent != nil {
		config.MaximumPercent = asked.MaximumPercent
	}
	if asked.DeploymentCircuitBreaker != nil {
		config.DeploymentCircuitBreaker = asked.DeploymentCircuitBreaker
	}
	if asked.Alarms != nil {
		config.Alarms = asked.Alarms
	}
	return &config, checkConfig(&config)
}

// supported refuses what this scheduler does not do yet.
func supported(c *types.DeploymentConfiguration) error {
	switch {
	case c.Strategy != "" && c.Strategy != types.DeploymentStrategyRolling:
		return ecserr.Unsupported("The deployment strategy %s is not available on this cluster.", c.Strategy)
	case c.CanaryConfiguration != nil || c.LinearConfiguration != nil:
		return ecserr.Invalid("canaryConfiguration and linearConfiguration do not apply to the deployment strategy ROLLING.")
	case c.Alarms != nil && c.Alarms.Enable:
		return ecserr.Unsupported("Deployment alarms are not available on this cluster.")
	case aws.ToInt32(c.BakeTimeInMinutes) != 0:
		return ecserr.Unsupported("A bake time is not available on this cluster for the deployment strategy ROLLING.")
	case len(c.LifecycleHooks) > 0:
		return ecserr.Unsupported("Deployment lifecycle hooks are not available on this cluster.")
	case c.EarlySuccessCriteria != nil && c.EarlySuccessCriteria.Enable:
		return ecserr.Unsupported("Early success criteria are not available on this cluster.")
	}
	return nil
}

func checkConfig(c *types.DeploymentConfiguration) error {
	low, high := *c.MinimumHealthyPercent, *c.MaximumPercent
	switch {
	case low < 0 || low > 100:
		return ecserr.Invalid("minimumHealthyPercent must be between 0 and 100, is %d.", low)
	case high < 100:
		return ecserr.Invalid("maximumPercent must be at least 100, is %d.", high)
	case low == 100 && high == 100:
		return ecserr.Invalid("maximumPercent must be above minimumHealthyPercent: with 100 and 100 no deployment can take a step.")
	}
	b := c.DeploymentCircuitBreaker
	if b == nil || b.ThresholdConfiguration == nil {
		return nil
	}
	switch b.ThresholdConfiguration.Type {
	case types.ThresholdTypeCount, types.ThresholdTypeBoundedPercent, types.ThresholdTypeUnboundedPercent:
	default:
		return ecserr.Invalid("The circuit breaker threshold type %s is not known.", b.ThresholdConfiguration.Type)
	}
	if b.ThresholdConfiguration.Value < 1 {
		return ecserr.Invalid("The circuit breaker threshold value must be at least 1.")
	}
	return nil
}
