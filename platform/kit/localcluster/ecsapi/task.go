package ecsapi

import (
	"context"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/slipway-dev/slipway/platform/kit/localcluster/scheduler/ecserr"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/scheduler/ident"
)

func (a *service) runTask(ctx context.Context, in *ecs.RunTaskInput) (*ecs.RunTaskOutput, error) {
	if n := in.Count; n != nil && (*n < 1 || *n > 10) {
		return nil, ecserr.Invalid("Count must be between 1 and 10.")
	}
	if strings.HasPrefix(aws.ToString(in.Group), "service:") {
		return nil, ecserr.Invalid("Group names cannot start with 'service:'.")
	}
	what := present(map[string]bool{
		"placementConstraints": len(in.PlacementConstraints) > 0,
		"placementStrategy":    len(in.PlacementStrategy) > 0,
		"volumeConfigurations": len(in.VolumeConfigurations) > 0,
	})
	if what != "" {
		return nil, ecserr.Unsupported("%s is not available on this cluster.", what)
	}
	if err := checkOverrides(in.Overrides); err != nil {
		return nil, err
	}
	if err := checkProviders(nil, in.CapacityProviderStrategy); err != nil {
		return nil, err
	}
	if err := a.checkLaunch(in.LaunchType, aws.ToString(in.TaskDefinition)); err != nil {
		return nil, err
	}
	tasks, err := a.sched.RunTask(ctx, in)
	if err != nil {
		return nil, err
	}
	return &ecs.RunTaskOutput{Tasks: tasks, Failures: []types.Failure{}}, nil
}

func checkOverrides(o *types.TaskOverride) error {
	if o == nil {
		return nil
	}
	if len(o.InferenceAcceleratorOverrides) > 0 { //nolint:staticcheck // refused, not used
		return ecserr.Unsupported("%s is not available on this cluster.", "inferenceAcceleratorOverrides")
	}
	for _, c := range o.ContainerOverrides {
		switch {
		case len(c.EnvironmentFiles) > 0:
			return ecserr.Unsupported("%s is not available on this cluster.", "environmentFiles in an override")
		case len(c.ResourceRequirements) > 0:
			return ecserr.Unsupported("%s is not available on this cluster.", "resourceRequirements in an override")
		}
	}
	return nil
}

func (a *service) stopTask(ctx context.Context, in *ecs.StopTaskInput) (*ecs.StopTaskOutput, error) {
	task, err := a.sched.StopTask(ctx, in)
	if err != nil {
		return nil, err
	}
	return &ecs.StopTaskOutput{Task: &task}, nil
}

func (a *service) describeTasks(_ context.Context, in *ecs.DescribeTasksInput) (*ecs.DescribeTasksOutput, error) {
	cluster, err := a.sched.Cluster(in.Cluster)
	if err != nil {
		return nil, err
	}
	switch n := len(in.Tasks); {
	case n == 0:
		return nil, ecserr.Invalid("Tasks cannot be empty.")
	case n > maxPage:
		return nil, ecserr.Invalid("At most %d tasks can be described at once.", maxPage)
	}
	all := a.sched.Tasks(*cluster.ClusterName)
	out := &ecs.DescribeTasksOutput{Tasks: []types.Task{}, Failures: []types.Failure{}}
	for _, name := range in.Tasks {
		at := slices.IndexFunc(all, func(t types.Task) bool { return ident.Last(*t.TaskArn) == ident.Last(name) })
		if at < 0 {
			out.Failures = append(out.Failures, missing(a.arns+"task/"+*cluster.ClusterName+"/"+ident.Last(name)))
			continue
		}
		task := all[at]
		if !slices.Contains(in.Include, types.TaskFieldTags) {
			task.Tags = nil
		}
		out.Tasks = append(out.Tasks, task)
	}
	return out, nil
}

func (a *service) listTasks(_ context.Context, in *ecs.ListTasksInput) (*ecs.ListTasksOutput, error) {
	cluster, err := a.sched.Cluster(in.Cluster)
	if err != nil {
		return nil, err
	}
	if in.ContainerInstance != nil || in.DaemonName != nil {
		return nil, ecserr.Unsupported("%s is not available on this cluster.", "A filter by container instance or daemon")
	}
	if in.ServiceName != nil {
		known := slices.ContainsFunc(a.sched.Services(*cluster.ClusterName), func(s types.Service) bool {
			return *s.ServiceName == ident.Last(*in.ServiceName)
		})
		if !known {
			return nil, ecserr.NoService()
		}
	}
	var arns []string
	for _, task := range a.sched.Tasks(*cluster.ClusterName) {
		if matches(task, in) {
			arns = append(arns, *task.TaskArn)
		}
	}
	arns, next, err := arnPage(arns, in.MaxResults, in.NextToken, maxPage)
	if err != nil {
		return nil, err
	}
	return &ecs.ListTasksOutput{TaskArns: arns, NextToken: next}, nil
}

func matches(task types.Task, in *ecs.ListTasksInput) bool {
	desired := in.DesiredStatus
	if desired == "" {
		desired = types.DesiredStatusRunning
	}
	family, _, _ := strings.Cut(ident.Last(*task.TaskDefinitionArn), ":")
	switch {
	case *task.DesiredStatus != string(desired):
		return false
	case in.ServiceName != nil && aws.ToString(task.Group) != "service:"+ident.Last(*in.ServiceName):
		return false
	case in.Family != nil && family != *in.Family:
		return false
	case in.StartedBy != nil && aws.ToString(task.StartedBy) != *in.StartedBy:
		return false
	case in.LaunchType != "" && task.LaunchType != in.LaunchType:
		return false
	}
	return true
}
