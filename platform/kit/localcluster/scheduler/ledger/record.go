package ledger

import (
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

// Cluster is one ECS cluster. The counts in it are not kept; they are computed
// when it is described.
type Cluster struct {
	Cluster types.Cluster
}

// Definition is one task definition revision.
type Definition struct {
	Definition types.TaskDefinition
	Tags       []types.Tag
}

// Family is a task definition family; Last is the highest revision ever
// registered, so that a number is never given twice.
type Family struct {
	Last int32
}

// Service is one ECS service: its configuration and its events. Deployments
// and counts are computed when it is described.
type Service struct {
	Service types.Service
	// Cluster is the cluster's name.
	Cluster string
	// Primary is the id of the deployment that should end up with every task.
	Primary string
	// Completed is the ARN of the last revision whose deployment completed
	// with tasks: what a rollback returns to. Empty before the first.
	Completed string
	// Steady is set once the steady state was announced, until it is lost.
	Steady bool
	// Stuck is set once it was announced that the deployment configuration
	// allows no step, until one is possible.
	Stuck bool
	// ClientToken is the token the service was created with.
	ClientToken string
	// Alternate says which target groups the settled tasks are in: the
	// alternate ones of the load balancers, or the first. Share is the part of
	// the production traffic, in percent, that goes to the other side.
	Alternate bool
	Share     float64
	// Tested says that the test traffic goes to the other side.
	Tested bool
}

// Deployment is one entry of a service's deployments.
type Deployment struct {
	Deployment types.Deployment
	// Service is the service's key, Revision the ARN of what is deployed,
	// Rollout the ARN of the service deployment it is part of.
	Service, Revision, Rollout string
	// Rollback is set while the deployment puts an earlier revision back.
	Rollback bool
	// Crashes counts failed tasks since one was last up for long; it sets the
	// back-off. No task is started before NotBefore.
	Crashes   int
	NotBefore time.Time
	// Alternate says that its tasks are in the alternate target groups.
	Alternate bool
	// Shift is how far its traffic has moved; nil for a rolling update.
	Shift *Shift
	// Deaf is set when an alarm was firing at the start: ECS then ignores the
	// alarms for the whole deployment.
	Deaf bool
	// Baking is when a rolling update had replaced every task and began to wait.
	Baking time.Time
}

// Shift is how far a deployment has come that moves traffic from the old
// release to the new one.
type Shift struct {
	// Stage is the stage it is in, Since when that, or the last step in it, began.
	Stage types.ServiceDeploymentLifecycleStage
	Since time.Time
}

// Rollout is one service deployment.
type Rollout struct {
	Rollout types.ServiceDeployment
	// Service is the service's key, Deployment the id of the deployment that
	// carries the target revision.
	Service, Deployment string
}

// Revision is one service revision.
type Revision struct {
	Revision types.ServiceRevision
	// Service is the service's key.
	Service string
}

// Why a task stops. Only some of the reasons speak against the deployment.
const (
	// CauseReplaced is a task the scheduler no longer wants.
	CauseReplaced = "replaced"
	// CauseUser is StopTask.
	CauseUser = "user"
	// CauseLost is a task that did not survive a restart of the cluster.
	CauseLost = "lost"
	// CauseExited is an essential container that ended by itself, CauseStart a
	// task that did not start, CauseHealth a failed health check.
	CauseExited = "exited"
	CauseStart  = "start"
	CauseHealth = "health"
)

// Task is one task.
type Task struct {
	Task types.Task
	// Cluster is the cluster's name, Service the service's key ("" for a
	// standalone task), Deployment the id of the one deployment it belongs to.
	Cluster, Service, Deployment string
	// Definition is the key of its task definition.
	Definition string
	// Targets are the task's places in target groups.
	Targets []Binding
	// Cause says why the task stops, one of the Cause constants.
	Cause string
	// Proven is set once the task was healthy. A proven task is only given up
	// for a healthy one.
	Proven bool
	// ClientToken is the token of the RunTask call.
	ClientToken string
}

// How far a target is.
const (
	BindingNew        = ""
	BindingRegistered = "registered"
	BindingDraining   = "draining"
	BindingGone       = "gone"
)

// Binding is a task's place in one target group.
type Binding struct {
	Group, Container string
	ContainerPort    int32
	// HostPort is what the runtime allotted, known once the task runs.
	HostPort int32
	// State is one of the Binding constants, Health the target's state as last
	// heard, Reason and Description what the load balancer said about it.
	State, Health, Reason, Description string
}

// Key is the key of a service or a task.
func Key(cluster, name string) string { return cluster + "/" + name }

// DefinitionKey is the key of a task definition; it sorts by revision.
func DefinitionKey(family string, revision int32) string {
	return fmt.Sprintf("%s:%010d", family, revision)
}

// Live reports whether the task should be running.
func (t *Task) Live() bool {
	return t.Task.DesiredStatus != nil && *t.Task.DesiredStatus == string(types.DesiredStatusRunning)
}

// Over reports whether the task has stopped for good.
func (t *Task) Over() bool {
	return t.Task.LastStatus != nil && *t.Task.LastStatus == string(types.DesiredStatusStopped)
}

// Status is the task's last status.
func (t *Task) Status() string {
	if t.Task.LastStatus == nil {
		return ""
	}
	return *t.Task.LastStatus
}
