package ecsapi

import (
	"context"
	"regexp"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/slipway-dev/slipway/platform/kit/localcluster/scheduler/ecserr"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/scheduler/ident"
)

// named is what clusters, services, families and containers are called.
var named = regexp.MustCompile(`^[A-Za-z0-9_-]{1,255}$`)

func (a *service) createCluster(ctx context.Context, in *ecs.CreateClusterInput) (*ecs.CreateClusterOutput, error) {
	if in.ClusterName != nil && !named.MatchString(*in.ClusterName) {
		return nil, ecserr.Invalid("Identifier contains illegal characters: %s.", *in.ClusterName)
	}
	if in.ServiceConnectDefaults != nil {
		return nil, ecserr.Unsupported("%s is not available on this cluster.", "serviceConnectDefaults")
	}
	if err := checkProviders(in.CapacityProviders, in.DefaultCapacityProviderStrategy); err != nil {
		return nil, err
	}
	cluster, err := a.sched.CreateCluster(ctx, in)
	if err != nil {
		return nil, err
	}
	return &ecs.CreateClusterOutput{Cluster: &cluster}, nil
}

// checkProviders allows Fargate's capacity providers only.
func checkProviders(providers []string, strategy []types.CapacityProviderStrategyItem) error {
	for _, item := range strategy {
		providers = append(slices.Clone(providers), aws.ToString(item.CapacityProvider))
	}
	for _, p := range providers {
		if p != "FARGATE" && p != "FARGATE_SPOT" {
			return ecserr.Invalid("The specified capacity provider %s was not found.", p)
		}
	}
	return nil
}

func (a *service) describeClusters(_ context.Context, in *ecs.DescribeClustersInput) (*ecs.DescribeClustersOutput, error) {
	names := in.Clusters
	if len(names) == 0 {
		names = []string{"default"}
	}
	if len(names) > maxPage {
		return nil, ecserr.Invalid("At most %d clusters can be described at once.", maxPage)
	}
	all := a.sched.Clusters()
	out := &ecs.DescribeClustersOutput{Clusters: []types.Cluster{}, Failures: []types.Failure{}}
	for _, name := range names {
		at := slices.IndexFunc(all, func(c types.Cluster) bool { return *c.ClusterName == ident.Last(name) })
		if at < 0 {
			out.Failures = append(out.Failures, missing(a.arns+"cluster/"+ident.Last(name)))
			continue
		}
		cluster := all[at]
		if !slices.Contains(in.Include, types.ClusterFieldTags) {
			cluster.Tags = nil
		}
		if !slices.Contains(in.Include, types.ClusterFieldSettings) {
			cluster.Settings = nil
		}
		if !slices.Contains(in.Include, types.ClusterFieldConfigurations) {
			cluster.Configuration = nil
		}
		out.Clusters = append(out.Clusters, cluster)
	}
	return out, nil
}

func (a *service) deleteCluster(ctx context.Context, in *ecs.DeleteClusterInput) (*ecs.DeleteClusterOutput, error) {
	cluster, err := a.sched.DeleteCluster(ctx, in.Cluster)
	if err != nil {
		return nil, err
	}
	return &ecs.DeleteClusterOutput{Cluster: &cluster}, nil
}

func (a *service) listClusters(_ context.Context, in *ecs.ListClustersInput) (*ecs.ListClustersOutput, error) {
	var arns []string
	for _, c := range a.sched.Clusters() {
		if *c.Status == "ACTIVE" {
			arns = append(arns, *c.ClusterArn)
		}
	}
	arns, next, err := arnPage(arns, in.MaxResults, in.NextToken, maxPage)
	if err != nil {
		return nil, err
	}
	return &ecs.ListClustersOutput{ClusterArns: arns, NextToken: next}, nil
}

func (a *service) putClusterCapacityProviders(ctx context.Context, in *ecs.PutClusterCapacityProvidersInput) (*ecs.PutClusterCapacityProvidersOutput, error) {
	if err := checkProviders(in.CapacityProviders, in.DefaultCapacityProviderStrategy); err != nil {
		return nil, err
	}
	cluster, err := a.sched.ChangeCluster(ctx, in.Cluster, func(c *types.Cluster) {
		c.CapacityProviders, c.DefaultCapacityProviderStrategy = in.CapacityProviders, in.DefaultCapacityProviderStrategy
	})
	if err != nil {
		return nil, err
	}
	return &ecs.PutClusterCapacityProvidersOutput{Cluster: &cluster}, nil
}

func (a *service) updateCluster(ctx context.Context, in *ecs.UpdateClusterInput) (*ecs.UpdateClusterOutput, error) {
	if in.ServiceConnectDefaults != nil && aws.ToString(in.ServiceConnectDefaults.Namespace) != "" {
		return nil, ecserr.Unsupported("%s is not available on this cluster.", "serviceConnectDefaults")
	}
	cluster, err := a.sched.ChangeCluster(ctx, in.Cluster, func(c *types.Cluster) {
		if in.Settings != nil {
			c.Settings = in.Settings
		}
		if in.Configuration != nil {
			c.Configuration = in.Configuration
		}
	})
	if err != nil {
		return nil, err
	}
	return &ecs.UpdateClusterOutput{Cluster: &cluster}, nil
}

func (a *service) updateClusterSettings(ctx context.Context, in *ecs.UpdateClusterSettingsInput) (*ecs.UpdateClusterSettingsOutput, error) {
	cluster, err := a.sched.ChangeCluster(ctx, in.Cluster, func(c *types.Cluster) { c.Settings = in.Settings })
	if err != nil {
		return nil, err
	}
	return &ecs.UpdateClusterSettingsOutput{Cluster: &cluster}, nil
}
