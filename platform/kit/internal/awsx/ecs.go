package awsx

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"slices"
	"strconv"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/slipway-dev/slipway/platform/kit/localcluster/wire"
	"github.com/slipway-dev/slipway/platform/kit/rollout"
	"github.com/slipway-dev/slipway/platform/kit/rollout/check"
)

// Service implements [rollout.ECS].
func (c *Client) Service(ctx context.Context, cluster, service string) (rollout.Service, error) {
	what := fmt.Sprintf("describe service %s in cluster %s", service, cluster)
	out, err := c.ecs.DescribeServices(ctx, &ecs.DescribeServicesInput{Cluster: aws.String(cluster), Services: []string{service}})
	if err != nil {
		return rollout.Service{}, c.wrap(what, err)
	}
	if len(out.Services) == 0 {
		return rollout.Service{}, notFound(what)
	}
	return serviceOf(out.Services[0]), nil
}

func serviceOf(in types.Service) rollout.Service {
	s := rollout.Service{
		ARN: str(in.ServiceArn), Name: str(in.ServiceName), Status: str(in.Status),
		Desired: count(in.DesiredCount), Running: count(in.RunningCount), Pending: count(in.PendingCount),
		TaskDefinition: str(in.TaskDefinition), Current: str(in.CurrentServiceDeployment), Strategy: string(types.DeploymentStrategyRolling),
	}
	if d := in.DeploymentConfiguration; d != nil {
		if d.Strategy != "" {
			s.Strategy = string(d.Strategy)
		}
		s.BakeMinutes = count(deref(d.BakeTimeInMinutes))
		if c := d.CanaryConfiguration; c != nil {
			s.StepPercent, s.StepMinutes = deref(c.CanaryPercent), count(deref(c.CanaryBakeTimeInMinutes))
		}
		if l := d.LinearConfiguration; l != nil {
			s.StepPercent, s.StepMinutes = deref(l.StepPercent), count(deref(l.StepBakeTimeInMinutes))
		}
		if a := d.Alarms; a != nil && a.Enable {
			s.Alarms = a.AlarmNames
		}
		if b := d.DeploymentCircuitBreaker; b != nil {
			s.Breaker, s.BreakerReverts = b.Enable, b.Rollback
		}
	}
	for _, d := range in.Deployments {
		s.Parts = append(s.Parts, rollout.Part{
			ID: str(d.Id), Status: str(d.Status), TaskDefinition: str(d.TaskDefinition),
			Desired: count(d.DesiredCount), Running: count(d.RunningCount), Pending: count(d.PendingCount), Failed: count(d.FailedTasks),
			RolloutState: string(d.RolloutState), RolloutReason: str(d.RolloutStateReason),
			CreatedAt: when(d.CreatedAt), UpdatedAt: when(d.UpdatedAt),
		})
	}
	for _, e := range in.Events {
		s.Events = append(s.Events, rollout.ServiceMessage{ID: str(e.Id), At: when(e.CreatedAt), Message: str(e.Message)})
	}
	for _, b := range in.LoadBalancers {
		entry := check.Balancer{Group: str(b.TargetGroupArn)}
		if a := b.AdvancedConfiguration; a != nil {
			entry.Alternate, entry.Rule, entry.TestRule = str(a.AlternateTargetGroupArn), str(a.ProductionListenerRule), str(a.TestListenerRule)
		}
		s.Balancers = append(s.Balancers, entry)
	}
	return s
}

// TaskDefinition implements [rollout.ECS].
func (c *Client) TaskDefinition(ctx context.Context, name string) (rollout.TaskDefinition, error) {
	out, err := c.ecs.DescribeTaskDefinition(ctx, &ecs.DescribeTaskDefinitionInput{
		TaskDefinition: aws.String(name), Include: []types.TaskDefinitionField{types.TaskDefinitionFieldTags},
	})
	if err != nil {
		return rollout.TaskDefinition{}, c.wrap("describe task definition "+name, err)
	}
	return definitionOf(deref(out.TaskDefinition), out.Tags), nil
}

func definitionOf(in types.TaskDefinition, tags []types.Tag) rollout.TaskDefinition {
	td := rollout.TaskDefinition{
		ARN: str(in.TaskDefinitionArn), Family: str(in.Family), Revision: count(in.Revision),
		Active: in.Status == types.TaskDefinitionStatusActive, CPU: str(in.Cpu), Memory: str(in.Memory),
		Platform: rollout.PlatformOf("", ""), Tags: map[string]string{}, RegisteredAt: when(in.RegisteredAt), RegisteredBy: str(in.RegisteredBy),
	}
	if p := in.RuntimePlatform; p != nil {
		td.Platform = rollout.PlatformOf(string(p.OperatingSystemFamily), string(p.CpuArchitecture))
	}
	for _, tag := range tags {
		td.Tags[str(tag.Key)] = str(tag.Value)
	}
	for _, d := range in.ContainerDefinitions {
		container := rollout.ContainerDefinition{
			Name: str(d.Name), Image: str(d.Image), Command: d.Command,
			Env: map[string]string{}, Secrets: map[string]string{}, Labels: d.DockerLabels,
		}
		for _, e := range d.Environment {
			container.Env[str(e.Name)] = str(e.Value)
		}
		for _, s := range d.Secrets {
			container.Secrets[str(s.Name)] = str(s.ValueFrom)
		}
		if l := d.LogConfiguration; l != nil && l.LogDriver == types.LogDriverAwslogs {
			container.LogGroup, container.LogPrefix = l.Options["awslogs-group"], l.Options["awslogs-stream-prefix"]
		}
		td.Containers = append(td.Containers, container)
	}
	return td
}

// TaskDefinitions implements [rollout.ECS].
func (c *Client) TaskDefinitions(ctx context.Context, family string, limit int) ([]string, error) {
	out, err := c.ecs.ListTaskDefinitions(ctx, &ecs.ListTaskDefinitionsInput{
		FamilyPrefix: aws.String(family), Sort: types.SortOrderDesc, Status: types.TaskDefinitionStatusActive,
		MaxResults: aws.Int32(int32(limited(limit, 100))), //nolint:gosec // at most 100
	})
	if err != nil {
		return nil, c.wrap("list task definitions of "+family, err)
	}
	return out.TaskDefinitionArns, nil
}

// Register implements [rollout.ECS].
func (c *Client) Register(ctx context.Context, definition json.RawMessage) (rollout.TaskDefinition, error) {
	var in ecs.RegisterTaskDefinitionInput
	if err := wire.Unmarshal(definition, &in, wire.LowerCamel); err != nil {
		return rollout.TaskDefinition{}, fmt.Errorf("read task definition: %w", err)
	}
	out, err := c.ecs.RegisterTaskDefinition(ctx, &in)
	if err != nil {
		return rollout.TaskDefinition{}, c.wrap("register task definition "+str(in.Family), err)
	}
	return definitionOf(deref(out.TaskDefinition), out.Tags), nil
}

// Deregister implements [rollout.ECS].
func (c *Client) Deregister(ctx context.Context, taskDefinition string) error {
	_, err := c.ecs.DeregisterTaskDefinition(ctx, &ecs.DeregisterTaskDefinitionInput{TaskDefinition: aws.String(taskDefinition)})
	return c.wrap("deregister task definition "+lastPart(taskDefinition), err)
}

// Update implements [rollout.ECS].
func (c *Client) Update(ctx context.Context, u rollout.Update) (rollout.Service, error) {
	in := &ecs.UpdateServiceInput{
		Cluster: aws.String(u.Cluster), Service: aws.String(u.Service),
		TaskDefinition: aws.String(u.TaskDefinition), ForceNewDeployment: u.Force,
	}
	if u.DesiredCount != nil {
		in.DesiredCount = aws.Int32(int32(*u.DesiredCount)) //nolint:gosec // bounded by the manifest
	}
	out, err := c.ecs.UpdateService(ctx, in)
	if err != nil {
		return rollout.Service{}, c.wrap(fmt.Sprintf("update service %s in cluster %s", u.Service, u.Cluster), err)
	}
	return serviceOf(deref(out.Service)), nil
}

// Tasks implements [rollout.ECS].
func (c *Client) Tasks(ctx context.Context, q rollout.TaskQuery) ([]rollout.Task, error) {
	what := "list tasks in cluster " + q.Cluster
	in := &ecs.ListTasksInput{Cluster: aws.String(q.Cluster), DesiredStatus: types.DesiredStatusRunning, MaxResults: aws.Int32(100)}
	if q.Stopped {
		in.DesiredStatus = types.DesiredStatusStopped
	}
	in.ServiceName, in.Family, in.StartedBy = optional(q.Service), optional(q.Family), optional(q.StartedBy)
	var tasks []rollout.Task
	for pages := ecs.NewListTasksPaginator(c.ecs, in); pages.HasMorePages(); {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, c.wrap(what, err)
		}
		if len(page.TaskArns) == 0 {
			continue
		}
		out, err := c.ecs.DescribeTasks(ctx, &ecs.DescribeTasksInput{Cluster: aws.String(q.Cluster), Tasks: page.TaskArns})
		if err != nil {
			return nil, c.wrap("describe tasks in cluster "+q.Cluster, err)
		}
		for _, t := range out.Tasks {
			tasks = append(tasks, taskOf(t))
		}
	}
	slices.SortFunc(tasks, func(a, b rollout.Task) int { return b.CreatedAt.Compare(a.CreatedAt) })
	if q.Limit > 0 && len(tasks) > q.Limit {
		tasks = tasks[:q.Limit]
	}
	return tasks, nil
}

// Task implements [rollout.ECS].
func (c *Client) Task(ctx context.Context, cluster, arn string) (rollout.Task, error) {
	what := "describe task " + arn
	out, err := c.ecs.DescribeTasks(ctx, &ecs.DescribeTasksInput{Cluster: aws.String(cluster), Tasks: []string{arn}})
	if err != nil {
		return rollout.Task{}, c.wrap(what, err)
	}
	if len(out.Tasks) == 0 {
		return rollout.Task{}, notFound(what)
	}
	return taskOf(out.Tasks[0]), nil
}

func taskOf(in types.Task) rollout.Task {
	arn := str(in.TaskArn)
	t := rollout.Task{
		ARN: arn, ID: lastPart(arn), TaskDefinition: str(in.TaskDefinitionArn), StartedBy: str(in.StartedBy), Status: str(in.LastStatus),
		Health: string(in.HealthStatus), StopCode: string(in.StopCode), StoppedReason: str(in.StoppedReason),
		CreatedAt: when(in.CreatedAt), StoppedAt: when(in.StoppedAt),
	}
	for _, d := range in.Containers {
		container := rollout.Container{Name: str(d.Name), Status: str(d.LastStatus), Health: string(d.HealthStatus), Reason: str(d.Reason)}
		if d.ExitCode != nil {
			code := count(*d.ExitCode)
			container.ExitCode = &code
		}
		for _, b := range d.NetworkBindings {
			t.Ports = append(t.Ports, rollout.Port{
				Container: count(deref(b.ContainerPort)), Address: net.JoinHostPort(str(b.BindIP), strconv.Itoa(count(deref(b.HostPort)))),
			})
		}
		t.Containers = append(t.Containers, container)
	}
	return t
}

// Run implements [rollout.ECS].
func (c *Client) Run(ctx context.Context, r rollout.Run) (rollout.Task, error) {
	what := "run a task of " + lastPart(r.TaskDefinition)
	in := &ecs.RunTaskInput{
		Cluster: aws.String(r.Cluster), TaskDefinition: aws.String(r.TaskDefinition), StartedBy: aws.String(r.StartedBy),
		LaunchType: types.LaunchTypeFargate, Count: aws.Int32(1),
		Overrides: &types.TaskOverride{ContainerOverrides: []types.ContainerOverride{{Name: aws.String(r.Container), Command: r.Command}}},
	}
	if n := r.Network; n != nil {
		public := types.AssignPublicIpDisabled
		if n.AssignPublicIP {
			public = types.AssignPublicIpEnabled
		}
		in.NetworkConfiguration = &types.NetworkConfiguration{AwsvpcConfiguration: &types.AwsVpcConfiguration{
			Subnets: n.Subnets, SecurityGroups: n.SecurityGroups, AssignPublicIp: public,
		}}
	}
	for _, key := range sortedKeys(r.Tags) {
		in.Tags = append(in.Tags, types.Tag{Key: aws.String(key), Value: aws.String(r.Tags[key])})
	}
	out, err := c.ecs.RunTask(ctx, in)
	if err != nil {
		return rollout.Task{}, c.wrap(what, err)
	}
	if len(out.Tasks) == 0 {
		return rollout.Task{}, fmt.Errorf("%s: %s", what, failureText(out.Failures))
	}
	return taskOf(out.Tasks[0]), nil
}

func failureText(failures []types.Failure) string {
	if len(failures) == 0 {
		return "ECS started no task and gave no reason"
	}
	text := str(failures[0].Reason)
	if detail := str(failures[0].Detail); detail != "" {
		text += ": " + detail
	}
	return text
}
