package provision

import (
	"context"
	"fmt"
	"reflect"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	ecstypes "github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/slipway-dev/slipway/platform/kit/contract"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/wire"
)

// keepService makes the ECS service with no task and a bootstrap revision that
// never runs, or brings an existing one's settings up to date. Desired count
// and revision of an existing service are the deploy kit's and stay.
func (p *Provisioner) keepService(ctx context.Context, c contract.Contract) error {
	out, err := p.ecs.DescribeServices(ctx, &ecs.DescribeServicesInput{
		Cluster: aws.String(c.Cluster), Services: []string{c.ECSService},
	})
	if err != nil {
		return fmt.Errorf("describe service: %w", err)
	}
	want := settings(c)
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
func settings(c contract.Contract) *ecs.CreateServiceInput {
	in := &ecs.CreateServiceInput{
		DeploymentConfiguration: &ecstypes.DeploymentConfiguration{
			MinimumHealthyPercent: aws.Int32(100), MaximumPercent: aws.Int32(200),
			DeploymentCircuitBreaker: &ecstypes.DeploymentCircuitBreaker{Enable: true, Rollback: true},
		},
	}
	for _, tg := range c.TargetGroups {
		in.LoadBalancers = append(in.LoadBalancers, ecstypes.LoadBalancer{
			TargetGroupArn: aws.String(tg.ARN), ContainerName: aws.String(tg.ContainerName),
			ContainerPort: aws.Int32(int32(tg.ContainerPort)), //nolint:gosec // a port
		})
	}
	if len(in.LoadBalancers) > 0 {
		in.HealthCheckGracePeriodSeconds = aws.Int32(gracePeriodSeconds)
	}
	return in
}

func (p *Provisioner) updateService(ctx context.Context, c contract.Contract, have ecstypes.Service, want *ecs.CreateServiceInput) error {
	sameBalancers := reflect.DeepEqual(have.LoadBalancers, want.LoadBalancers)
	sameGrace := aws.ToInt32(have.HealthCheckGracePeriodSeconds) == aws.ToInt32(want.HealthCheckGracePeriodSeconds)
	if sameBalancers && sameGrace {
		return nil
	}
	_, err := p.ecs.UpdateService(ctx, &ecs.UpdateServiceInput{
		Cluster: aws.String(c.Cluster), Service: aws.String(c.ECSService),
		LoadBalancers: want.LoadBalancers, HealthCheckGracePeriodSeconds: want.HealthCheckGracePeriodSeconds,
	})
	if err != nil {
		return fmt.Errorf("update service: %w", err)
	}
	return nil
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
