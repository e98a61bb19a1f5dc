package ecsapi

import (
	"context"
	"fmt"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/slipway-dev/slipway/platform/kit/localcluster/scheduler/ecserr"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/scheduler/ident"
)

// Limits of one call.
const (
	deploymentsPage = 20
	maxDeployments  = 20
)

func (a *service) listServiceDeployments(_ context.Context, in *ecs.ListServiceDeploymentsInput) (*ecs.ListServiceDeploymentsOutput, error) {
	cluster, err := a.sched.Cluster(in.Cluster)
	if err != nil {
		return nil, err
	}
	name := ident.Last(aws.ToString(in.Service))
	known := slices.ContainsFunc(a.sched.Services(*cluster.ClusterName), func(s types.Service) bool { return *s.ServiceName == name })
	if !known {
		return nil, ecserr.NoService()
	}
	all := slices.DeleteFunc(a.sched.ServiceDeployments(*cluster.ClusterName, name), func(d types.ServiceDeployment) bool {
		return !listed(d, in)
	})
	key := func(d types.ServiceDeployment) string {
		return fmt.Sprintf("%020d %s", d.CreatedAt.UnixMilli(), *d.ServiceDeploymentArn)
	}
	// The newest comes first.
	slices.SortFunc(all, func(x, y types.ServiceDeployment) int {
		if key(x) > key(y) {
			return -1
		}
		return 1
	})
	all, next, err := page(all, key, descending, in.MaxResults, in.NextToken, deploymentsPage)
	if err != nil {
		return nil, err
	}
	out := &ecs.ListServiceDeploymentsOutput{ServiceDeployments: []types.ServiceDeploymentBrief{}, NextToken: next}
	for _, d := range all {
		out.ServiceDeployments = append(out.ServiceDeployments, types.ServiceDeploymentBrief{
			ServiceDeploymentArn: d.ServiceDeploymentArn, ServiceArn: d.ServiceArn, ClusterArn: d.ClusterArn,
			CreatedAt: d.CreatedAt, StartedAt: d.StartedAt, FinishedAt: d.FinishedAt,
			Status: d.Status, StatusReason: d.StatusReason, TargetServiceRevisionArn: d.TargetServiceRevision.Arn,
		})
	}
	return out, nil
}

func listed(d types.ServiceDeployment, in *ecs.ListServiceDeploymentsInput) bool {
	if len(in.Status) > 0 && !slices.Contains(in.Status, d.Status) {
		return false
	}
	if c := in.CreatedAt; c != nil {
		if c.After != nil && !d.CreatedAt.After(*c.After) || c.Before != nil && !d.CreatedAt.Before(*c.Before) {
			return false
		}
	}
	return true
}

func (a *service) describeServiceDeployments(_ context.Context, in *ecs.DescribeServiceDeploymentsInput) (*ecs.DescribeServiceDeploymentsOutput, error) {
	if n := len(in.ServiceDeploymentArns); n == 0 || n > maxDeployments {
		return nil, ecserr.Invalid("Between 1 and %d service deployments can be described at once.", maxDeployments)
	}
	out := &ecs.DescribeServiceDeploymentsOutput{ServiceDeployments: []types.ServiceDeployment{}, Failures: []types.Failure{}}
	for _, arn := range in.ServiceDeploymentArns {
		d, found := a.sched.ServiceDeployment(arn)
		if !found {
			out.Failures = append(out.Failures, missing(arn))
			continue
		}
		out.ServiceDeployments = append(out.ServiceDeployments, d)
	}
	return out, nil
}

func (a *service) describeServiceRevisions(_ context.Context, in *ecs.DescribeServiceRevisionsInput) (*ecs.DescribeServiceRevisionsOutput, error) {
	if n := len(in.ServiceRevisionArns); n == 0 || n > maxDeployments {
		return nil, ecserr.Invalid("Between 1 and %d service revisions can be described at once.", maxDeployments)
	}
	out := &ecs.DescribeServiceRevisionsOutput{ServiceRevisions: []types.ServiceRevision{}, Failures: []types.Failure{}}
	for _, arn := range in.ServiceRevisionArns {
		r, found := a.sched.ServiceRevision(arn)
		if !found {
			out.Failures = append(out.Failures, missing(arn))
			continue
		}
		out.ServiceRevisions = append(out.ServiceRevisions, r)
	}
	return out, nil
}

func (a *service) stopServiceDeployment(ctx context.Context, in *ecs.StopServiceDeploymentInput) (*ecs.StopServiceDeploymentOutput, error) {
	if in.StopType != "" && !slices.Contains(in.StopType.Values(), in.StopType) {
		return nil, ecserr.Invalid("The stop type %s is not known.", in.StopType)
	}
	arn, err := a.sched.StopServiceDeployment(ctx, in)
	if err != nil {
		return nil, err
	}
	return &ecs.StopServiceDeploymentOutput{ServiceDeploymentArn: aws.String(arn)}, nil
}
