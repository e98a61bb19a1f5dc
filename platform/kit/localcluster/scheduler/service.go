package scheduler

import (
	"context"
	"reflect"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/slipway-dev/slipway/platform/kit/localcluster/scheduler/ecserr"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/scheduler/ident"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/scheduler/ledger"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/scheduler/settings"
)

// Service states.
const (
	serviceActive   = "ACTIVE"
	serviceDraining = "DRAINING"
	serviceInactive = "INACTIVE"
)

// CreateService adds a service and begins its first deployment.
func (s *Scheduler) CreateService(ctx context.Context, in *ecs.CreateServiceInput) (types.Service, error) {
	var out types.Service
	err := s.request(ctx, func(t *turn) error {
		cluster, err := t.activeCluster(in.Cluster)
		if err != nil {
			return err
		}
		name := aws.ToString(in.ServiceName)
		key := ledger.Key(*cluster.Cluster.ClusterName, name)
		if old := t.ledger.Services.Get(key); old != nil {
			switch status := *old.Service.Status; {
			case status == serviceDraining:
				return ecserr.Invalid("Unable to Start a service that is still Draining.")
			case status == serviceActive && old.ClientToken != "" && old.ClientToken == aws.ToString(in.ClientToken):
				out = t.serviceView(old)
				return nil
			case status == serviceActive:
				return ecserr.Invalid("Creation of service was not idempotent.")
			}
		}
		def, err := t.activeDefinition(aws.ToString(in.TaskDefinition))
		if err != nil {
			return err
		}
		svc, err := t.newService(cluster, def, in)
		if err != nil {
			return err
		}
		t.removeService(key)
		t.ledger.Services.Put(key, svc)
		t.begin(svc)
		t.divide(svc) // whatever a service of that name left
		t.touch(key)
		t.settle()
		out = t.serviceView(svc)
		return nil
	})
	return out, err
}

// newService is the record of a service as asked for, defaults filled in.
func (t *turn) newService(cluster *ledger.Cluster, def *ledger.Definition, in *ecs.CreateServiceInput) (*ledger.Service, error) {
	name, clusterName := aws.ToString(in.ServiceName), *cluster.Cluster.ClusterName
	deployment, err := settings.Deployment(nil, in.DeploymentConfiguration)
	if err != nil {
		return nil, err
	}
	if err := settings.CheckBalancers(in.LoadBalancers, def.Definition); err != nil {
		return nil, err
	}
	svc := &ledger.Service{
		Cluster: clusterName, ClientToken: aws.ToString(in.ClientToken),
		Service: types.Service{
			ServiceArn:  aws.String(t.names.ARN("service/" + clusterName + "/" + name)),
			ServiceName: aws.String(name), ClusterArn: cluster.Cluster.ClusterArn,
			Status: aws.String(serviceActive), CreatedAt: aws.Time(t.now),
			TaskDefinition: def.Definition.TaskDefinitionArn, DesiredCount: aws.ToInt32(in.DesiredCount),
			DeploymentConfiguration: deployment,
			DeploymentController:    &types.DeploymentController{Type: types.DeploymentControllerTypeEcs},
			SchedulingStrategy:      types.SchedulingStrategyReplica,
			LaunchType:              in.LaunchType, CapacityProviderStrategy: in.CapacityProviderStrategy,
			LoadBalancers: in.LoadBalancers, NetworkConfiguration: in.NetworkConfiguration,
			HealthCheckGracePeriodSeconds: in.HealthCheckGracePeriodSeconds,
			EnableECSManagedTags:          in.EnableECSManagedTags, EnableExecuteCommand: in.EnableExecuteCommand,
			PlatformVersion: aws.String(settings.PlatformVersion(in.PlatformVersion)),
			PlatformFamily:  aws.String(settings.PlatformFamily(def.Definition)),
			PropagateTags:   in.PropagateTags, Tags: in.Tags,
			AvailabilityZoneRebalancing: in.AvailabilityZoneRebalancing,
			RoleArn:                     in.Role,
		},
	}
	if err := t.possible(svc.Service); err != nil {
		return nil, err
	}
	if svc.Service.PropagateTags == "" {
		svc.Service.PropagateTags = types.PropagateTagsNone
	}
	if svc.Service.LaunchType == "" && len(in.CapacityProviderStrategy) == 0 {
		svc.Service.LaunchType = types.LaunchTypeFargate
	}
	if svc.Service.HealthCheckGracePeriodSeconds == nil && len(in.LoadBalancers) > 0 {
		svc.Service.HealthCheckGracePeriodSeconds = aws.Int32(0)
	}
	return svc, nil
}

// UpdateService changes a service. A change of what its tasks are, or
// forceNewDeployment, begins a new deployment.
func (s *Scheduler) UpdateService(ctx context.Context, in *ecs.UpdateServiceInput) (types.Service, error) {
	var out types.Service
	err := s.request(ctx, func(t *turn) error {
		svc, err := t.activeService(in.Cluster, in.Service)
		if err != nil {
			return err
		}
		next := svc.Service
		if err := t.merge(&next, in); err != nil {
			return err
		}
		redeploy := in.ForceNewDeployment || !settings.SameTasks(svc.Service, next)
		rerouted := !reflect.DeepEqual(svc.Service.LoadBalancers, next.LoadBalancers)
		svc.Service = next
		if redeploy {
			t.begin(svc)
		}
		if rerouted {
			t.divide(svc) // a new rule knows nothing of earlier deployments
		}
		t.touchService(svc)
		t.touch(serviceKey(svc))
		t.settle()
		out = t.serviceView(svc)
		return nil
	})
	return out, err
}

// merge applies what the request names to a copy of the service.
func (t *turn) merge(svc *types.Service, in *ecs.UpdateServiceInput) error {
	def := t.definitionByARN(*svc.TaskDefinition)
	if in.TaskDefinition != nil {
		named, err := t.activeDefinition(*in.TaskDefinition)
		if err != nil {
			return err
		}
		def = named
		svc.TaskDefinition = def.Definition.TaskDefinitionArn
		svc.PlatformFamily = aws.String(settings.PlatformFamily(def.Definition))
	}
	deployment, err := settings.Deployment(svc.DeploymentConfiguration, in.DeploymentConfiguration)
	if err != nil {
		return err
	}
	svc.DeploymentConfiguration = deployment
	if in.LoadBalancers != nil {
		svc.LoadBalancers = in.LoadBalancers
	}
	if def != nil {
		if err := settings.CheckBalancers(svc.LoadBalancers, def.Definition); err != nil {
			return err
		}
	}
	if in.DesiredCount != nil {
		svc.DesiredCount = *in.DesiredCount
	}
	if in.NetworkConfiguration != nil {
		svc.NetworkConfiguration = in.NetworkConfiguration
	}
	if in.PlatformVersion != nil {
		svc.PlatformVersion = aws.String(settings.PlatformVersion(in.PlatformVersion))
	}
	if in.CapacityProviderStrategy != nil {
		svc.CapacityProviderStrategy, svc.LaunchType = in.CapacityProviderStrategy, ""
		if len(in.CapacityProviderStrategy) == 0 {
			svc.LaunchType = types.LaunchTypeFargate
		}
	}
	settings.Merge(svc, in)
	return t.possible(*svc)
}

// possible refuses a configuration that no deployment could follow.
func (t *turn) possible(svc types.Service) error {
	if alarms := svc.DeploymentConfiguration.Alarms; alarms != nil && alarms.Enable && t.cfg.Alarms == nil {
		return ecserr.Unsupported("Deployment alarms are not available on this cluster.")
	}
	return settings.CheckShift(svc)
}

// DeleteService drains a service; it is INACTIVE once its last task has
// stopped. A service that wants tasks is only deleted by force.
func (s *Scheduler) DeleteService(ctx context.Context, in *ecs.DeleteServiceInput) (types.Service, error) {
	var out types.Service
	err := s.request(ctx, func(t *turn) error {
		svc, err := t.activeService(in.Cluster, in.Service)
		if err != nil {
			return err
		}
		if svc.Service.DesiredCount > 0 && !aws.ToBool(in.Force) {
			return ecserr.Invalid("The service cannot be stopped while it is scaled above 0.")
		}
		t.supersede(svc)
		svc.Service.Status, svc.Service.DesiredCount = aws.String(serviceDraining), 0
		t.touchService(svc)
		t.touch(serviceKey(svc))
		out = t.serviceView(svc)
		return nil
	})
	return out, err
}

// deactivate ends a drained service.
func (t *turn) deactivate(svc *ledger.Service) {
	t.written = true
	svc.Service.Status = aws.String(serviceInactive)
	for _, dep := range t.deploymentsOf(svc) {
		t.ledger.Deployments.Delete(*dep.Deployment.Id)
	}
	svc.Primary = ""
	t.touchService(svc)
}

// removeService drops what an INACTIVE service of the same name left.
func (t *turn) removeService(key string) {
	for arn, row := range t.ledger.Rollouts.All {
		if row.Service == key {
			t.ledger.Rollouts.Delete(arn)
		}
	}
	for arn, row := range t.ledger.Revisions.All {
		if row.Service == key {
			t.ledger.Revisions.Delete(arn)
		}
	}
	t.ledger.Services.Delete(key)
}

// activeService finds an ACTIVE service by name or ARN.
func (t *turn) activeService(cluster, service *string) (*ledger.Service, error) {
	c, err := t.activeCluster(cluster)
	if err != nil {
		return nil, err
	}
	svc := t.ledger.Services.Get(ledger.Key(*c.Cluster.ClusterName, ident.Last(aws.ToString(service))))
	if svc == nil {
		return nil, ecserr.NoService()
	}
	if *svc.Service.Status != serviceActive {
		return nil, ecserr.ServiceNotActive()
	}
	return svc, nil
}

// taskTags are the tags of a service's tasks: those it propagates and, where
// wanted, the managed ones.
func (t *turn) taskTags(svc *ledger.Service, def *ledger.Definition) []types.Tag {
	var tags []types.Tag
	switch svc.Service.PropagateTags {
	case types.PropagateTagsService:
		tags = append(tags, svc.Service.Tags...)
	case types.PropagateTagsTaskDefinition:
		tags = append(tags, def.Tags...)
	case types.PropagateTagsNone:
	}
	if svc.Service.EnableECSManagedTags {
		tags = append(tags,
			types.Tag{Key: aws.String("aws:ecs:clusterName"), Value: aws.String(svc.Cluster)},
			types.Tag{Key: aws.String("aws:ecs:serviceName"), Value: svc.Service.ServiceName})
	}
	return tags
}
