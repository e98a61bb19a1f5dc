package provision

import (
	"context"
	"fmt"
	"reflect"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	ecstypes "github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/slipway-dev/slipway/platform/kit/contract"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/wire"
	"github.com/slipway-dev/slipway/platform/kit/manifest"
)

// keepService makes the ECS service with no task and a bootstrap revision that
// never runs, or brings an existing one's settings up to date. Desired count
// and revision of an existing service are the deploy kit's and stay.
func (p *Provisioner) keepService(ctx context.Context, s shell, c contract.Contract) error {
	out, err := p.ecs.DescribeServices(ctx, &ecs.DescribeServicesInput{
		Cluster: aws.String(c.Cluster), Services: []string{c.ECSService},
	})
	if err != nil {
		return fmt.Errorf("describe service: %w", err)
	}
	want := s.settings()
	if len(out.Services) == 1 && aws.ToString(out.Services[0].Status) == "ACTIVE" {
		return p.updateService(ctx, c, out.Services[0], want)
	}
	bootstrap, err := p.register(ctx, c)
	if err != nil {
		return err
	}
	want.Cluster, want.ServiceName = aws.String(c.Cluster), aws.String(c.ECSService)
	want.TaskDefinition, want.DesiredCount = aws.String(bootstrap), aws.Int32(0)
	want.LaunchType = ecstypes.LaunchTypeFargate
	want.NetworkConfiguration = &ecstypes.NetworkConfiguration{AwsvpcConfiguration: &ecstypes.AwsVpcConfiguration{
		Subnets: []string{"subnet-00000000000000000"}, SecurityGroups: []string{"sg-00000000000000000"},
	}}
	if _, err := p.ecs.CreateService(ctx, want); err != nil {
		return fmt.Errorf("create service: %w", err)
	}
	return nil
}

// settings are the parts of the service that belong to its shell.
func (s shell) settings() *ecs.CreateServiceInput {
	in := &ecs.CreateServiceInput{DeploymentConfiguration: s.deployment()}
	for _, e := range s.entries() {
		in.LoadBalancers = append(in.LoadBalancers, ecstypes.LoadBalancer{
			TargetGroupArn: aws.String(e.groups[0].ARN), ContainerName: aws.String(s.service.Name),
			ContainerPort: aws.Int32(int32(e.containerPort)), //nolint:gosec // a port
			AdvancedConfiguration: &ecstypes.AdvancedConfiguration{
				AlternateTargetGroupArn: aws.String(e.groups[1].ARN), ProductionListenerRule: aws.String(e.productionRuleARN),
				TestListenerRule: aws.String(e.testRuleARN), RoleArn: aws.String(s.role("load-balancers")),
			},
		})
	}
	if len(in.LoadBalancers) > 0 {
		in.HealthCheckGracePeriodSeconds = aws.Int32(gracePeriodSeconds)
	}
	return in
}

// deployment is how a new revision is rolled out, as the manifest says.
func (s shell) deployment() *ecstypes.DeploymentConfiguration {
	d := s.service.Deploy
	config := &ecstypes.DeploymentConfiguration{
		MinimumHealthyPercent: aws.Int32(100), MaximumPercent: aws.Int32(200),
		DeploymentCircuitBreaker: &ecstypes.DeploymentCircuitBreaker{
			Enable: true, Rollback: true,
			ThresholdConfiguration: &ecstypes.ThresholdConfiguration{Type: ecstypes.ThresholdTypeCount, Value: s.tolerated()},
		},
		Strategy:          ecstypes.DeploymentStrategyRolling,
		BakeTimeInMinutes: aws.Int32(int32(time.Duration(d.Bake) / time.Minute)), //nolint:gosec // at most a day
		Alarms:            &ecstypes.DeploymentAlarms{AlarmNames: s.alarmNames()},
	}
	config.Alarms.Enable = len(config.Alarms.AlarmNames) > 0
	config.Alarms.Rollback = config.Alarms.Enable
	switch {
	case len(s.entries()) == 0: // there is no traffic to move
	case d.Strategy == manifest.BlueGreen:
		config.Strategy = ecstypes.DeploymentStrategyBlueGreen
	case d.Strategy == manifest.Canary:
		config.Strategy = ecstypes.DeploymentStrategyCanary
		config.CanaryConfiguration = &ecstypes.CanaryConfiguration{
			CanaryPercent: aws.Float64(manifest.CanaryPercent), CanaryBakeTimeInMinutes: aws.Int32(manifest.CanaryMinutes),
		}
	case d.Strategy == manifest.Linear:
		config.Strategy = ecstypes.DeploymentStrategyLinear
		config.LinearConfiguration = &ecstypes.LinearConfiguration{
			StepPercent: aws.Float64(manifest.LinearPercent), StepBakeTimeInMinutes: aws.Int32(manifest.LinearMinutes),
		}
	}
	return config
}

// tolerated is how many failed tasks fail a deployment: one round of them, and
// two at least, for the end of one may be chance. ECS' own least is three.
func (s shell) tolerated() int32 {
	return int32(max(leastFailures, (s.service.Scale.Min+1)/2)) //nolint:gosec // at most 2500
}

const leastFailures = 2

// updateService brings an existing service's settings up to date. A change of
// its load balancer entries replaces its tasks, as in ECS; all else waits for
// the next deployment.
func (p *Provisioner) updateService(ctx context.Context, c contract.Contract, have ecstypes.Service, want *ecs.CreateServiceInput) error {
	in := &ecs.UpdateServiceInput{Cluster: aws.String(c.Cluster), Service: aws.String(c.ECSService)}
	changed := false
	if !reflect.DeepEqual(have.LoadBalancers, want.LoadBalancers) {
		in.LoadBalancers, changed = want.LoadBalancers, true
	}
	if aws.ToInt32(have.HealthCheckGracePeriodSeconds) != aws.ToInt32(want.HealthCheckGracePeriodSeconds) {
		in.HealthCheckGracePeriodSeconds, changed = want.HealthCheckGracePeriodSeconds, true
	}
	if !sameDeployment(have.DeploymentConfiguration, want.DeploymentConfiguration) {
		in.DeploymentConfiguration, changed = want.DeploymentConfiguration, true
	}
	if !changed {
		return nil
	}
	if _, err := p.ecs.UpdateService(ctx, in); err != nil {
		return fmt.Errorf("update service: %w", err)
	}
	return nil
}

// sameDeployment reports whether a service has the deployment configuration
// that it should; what the shell does not set does not count.
func sameDeployment(have, want *ecstypes.DeploymentConfiguration) bool {
	if have == nil {
		return false
	}
	watched := func(a *ecstypes.DeploymentAlarms) ecstypes.DeploymentAlarms {
		if a == nil || !a.Enable {
			return ecstypes.DeploymentAlarms{}
		}
		return *a
	}
	return have.Strategy == want.Strategy &&
		aws.ToInt32(have.BakeTimeInMinutes) == aws.ToInt32(want.BakeTimeInMinutes) &&
		aws.ToInt32(have.MinimumHealthyPercent) == aws.ToInt32(want.MinimumHealthyPercent) &&
		aws.ToInt32(have.MaximumPercent) == aws.ToInt32(want.MaximumPercent) &&
		reflect.DeepEqual(have.DeploymentCircuitBreaker, want.DeploymentCircuitBreaker) &&
		reflect.DeepEqual(have.CanaryConfiguration, want.CanaryConfiguration) &&
		reflect.DeepEqual(have.LinearConfiguration, want.LinearConfiguration) &&
		reflect.DeepEqual(watched(have.Alarms), watched(want.Alarms))
}

// register writes the template as it stands, image left open, as a revision
// for the service to be made with.
func (p *Provisioner) register(ctx context.Context, c contract.Contract) (string, error) {
	var in ecs.RegisterTaskDefinitionInput
	if err := wire.Unmarshal(c.TaskDefinition, &in, wire.LowerCamel); err != nil {
		return "", fmt.Errorf("read task definition template: %w", err)
	}
	out, err := p.ecs.RegisterTaskDefinition(ctx, &in)
	if err != nil {
		return "", fmt.Errorf("register bootstrap revision: %w", err)
	}
	return aws.ToString(out.TaskDefinition.TaskDefinitionArn), nil
}
