package rollout

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/slipway-dev/slipway/platform/kit/contract"
	"github.com/slipway-dev/slipway/platform/kit/rollout/check"
)

// What the errors of these interfaces wrap.
var (
	// ErrNotFound: the thing asked for does not exist.
	ErrNotFound = errors.New("not found")
	// ErrUncertain: no answer came, or one that the callee failed at it; the call
	// may have taken effect all the same.
	ErrUncertain = errors.New("it may have taken effect")
)

// ECS is what rollouts need of Amazon ECS. Reads return the newest state that
// the service has; methods are safe for concurrent use.
type ECS interface {
	// Service describes a service; ErrNotFound when there is none.
	Service(ctx context.Context, cluster, service string) (Service, error)
	// TaskDefinition describes a revision by ARN or family:revision, or the
	// newest active one by family, tags included; ErrNotFound when there is none.
	TaskDefinition(ctx context.Context, name string) (TaskDefinition, error)
	// TaskDefinitions lists the ARNs of a family's active revisions, newest first.
	TaskDefinitions(ctx context.Context, family string, limit int) ([]string, error)
	// Register registers a revision from the input of RegisterTaskDefinition.
	Register(ctx context.Context, definition json.RawMessage) (TaskDefinition, error)
	// Deregister makes a revision INACTIVE.
	Deregister(ctx context.Context, taskDefinition string) error
	// Update points the service at a revision and returns it as it is then.
	Update(ctx context.Context, u Update) (Service, error)
	// Deployments lists a service's deployments, newest first.
	Deployments(ctx context.Context, cluster, service string, limit int) ([]Deployment, error)
	// Deployment describes one service deployment; ErrNotFound when there is none.
	Deployment(ctx context.Context, arn string) (Deployment, error)
	// Tasks lists and describes tasks, newest first.
	Tasks(ctx context.Context, q TaskQuery) ([]Task, error)
	// Task describes one task; ErrNotFound when ECS knows it no longer.
	Task(ctx context.Context, cluster, arn string) (Task, error)
	// Run starts one task.
	Run(ctx context.Context, r Run) (Task, error)
}

// Images is what rollouts need of a registry.
type Images interface {
	// Platforms returns the platforms ("linux/arm64") of an image given by
	// repository name and digest; ErrNotFound when the registry lacks it.
	Platforms(ctx context.Context, repository, digest string) ([]string, error)
}

// Releases finds what was built before. The error for what is not there names
// what is.
type Releases interface {
	// Find returns the release of a service that ref means: its version, its
	// digest, or the beginning of a version or commit.
	Find(ctx context.Context, service, ref string) (Release, error)
}

// Schemas knows what schema changes took away.
type Schemas interface {
	// Behind lists the migrations of release from that took away what release to
	// may need, in words; an error says why that is not known.
	Behind(ctx context.Context, service, from, to string) ([]string, error)
}

// Evidence examines what is promised of an image beyond its being there: its
// signature, its provenance, its contents, its known vulnerabilities.
type Evidence interface {
	// Examine returns one check a promise, the failed and the skipped among
	// them. What could not be found out is a failed check, never an omitted one.
	Examine(ctx context.Context, q EvidenceQuery) []Check
}

// EvidenceQuery names an image and where it is to run.
type EvidenceQuery struct {
	Environment, Service string
	Repository, Digest   string
	Release              string
	Rollback             bool // the image has served there before
}

// Secrets says whether a task's secrets are there.
type Secrets interface {
	// Check returns nil when valueFrom, an ECS secret reference (secret or
	// parameter, name or ARN, with or without json key), has a value.
	Check(ctx context.Context, valueFrom string) error
}

// Contracts reads what the owner of the service's shell wrote.
type Contracts interface {
	Contract(ctx context.Context, environment, service string) (contract.Contract, error)
}

// Logs reads what tasks wrote.
type Logs interface {
	// Tail returns the last lines of a stream, oldest first; none when the
	// stream does not exist.
	Tail(ctx context.Context, group, stream string, limit int) ([]LogEvent, error)
	// Filter returns one page of a group's lines from q.From on, oldest first.
	Filter(ctx context.Context, q LogQuery) (LogPage, error)
}

// Alarms is what rollouts need of Amazon CloudWatch.
type Alarms interface {
	// Alarms describes those of the named alarms that exist.
	Alarms(ctx context.Context, names []string) ([]Alarm, error)
}

// Alarm is a CloudWatch alarm.
type Alarm struct {
	Name   string `json:"name"`
	Firing bool   `json:"firing"` // it is in state ALARM
	Reason string `json:"reason"` // why it is in its state
}

// Service is an ECS service.
type Service struct {
	ARN            string
	Name           string
	Status         string // ACTIVE, DRAINING, INACTIVE
	Desired        int
	Running        int
	Pending        int
	TaskDefinition string // ARN of the revision it aims at
	Current        string // ARN of its newest service deployment, where ECS tells
	Strategy       string // ROLLING, BLUE_GREEN, CANARY, LINEAR
	BakeMinutes    int
	StepPercent    float64          // of a canary, or of each step of a linear deployment; else 0
	StepMinutes    int              // that it lasts
	Alarms         []string         // that roll a deployment back
	Breaker        bool             // circuit breaker enabled
	BreakerReverts bool             // and it rolls back
	Parts          []Part           // ECS' own "deployments" list
	Events         []ServiceMessage // newest first
	Balancers      []check.Balancer
}

// Part is a revision of a service that has or should have tasks.
type Part struct {
	ID             string // ecs-svc/...
	Status         string // PRIMARY, ACTIVE, INACTIVE
	TaskDefinition string
	Desired        int
	Running        int
	Pending        int
	Failed         int
	RolloutState   string // IN_PROGRESS, COMPLETED, FAILED
	RolloutReason  string
	CreatedAt      time.Time
	UpdatedAt      time.Time
}

// ServiceMessage is an event that ECS wrote about a service.
type ServiceMessage struct {
	ID      string
	At      time.Time
	Message string
}

// TaskDefinition is a registered revision.
type TaskDefinition struct {
	ARN          string
	Family       string
	Revision     int
	Active       bool
	CPU          string
	Memory       string
	Platform     string // "linux/arm64"
	Containers   []ContainerDefinition
	Tags         map[string]string
	RegisteredAt time.Time
	RegisteredBy string // ARN of who registered it; empty when not told
}

// ContainerDefinition is the part of a container's definition that rollouts
// compare and use.
type ContainerDefinition struct {
	Name      string
	Image     string
	Command   []string
	Env       map[string]string
	Secrets   map[string]string // variable to valueFrom
	Labels    map[string]string
	LogGroup  string
	LogPrefix string
}

// Update asks for a new deployment of a service.
type Update struct {
	Cluster        string
	Service        string
	TaskDefinition string
	DesiredCount   *int // nil leaves it to whoever scales the service
	Force          bool // deploy even when the revision is the same
}

// The states of a service deployment, as ECS names them.
const (
	StatePending            = "PENDING"
	StateInProgress         = "IN_PROGRESS"
	StateSuccessful         = "SUCCESSFUL"
	StateStopped            = "STOPPED"
	StateStopRequested      = "STOP_REQUESTED"
	StateRollbackRequested  = "ROLLBACK_REQUESTED"
	StateRollbackInProgress = "ROLLBACK_IN_PROGRESS"
	StateRollbackSuccessful = "ROLLBACK_SUCCESSFUL"
	StateRollbackFailed     = "ROLLBACK_FAILED"
)

// Deployment is one service deployment.
type Deployment struct {
	ARN            string
	ID             string // last part of the ARN
	State          string
	Reason         string
	TaskDefinition string // ARN of the target revision's task definition
	Strategy       string // ROLLING, BLUE_GREEN, CANARY, LINEAR
	Requested      int
	Running        int
	Pending        int
	Stage          string   // lifecycle stage, for strategies that have stages
	Weight         float64  // production traffic of the target revision in percent, with a stage
	Breaker        string   // circuit breaker: TRIGGERED, MONITORING, ...
	Failures       int      // failures that the breaker counted
	Threshold      int      // failures at which it triggers
	Alarms         []string // that went off
	Ignored        []string // alarms that were firing when it began, for which ECS ignores all
	RollbackReason string
	PutBack        string // ARN of the task definition that it was rolled back to
	CreatedAt      time.Time
	StartedAt      time.Time
	FinishedAt     time.Time
}

// Ended reports whether the deployment is over, well or badly.
func (d Deployment) Ended() bool {
	switch d.State {
	case StateSuccessful, StateStopped, StateRollbackSuccessful, StateRollbackFailed:
		return true
	default:
		return false
	}
}

// TaskQuery selects tasks; empty members select all.
type TaskQuery struct {
	Cluster   string
	Service   string
	Family    string
	StartedBy string
	Stopped   bool // tasks that should be stopped, instead of running
	Limit     int
}

// Task is an ECS task.
type Task struct {
	ARN            string
	ID             string
	TaskDefinition string
	StartedBy      string // as given to Run; ECS fills in its own for a service's
	Status         string // PROVISIONING ... RUNNING ... STOPPED
	Health         string // HEALTHY, UNHEALTHY, UNKNOWN
	StopCode       string
	StoppedReason  string
	CreatedAt      time.Time
	StoppedAt      time.Time
	Containers     []Container
	Ports          []Port // at which it can be reached, where ECS tells
}

// Port is a port of a task, and where it can be reached.
type Port struct {
	Container int    `json:"container"`
	Address   string `json:"address"` // host:port
}

// Container is a container of a task.
type Container struct {
	Name     string
	Status   string
	Health   string
	ExitCode *int
	Reason   string
}

// Run asks for a task beside the service.
type Run struct {
	Cluster        string
	TaskDefinition string
	StartedBy      string
	Container      string   // whose command is replaced
	Command        []string // by this
	Network        *contract.Network
	Tags           map[string]string
}

// LogEvent is a line in a log stream.
type LogEvent struct {
	ID      string
	Stream  string
	At      time.Time
	Message string
}

// LogQuery selects lines of a log group.
type LogQuery struct {
	Group        string
	StreamPrefix string
	Filter       string // CloudWatch Logs filter pattern
	From         time.Time
	Token        string // of the page before; empty for the first
	Limit        int
}

// LogPage is a part of the answer to a LogQuery.
type LogPage struct {
	Events []LogEvent
	Token  string // empty when this is the last page
}
