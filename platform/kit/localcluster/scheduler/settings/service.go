package settings

import (
	"reflect"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/slipway-dev/slipway/platform/kit/localcluster/scheduler/ecserr"
)

// latestPlatform is what LATEST stands for on Fargate.
const latestPlatform = "1.4.0"

// PlatformVersion is the Fargate platform version that a request means.
func PlatformVersion(asked *string) string {
	if v := aws.ToString(asked); v != "" && v != "LATEST" {
		return v
	}
	return latestPlatform
}

// PlatformFamily is the operating system a definition is for.
func PlatformFamily(def types.TaskDefinition) string {
	if def.RuntimePlatform != nil && def.RuntimePlatform.OperatingSystemFamily != "" {
		return string(def.RuntimePlatform.OperatingSystemFamily)
	}
	return "Linux"
}

// Merge applies what does not change the tasks.
func Merge(svc *types.Service, in *ecs.UpdateServiceInput) {
	if in.HealthCheckGracePeriodSeconds != nil {
		svc.HealthCheckGracePeriodSeconds = in.HealthCheckGracePeriodSeconds
	}
	if in.EnableECSManagedTags != nil {
		svc.EnableECSManagedTags = *in.EnableECSManagedTags
	}
	if in.EnableExecuteCommand != nil {
		svc.EnableExecuteCommand = *in.EnableExecuteCommand
	}
	if in.PropagateTags != "" {
		svc.PropagateTags = in.PropagateTags
	}
	if in.AvailabilityZoneRebalancing != "" {
		svc.AvailabilityZoneRebalancing = in.AvailabilityZoneRebalancing
	}
}

// SameTasks reports whether two configurations run the same tasks in the same
// way, so that there is nothing to deploy.
func SameTasks(a, b types.Service) bool {
	return *a.TaskDefinition == *b.TaskDefinition &&
		aws.ToString(a.PlatformVersion) == aws.ToString(b.PlatformVersion) &&
		a.LaunchType == b.LaunchType &&
		reflect.DeepEqual(a.LoadBalancers, b.LoadBalancers) &&
		reflect.DeepEqual(a.NetworkConfiguration, b.NetworkConfiguration) &&
		reflect.DeepEqual(a.CapacityProviderStrategy, b.CapacityProviderStrategy)
}

// CheckShift makes sure that a strategy that moves traffic can: each load
// balancer needs a second target group and the rule that chooses between them.
// Source: LoadBalancer.advancedConfiguration in the ECS API reference.
func CheckShift(svc types.Service) error {
	if svc.DeploymentConfiguration.Strategy == types.DeploymentStrategyRolling {
		return nil
	}
	for _, lb := range svc.LoadBalancers {
		a := lb.AdvancedConfiguration
		if a == nil || aws.ToString(a.AlternateTargetGroupArn) == "" || aws.ToString(a.ProductionListenerRule) == "" {
			return ecserr.Invalid("advancedConfiguration with alternateTargetGroupArn and productionListenerRule is required "+
				"on every load balancer for the deployment strategy %s.", svc.DeploymentConfiguration.Strategy)
		}
	}
	return nil
}

// CheckBalancers makes sure that the containers and ports exist.
func CheckBalancers(balancers []types.LoadBalancer, def types.TaskDefinition) error {
	for _, lb := range balancers {
		if err := checkBalancer(lb, def); err != nil {
			return err
		}
	}
	return nil
}

func checkBalancer(lb types.LoadBalancer, def types.TaskDefinition) error {
	for _, c := range def.ContainerDefinitions {
		if *c.Name != aws.ToString(lb.ContainerName) {
			continue
		}
		for _, p := range c.PortMappings {
			if aws.ToInt32(p.ContainerPort) == aws.ToInt32(lb.ContainerPort) {
				return nil
			}
		}
		return ecserr.Invalid("The container %s did not have a container port %d defined.", *c.Name, aws.ToInt32(lb.ContainerPort))
	}
	return ecserr.Invalid("The container %s does not exist in the task definition.", aws.ToString(lb.ContainerName))
}
