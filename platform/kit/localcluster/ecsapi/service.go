package ecsapi

import (
	"context"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/slipway-dev/slipway/platform/kit/localcluster/scheduler/ecserr"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/scheduler/ident"
)

func (a *service) createService(ctx context.Context, in *ecs.CreateServiceInput) (*ecs.CreateServiceOutput, error) {
	if err := a.checkCreate(in); err != nil {
		return nil, err
	}
	svc, err := a.sched.CreateService(ctx, in)
	if err != nil {
		return nil, err
	}
	return &ecs.CreateServiceOutput{Service: &svc}, nil
}

func (a *service) updateService(ctx context.Context, in *ecs.UpdateServiceInput) (*ecs.UpdateServiceOutput, error) {
	if err := a.checkUpdate(in); err != nil {
		return nil, err
	}
	svc, err := a.sched.UpdateService(ctx, in)
	if err != nil {
		return nil, err
	}
	svc.Tags = nil
	return &ecs.UpdateServiceOutput{Service: &svc}, nil
}

func (a *service) deleteService(ctx context.Context, in *ecs.DeleteServiceInput) (*ecs.DeleteServiceOutput, error) {
	svc, err := a.sched.DeleteService(ctx, in)
	if err != nil {
		return nil, err
	}
	svc.Tags = nil
	return &ecs.DeleteServiceOutput{Service: &svc}, nil
}

// maxServices is how many services one call describes.
const maxServices = 10

func (a *service) describeServices(_ context.Context, in *ecs.DescribeServicesInput) (*ecs.DescribeServicesOutput, error) {
	cluster, err := a.sched.Cluster(in.Cluster)
	if err != nil {
		return nil, err
	}
	switch n := len(in.Services); {
	case n == 0:
		return nil, ecserr.Invalid("Services cannot be empty.")
	case n > maxServices:
		return nil, ecserr.Invalid("At most %d services can be described at once.", maxServices)
	}
	all := a.sched.Services(*cluster.ClusterName)
	out := &ecs.DescribeServicesOutput{Services: []types.Service{}, Failures: []types.Failure{}}
	for _, name := range in.Services {
		at := slices.IndexFunc(all, func(s types.Service) bool { return *s.ServiceName == ident.Last(name) })
		if at < 0 {
			out.Failures = append(out.Failures, missing(a.arns+"service/"+*cluster.ClusterName+"/"+ident.Last(name)))
			continue
		}
		svc := all[at]
		if !slices.Contains(in.Include, types.ServiceFieldTags) {
			svc.Tags = nil
		}
		out.Services = append(out.Services, svc)
	}
	return out, nil
}

// servicesPage is how many services ListServices returns unless told.
const servicesPage = 10

func (a *service) listServices(_ context.Context, in *ecs.ListServicesInput) (*ecs.ListServicesOutput, error) {
	cluster, err := a.sched.Cluster(in.Cluster)
	if err != nil {
		return nil, err
	}
	var arns []string
	for _, svc := range a.sched.Services(*cluster.ClusterName) {
		switch {
		case *svc.Status == "INACTIVE":
		case in.LaunchType != "" && svc.LaunchType != in.LaunchType:
		case in.SchedulingStrategy != "" && svc.SchedulingStrategy != in.SchedulingStrategy:
		default:
			arns = append(arns, *svc.ServiceArn)
		}
	}
	arns, next, err := arnPage(arns, in.MaxResults, in.NextToken, servicesPage)
	if err != nil {
		return nil, err
	}
	return &ecs.ListServicesOutput{ServiceArns: arns, NextToken: next}, nil
}

// checkCreate refuses what the embedded cluster would not honour.
func (a *service) checkCreate(in *ecs.CreateServiceInput) error {
	switch {
	case !named.MatchString(aws.ToString(in.ServiceName)):
		return ecserr.Invalid("Service name contains invalid characters: %q.", aws.ToString(in.ServiceName))
	case aws.ToString(in.TaskDefinition) == "":
		return ecserr.Invalid("TaskDefinition cannot be null or empty.")
	case in.DesiredCount == nil:
		return ecserr.Invalid("desiredCount is required with the REPLICA scheduling strategy.")
	case in.SchedulingStrategy == types.SchedulingStrategyDaemon:
		return ecserr.Unsupported("%s is not available on this cluster.", "The DAEMON scheduling strategy")
	case in.DeploymentController != nil && in.DeploymentController.Type != types.DeploymentControllerTypeEcs:
		return ecserr.Unsupported("%s is not available on this cluster.", "The deployment controller "+string(in.DeploymentController.Type))
	case in.LaunchType != "" && len(in.CapacityProviderStrategy) > 0:
		return ecserr.Invalid("Specifying both a launch type and capacity provider strategy is not supported. Remove one and try again.")
	}
	if err := checkAvailable(in); err != nil {
		return err
	}
	if err := checkCommon(in.DesiredCount, in.HealthCheckGracePeriodSeconds, in.LoadBalancers, in.CapacityProviderStrategy); err != nil {
		return err
	}
	return a.checkLaunch(in.LaunchType, aws.ToString(in.TaskDefinition))
}

// checkAvailable refuses what the embedded cluster would not honour.
func checkAvailable(in *ecs.CreateServiceInput) error {
	what := present(map[string]bool{
		"gatewayConnectors":           len(in.GatewayConnectors) > 0,
		"monitoring":                  in.Monitoring != nil,
		"placementConstraints":        len(in.PlacementConstraints) > 0,
		"placementStrategy":           len(in.PlacementStrategy) > 0,
		"serviceConnectConfiguration": in.ServiceConnectConfiguration != nil && in.ServiceConnectConfiguration.Enabled,
		"serviceRegistries":           len(in.ServiceRegistries) > 0,
		"volumeConfigurations":        len(in.VolumeConfigurations) > 0,
		"vpcLatticeConfigurations":    len(in.VpcLatticeConfigurations) > 0,
	})
	if what != "" {
		return ecserr.Unsupported("%s is not available on this cluster.", what)
	}
	return nil
}

func (a *service) checkUpdate(in *ecs.UpdateServiceInput) error {
	if in.DeploymentController != nil && in.DeploymentController.Type != types.DeploymentControllerTypeEcs {
		return ecserr.Unsupported("%s is not available on this cluster.", "The deployment controller "+string(in.DeploymentController.Type))
	}
	err := checkAvailable(&ecs.CreateServiceInput{
		GatewayConnectors: in.GatewayConnectors, Monitoring: in.Monitoring, PlacementConstraints: in.PlacementConstraints,
		PlacementStrategy: in.PlacementStrategy, ServiceConnectConfiguration: in.ServiceConnectConfiguration,
		ServiceRegistries: in.ServiceRegistries, VolumeConfigurations: in.VolumeConfigurations,
		VpcLatticeConfigurations: in.VpcLatticeConfigurations,
	})
	if err != nil {
		return err
	}
	if err := checkCommon(in.DesiredCount, in.HealthCheckGracePeriodSeconds, in.LoadBalancers, in.CapacityProviderStrategy); err != nil {
		return err
	}
	return a.checkLaunch("", aws.ToString(in.TaskDefinition))
}

func checkCommon(desired, grace *int32, balancers []types.LoadBalancer, strategy []types.CapacityProviderStrategyItem) error {
	if aws.ToInt32(desired) < 0 {
		return ecserr.Invalid("desiredCount cannot be negative.")
	}
	if aws.ToInt32(grace) < 0 {
		return ecserr.Invalid("healthCheckGracePeriodSeconds cannot be negative.")
	}
	if len(balancers) > 5 {
		return ecserr.Invalid("load balancers can have at most 5 items.")
	}
	for _, lb := range balancers {
		switch a := lb.AdvancedConfiguration; {
		case a != nil && (aws.ToString(a.AlternateTargetGroupArn) == "" || aws.ToString(a.ProductionListenerRule) == ""):
			return ecserr.Invalid("advancedConfiguration needs alternateTargetGroupArn and productionListenerRule.")
		case aws.ToString(lb.LoadBalancerName) != "":
			return ecserr.Unsupported("%s is not available on this cluster.", "A Classic Load Balancer")
		case aws.ToString(lb.TargetGroupArn) == "":
			return ecserr.Invalid("targetGroupArn cannot be empty.")
		case aws.ToString(lb.ContainerName) == "" || lb.ContainerPort == nil:
			return ecserr.Invalid("A load balancer needs containerName and containerPort.")
		}
	}
	return checkProviders(nil, strategy)
}

// checkLaunch makes sure that a task definition, if one is named, runs on
// Fargate, the only launch type there is.
func (a *service) checkLaunch(launch types.LaunchType, definition string) error {
	if launch != "" && launch != types.LaunchTypeFargate {
		return ecserr.Unsupported("%s is not available on this cluster.", "The launch type "+string(launch))
	}
	def, _, found := a.sched.Definition(definition)
	if found && !slices.Contains(def.Compatibilities, types.CompatibilityFargate) {
		return ecserr.Invalid("Task definition does not support launch_type FARGATE.")
	}
	return nil
}
