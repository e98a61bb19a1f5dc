package scheduler

import (
	"context"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/slipway-dev/slipway/platform/kit/localcluster/scheduler/ledger"
)

// defaultCluster is the cluster a request means that names none.
const defaultCluster = "default"

// CreateCluster adds a cluster, or returns the one there is.
func (s *Scheduler) CreateCluster(ctx context.Context, in *ecs.CreateClusterInput) (types.Cluster, error) {
	var out types.Cluster
	err := s.request(ctx, func(t *turn) error {
		name := aws.ToString(in.ClusterName)
		if name == "" {
			name = defaultCluster
		}
		row := t.ledger.Clusters.Get(name)
		if row == nil || *row.Cluster.Status != serviceActive {
			row = &ledger.Cluster{Cluster: types.Cluster{
				ClusterArn: aws.String(t.arn("cluster/" + name)), ClusterName: aws.String(name),
				Status: aws.String(serviceActive), Tags: in.Tags, Settings: in.Settings, Configuration: in.Configuration,
				CapacityProviders: in.CapacityProviders, DefaultCapacityProviderStrategy: in.DefaultCapacityProviderStrategy,
			}}
			t.ledger.Clusters.Put(name, row)
		}
		out = t.clusterView(row)
		return nil
	})
	return out, err
}

// ChangeCluster applies fn to an ACTIVE cluster. fn replaces slices and
// pointers, it does not write through them.
func (s *Scheduler) ChangeCluster(ctx context.Context, name *string, fn func(*types.Cluster)) (types.Cluster, error) {
	var out types.Cluster
	err := s.request(ctx, func(t *turn) error {
		row, err := t.activeCluster(name)
		if err != nil {
			return err
		}
		fn(&row.Cluster)
		t.ledger.Clusters.Touch(*row.Cluster.ClusterName)
		out = t.clusterView(row)
		return nil
	})
	return out, err
}

// DeleteCluster makes a cluster INACTIVE that has no service and no task.
func (s *Scheduler) DeleteCluster(ctx context.Context, name *string) (types.Cluster, error) {
	var out types.Cluster
	err := s.request(ctx, func(t *turn) error {
		row, err := t.activeCluster(name)
		if err != nil {
			return err
		}
		view := t.clusterView(row)
		if view.ActiveServicesCount > 0 {
			return &types.ClusterContainsServicesException{
				Message: aws.String("The Cluster cannot be deleted while Services are active."),
			}
		}
		if view.RunningTasksCount+view.PendingTasksCount > 0 {
			return &types.ClusterContainsTasksException{
				Message: aws.String("The Cluster cannot be deleted while Tasks are active."),
			}
		}
		row.Cluster.Status = aws.String(serviceInactive)
		t.ledger.Clusters.Touch(*row.Cluster.ClusterName)
		out = t.clusterView(row)
		return nil
	})
	return out, err
}

// activeCluster finds an ACTIVE cluster by name or ARN.
func (t *turn) activeCluster(name *string) (*ledger.Cluster, error) {
	key := last(aws.ToString(name))
	if key == "" {
		key = defaultCluster
	}
	row := t.ledger.Clusters.Get(key)
	if row == nil || *row.Cluster.Status != serviceActive {
		return nil, errNoCluster()
	}
	return row, nil
}

// Clusters lists every cluster by name, INACTIVE ones too.
func (s *Scheduler) Clusters() []types.Cluster {
	var out []types.Cluster
	s.read(func(t *turn) {
		for _, row := range t.ledger.Clusters.All {
			out = append(out, t.clusterView(row))
		}
	})
	return out
}

// clusterView is a cluster with its counts.
func (t *turn) clusterView(row *ledger.Cluster) types.Cluster {
	out, name := row.Cluster, *row.Cluster.ClusterName
	out.Statistics, out.Settings = slices.Clone(out.Statistics), slices.Clone(out.Settings)
	for _, svc := range t.ledger.Services.All {
		if svc.Cluster == name && *svc.Service.Status == serviceActive {
			out.ActiveServicesCount++
		}
	}
	for _, task := range t.ledger.Tasks.All {
		switch {
		case task.Cluster != name || task.Over():
		case task.Status() == statusRunning:
			out.RunningTasksCount++
		case task.Live():
			out.PendingTasksCount++
		}
	}
	return out
}
