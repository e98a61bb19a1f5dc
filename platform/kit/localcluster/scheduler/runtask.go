package scheduler

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/slipway-dev/slipway/platform/kit/localcluster/scheduler/ledger"
)

// RunTask starts standalone tasks; nothing restarts them. A repeated client
// token returns the tasks of the first call.
func (s *Scheduler) RunTask(ctx context.Context, in *ecs.RunTaskInput) ([]types.Task, error) {
	var out []types.Task
	err := s.request(ctx, func(t *turn) error {
		cluster, err := t.activeCluster(in.Cluster)
		if err != nil {
			return err
		}
		def, err := t.activeDefinition(aws.ToString(in.TaskDefinition))
		if err != nil {
			return err
		}
		token := aws.ToString(in.ClientToken)
		for _, row := range t.ledger.Tasks.All {
			if token != "" && row.ClientToken == token && row.Cluster == *cluster.Cluster.ClusterName {
				out = append(out, row.Task)
			}
		}
		if len(out) > 0 {
			return nil
		}
		l, err := standalone(cluster, def, in)
		if err != nil {
			return err
		}
		n := max(1, int(aws.ToInt32(in.Count)))
		for range n {
			out = append(out, t.create(l).Task)
		}
		return nil
	})
	return out, err
}

func standalone(cluster *ledger.Cluster, def *ledger.Definition, in *ecs.RunTaskInput) (launch, error) {
	l := launch{
		cluster: cluster, definition: def, group: aws.ToString(in.Group), startedBy: aws.ToString(in.StartedBy),
		network: in.NetworkConfiguration, platform: platformVersion(in.PlatformVersion),
		capacity: capacityOf(in.CapacityProviderStrategy), exec: in.EnableExecuteCommand,
		tags: in.Tags, token: aws.ToString(in.ClientToken),
	}
	if l.group == "" {
		l.group = "family:" + *def.Definition.Family
	}
	if in.PropagateTags == types.PropagateTagsTaskDefinition {
		l.tags = append(append([]types.Tag{}, in.Tags...), def.Tags...)
	}
	if in.Overrides == nil {
		l.overrides = types.TaskOverride{ContainerOverrides: []types.ContainerOverride{}}
		return l, nil
	}
	l.overrides = *in.Overrides
	for _, o := range in.Overrides.ContainerOverrides {
		if !hasContainer(def.Definition, aws.ToString(o.Name)) {
			return l, errInvalid("Override for container named %s is not a container in the TaskDefinition.", aws.ToString(o.Name))
		}
	}
	return l, nil
}

func hasContainer(def types.TaskDefinition, name string) bool {
	for _, c := range def.ContainerDefinitions {
		if *c.Name == name {
			return true
		}
	}
	return false
}

// StopTask stops a task by id or ARN; its service starts another.
func (s *Scheduler) StopTask(ctx context.Context, in *ecs.StopTaskInput) (types.Task, error) {
	var out types.Task
	err := s.request(ctx, func(t *turn) error {
		cluster, err := t.activeCluster(in.Cluster)
		if err != nil {
			return err
		}
		row := t.ledger.Tasks.Get(ledger.Key(*cluster.Cluster.ClusterName, last(aws.ToString(in.Task))))
		if row == nil {
			return errInvalid("The referenced task was not found.")
		}
		reason := aws.ToString(in.Reason)
		if reason == "" {
			reason = "Task stopped by user"
		}
		t.stop(row, ledger.CauseUser, types.TaskStopCodeUserInitiated, reason)
		out = row.Task
		return nil
	})
	return out, err
}
