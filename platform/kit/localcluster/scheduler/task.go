package scheduler

import (
	"context"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/slipway-dev/slipway/platform/kit/localcluster/scheduler/ecserr"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/scheduler/ident"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/scheduler/ledger"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/scheduler/settings"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/task"
)

// Task states.
// Source: "Amazon ECS task lifecycle".
const (
	statusProvisioning = "PROVISIONING"
	statusPending      = "PENDING"
	statusActivating   = "ACTIVATING"
	statusRunning      = "RUNNING"
	statusDeactivating = "DEACTIVATING"
	statusStopping     = "STOPPING"
	statusStopped      = "STOPPED"
)

// defaultStopTimeout is the grace of a container that names none.
const defaultStopTimeout = 30 * time.Second

// launch is what a task is created from.
type launch struct {
	cluster    *ledger.Cluster
	definition *ledger.Definition
	group      string
	startedBy  string
	overrides  types.TaskOverride
	tags       []types.Tag
	network    *types.NetworkConfiguration
	platform   string
	capacity   string
	exec       bool
	service    string // key
	deployment string
	balancers  []types.LoadBalancer
	alternate  bool // register in the alternate target groups
	token      string
}

// create adds a task and has it started.
func (t *turn) create(l launch) *ledger.Task {
	id, cluster, def := t.names.Task(), *l.cluster.Cluster.ClusterName, l.definition.Definition
	arn := t.names.ARN("task/" + cluster + "/" + id)
	containers := make([]types.Container, 0, len(def.ContainerDefinitions))
	for _, c := range def.ContainerDefinitions {
		containers = append(containers, types.Container{
			ContainerArn: aws.String(t.names.ARN("container/" + cluster + "/" + id + "/" + t.names.UUID())),
			TaskArn:      aws.String(arn), Name: c.Name, Image: c.Image,
			LastStatus: aws.String(task.StatusPending), HealthStatus: types.HealthStatusUnknown,
			NetworkBindings: []types.NetworkBinding{}, NetworkInterfaces: []types.NetworkInterface{},
		})
	}
	row := &ledger.Task{
		Cluster: cluster, Service: l.service, Deployment: l.deployment, ClientToken: l.token,
		Definition: ledger.DefinitionKey(*def.Family, def.Revision),
		Task: types.Task{
			TaskArn: aws.String(arn), ClusterArn: l.cluster.Cluster.ClusterArn, TaskDefinitionArn: def.TaskDefinitionArn,
			LastStatus: aws.String(statusProvisioning), DesiredStatus: aws.String(statusRunning),
			HealthStatus: types.HealthStatusUnknown, CreatedAt: aws.Time(t.now), Version: 1,
			Group: aws.String(l.group), LaunchType: types.LaunchTypeFargate, AvailabilityZone: aws.String(t.cfg.Zone),
			Cpu: def.Cpu, Memory: def.Memory, Overrides: &l.overrides, Tags: l.tags,
			PlatformFamily: aws.String(settings.PlatformFamily(def)), PlatformVersion: aws.String(l.platform),
			EnableExecuteCommand: l.exec, Containers: containers, Attachments: t.attachments(l.network),
			Connectivity: types.ConnectivityConnected, ConnectivityAt: aws.Time(t.now),
		},
	}
	if l.startedBy != "" {
		row.Task.StartedBy = aws.String(l.startedBy)
	}
	if l.capacity != "" {
		row.Task.CapacityProviderName = aws.String(l.capacity)
	}
	if l.overrides.Cpu != nil {
		row.Task.Cpu = l.overrides.Cpu
	}
	if l.overrides.Memory != nil {
		row.Task.Memory = l.overrides.Memory
	}
	for _, lb := range l.balancers {
		row.Targets = append(row.Targets, ledger.Binding{
			Group: groupOf(lb, l.alternate), Container: *lb.ContainerName, ContainerPort: *lb.ContainerPort,
		})
	}
	t.ledger.Tasks.Put(ledger.Key(cluster, id), row)
	t.then(t.startTask(task.Spec{
		ARN: arn, ID: id, ClusterARN: *l.cluster.Cluster.ClusterArn, ClusterName: cluster,
		Group: l.group, LaunchType: string(types.LaunchTypeFargate), Definition: def, Overrides: l.overrides,
		MetadataURI: t.cfg.MetadataBaseURL + "/v4/" + id, CreatedAt: t.now,
	}))
	return row
}

// attachments is the one network interface that a Fargate task has.
func (t *turn) attachments(network *types.NetworkConfiguration) []types.Attachment {
	details := []types.KeyValuePair{{Name: aws.String("privateIPv4Address"), Value: aws.String(t.cfg.TargetHost)}}
	if network != nil && network.AwsvpcConfiguration != nil && len(network.AwsvpcConfiguration.Subnets) > 0 {
		details = append(details, types.KeyValuePair{
			Name: aws.String("subnetId"), Value: aws.String(network.AwsvpcConfiguration.Subnets[0]),
		})
	}
	return []types.Attachment{{
		Id: aws.String(t.names.UUID()), Type: aws.String("ElasticNetworkInterface"),
		Status: aws.String("ATTACHED"), Details: details,
	}}
}

// taskOf finds a task by ARN.
func (t *turn) taskOf(arn string) *ledger.Task {
	kind, parts, ok := ident.Resource(arn)
	if !ok || kind != "task" || len(parts) != 2 {
		return nil
	}
	return t.ledger.Tasks.Get(ledger.Key(parts[0], parts[1]))
}

func (t *turn) touchTask(row *ledger.Task) {
	row.Task.Version++
	t.ledger.Tasks.Touch(ledger.Key(row.Cluster, ident.Last(*row.Task.TaskArn)))
	t.touch(row.Service)
}

// started notes whether the runtime took the task.
func (t *turn) started(arn string, err error) {
	row := t.taskOf(arn)
	if row == nil || row.Over() {
		return
	}
	if err != nil {
		t.end(row, ledger.CauseStart, types.TaskStopCodeTaskFailedToStart, err.Error())
		t.over(row)
		return
	}
	if row.Status() == statusProvisioning {
		row.Task.LastStatus = aws.String(statusPending)
		t.touchTask(row)
	}
}

// stop begins the end of a task: out of the load balancer first, and once
// nothing is in flight its containers. A task whose process is gone already
// has nothing to drain.
func (t *turn) stop(row *ledger.Task, cause string, code types.TaskStopCode, reason string) {
	if !row.Live() {
		return
	}
	t.end(row, cause, code, reason)
	draining := t.leaveTargets(row)
	if draining && cause != ledger.CauseExited && cause != ledger.CauseStart {
		row.Task.LastStatus = aws.String(statusDeactivating)
		return
	}
	t.halt(row)
}

// end writes down that a task shall stop and why, and holds it against its
// deployment where it has to be.
func (t *turn) end(row *ledger.Task, cause string, code types.TaskStopCode, reason string) {
	if !row.Live() {
		return
	}
	t.written = true
	row.Cause = cause
	row.Task.DesiredStatus = aws.String(statusStopped)
	row.Task.StoppingAt = aws.Time(t.now)
	row.Task.StopCode, row.Task.StoppedReason = code, aws.String(reason)
	t.touchTask(row)
	switch cause {
	case ledger.CauseExited, ledger.CauseStart, ledger.CauseHealth:
		t.blame(row)
	}
}

// halt has the runtime end the task's containers.
func (t *turn) halt(row *ledger.Task) {
	row.Task.LastStatus = aws.String(statusStopping)
	t.touchTask(row)
	t.written = true
	grace := map[string]time.Duration{}
	if def := t.ledger.Definitions.Get(row.Definition); def != nil {
		for _, c := range def.Definition.ContainerDefinitions {
			grace[*c.Name] = defaultStopTimeout
			if c.StopTimeout != nil {
				grace[*c.Name] = time.Duration(*c.StopTimeout) * time.Second
			}
		}
	}
	t.then(t.stopTask(*row.Task.TaskArn, grace))
}

// over writes down that a task has stopped.
func (t *turn) over(row *ledger.Task) {
	if row.Over() {
		return
	}
	t.leaveTargets(row)
	t.written = true
	row.Task.LastStatus = aws.String(statusStopped)
	row.Task.StoppedAt = aws.Time(t.now)
	if row.Task.StartedAt != nil && row.Task.ExecutionStoppedAt == nil {
		row.Task.ExecutionStoppedAt = aws.Time(t.now)
	}
	row.Task.Connectivity = types.ConnectivityDisconnected
	row.Task.Containers = slices.Clone(row.Task.Containers)
	for i := range row.Task.Containers {
		row.Task.Containers[i].LastStatus = aws.String(statusStopped)
	}
	row.Task.Attachments = slices.Clone(row.Task.Attachments)
	for i := range row.Task.Attachments {
		row.Task.Attachments[i].Status = aws.String("DELETED")
	}
	t.touchTask(row)
}

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
		network: in.NetworkConfiguration, platform: settings.PlatformVersion(in.PlatformVersion),
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
			return l, ecserr.Invalid("Override for container named %s is not a container in the TaskDefinition.", aws.ToString(o.Name))
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
		row := t.ledger.Tasks.Get(ledger.Key(*cluster.Cluster.ClusterName, ident.Last(aws.ToString(in.Task))))
		if row == nil {
			return ecserr.Invalid("The referenced task was not found.")
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
