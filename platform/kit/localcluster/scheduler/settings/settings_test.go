package settings

import (
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

func TestDeploymentLaysTheUpdateOver(t *testing.T) {
	first, err := Deployment(nil, &types.DeploymentConfiguration{MinimumHealthyPercent: aws.Int32(50)})
	if err != nil {
		t.Fatal(err)
	}
	if *first.MinimumHealthyPercent != 50 || *first.MaximumPercent != 200 || first.Strategy != types.DeploymentStrategyRolling {
		t.Errorf("created with %d, %d, %s", *first.MinimumHealthyPercent, *first.MaximumPercent, first.Strategy)
	}
	second, err := Deployment(first, &types.DeploymentConfiguration{DeploymentCircuitBreaker: &types.DeploymentCircuitBreaker{Enable: true}})
	if err != nil {
		t.Fatal(err)
	}
	if *second.MinimumHealthyPercent != 50 || !second.DeploymentCircuitBreaker.Enable || first.DeploymentCircuitBreaker.Enable {
		t.Errorf("updated to %d, breaker %v; before %v", *second.MinimumHealthyPercent, second.DeploymentCircuitBreaker, first.DeploymentCircuitBreaker)
	}
}

func TestDeploymentRefuses(t *testing.T) {
	threshold := func(kind types.ThresholdType, value int32) *types.DeploymentConfiguration {
		return &types.DeploymentConfiguration{DeploymentCircuitBreaker: &types.DeploymentCircuitBreaker{
			Enable: true, ThresholdConfiguration: &types.ThresholdConfiguration{Type: kind, Value: value},
		}}
	}
	tests := map[string]struct {
		config *types.DeploymentConfiguration
		says   string
	}{
		"minimum":        {&types.DeploymentConfiguration{MinimumHealthyPercent: aws.Int32(101)}, "between 0 and 100"},
		"maximum":        {&types.DeploymentConfiguration{MaximumPercent: aws.Int32(99)}, "at least 100"},
		"no room":        {&types.DeploymentConfiguration{MaximumPercent: aws.Int32(100)}, "no deployment can take a step"},
		"strategy":       {&types.DeploymentConfiguration{Strategy: "SUDDEN"}, "strategy SUDDEN is not known"},
		"canary":         {&types.DeploymentConfiguration{CanaryConfiguration: &types.CanaryConfiguration{}}, "canaryConfiguration does not apply"},
		"linear":         {&types.DeploymentConfiguration{LinearConfiguration: &types.LinearConfiguration{}}, "linearConfiguration does not apply"},
		"canary percent": {&types.DeploymentConfiguration{Strategy: types.DeploymentStrategyCanary, CanaryConfiguration: &types.CanaryConfiguration{CanaryPercent: aws.Float64(0)}}, "canaryPercent must be between 0.1 and 100"},
		"step percent":   {&types.DeploymentConfiguration{Strategy: types.DeploymentStrategyLinear, LinearConfiguration: &types.LinearConfiguration{StepPercent: aws.Float64(2)}}, "stepPercent must be between 3 and 100"},
		"bake":           {&types.DeploymentConfiguration{BakeTimeInMinutes: aws.Int32(1441)}, "bakeTimeInMinutes must be between 0 and 1440"},
		"early success":  {&types.DeploymentConfiguration{EarlySuccessCriteria: &types.DeploymentEarlySuccessCriteria{Enable: true}}, "Early success"},
		"hooks":          {&types.DeploymentConfiguration{LifecycleHooks: []types.DeploymentLifecycleHook{{}}}, "lifecycle hooks"},
		"threshold type": {threshold("SOME", 1), "type SOME is not known"},
		"threshold":      {threshold(types.ThresholdTypeCount, 0), "at least 1"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if _, err := Deployment(nil, tt.config); err == nil || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("error = %v, want one that says %q", err, tt.says)
			}
		})
	}
}
