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
	if asked.Strategy != "" {
		config.Strategy = asked.Strategy
	}
	if asked.BakeTimeInMinutes != nil {
		config.BakeTimeInMinutes = asked.BakeTimeInMinutes
	}
	if asked.CanaryConfiguration != nil {
		config.CanaryConfiguration = asked.CanaryConfiguration
	}
	if asked.LinearConfiguration != nil {
		config.LinearConfiguration = asked.LinearConfiguration
	}
	// A change of strategy leaves the other strategy's settings behind.
	if asked.CanaryConfiguration == nil && config.Strategy != types.DeploymentStrategyCanary {
		config.CanaryConfiguration = nil
	}
	if asked.LinearConfiguration == nil && config.Strategy != types.DeploymentStrategyLinear {
		config.LinearConfiguration = nil
	}
	return &config, errorOf(checkConfig(&config), checkStrategy(&config))
}

// supported refuses what this scheduler does not do.
func supported(c *types.DeploymentConfiguration) error {
	switch {
	case len(c.LifecycleHooks) > 0:
		return ecserr.Unsupported("Deployment lifecycle hooks are not available on this cluster.")
	case c.EarlySuccessCriteria != nil && c.EarlySuccessCriteria.Enable:
		return ecserr.Unsupported("Early success criteria are not available on this cluster.")
	}
	return nil
}

// errorOf returns the first error.
func errorOf(all ...error) error {
	for _, err := range all {
		if err != nil {
			return err
		}
	}
	return nil
}

// maxMinutes bounds every bake time: a day.
const maxMinutes = 1440

// checkStrategy holds the strategy's settings to the bounds of the API.
// Source: DeploymentConfiguration, CanaryConfiguration and LinearConfiguration
// in the ECS API reference.
func checkStrategy(c *types.DeploymentConfiguration) error {
	switch c.Strategy {
	case types.DeploymentStrategyRolling, types.DeploymentStrategyBlueGreen, types.DeploymentStrategyCanary, types.DeploymentStrategyLinear:
	default:
		return ecserr.Invalid("The deployment strategy %s is not known.", c.Strategy)
	}
	if c.CanaryConfiguration != nil && c.Strategy != types.DeploymentStrategyCanary {
		return ecserr.Invalid("canaryConfiguration does not apply to the deployment strategy %s.", c.Strategy)
	}
	if c.LinearConfiguration != nil && c.Strategy != types.DeploymentStrategyLinear {
		return ecserr.Invalid("linearConfiguration does not apply to the deployment strategy %s.", c.Strategy)
	}
	if err := minutes("bakeTimeInMinutes", c.BakeTimeInMinutes); err != nil {
		return err
	}
	if canary := c.CanaryConfiguration; canary != nil {
		if err := percent("canaryPercent", canary.CanaryPercent, 0.1); err != nil {
			return err
		}
		return minutes("canaryBakeTimeInMinutes", canary.CanaryBakeTimeInMinutes)
	}
	if linear := c.LinearConfiguration; linear != nil {
		if err := percent("stepPercent", linear.StepPercent, 3); err != nil {
			return err
		}
		return minutes("stepBakeTimeInMinutes", linear.StepBakeTimeInMinutes)
	}
	return nil
}

func minutes(name string, n *int32) error {
	if v := aws.ToInt32(n); v < 0 || v > maxMinutes {
		return ecserr.Invalid("%s must be between 0 and %d, is %d.", name, maxMinutes, v)
	}
	return nil
}

func percent(name string, p *float64, least float64) error {
	if p != nil && (*p < least || *p > 100) {
		return ecserr.Invalid("%s must be between %g and 100, is %g.", name, least, *p)
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
