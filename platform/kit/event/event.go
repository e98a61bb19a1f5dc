// Package event holds the typed progress events that the kit's operations
// emit while they run (up, build, deploy, rollback, down) and the small sinks
// that carry them. It knows neither how events come about nor how they are
// shown: producers and renderers meet here and nowhere else.
package event

import (
	"fmt"
	"strings"
	"time"
)

// SchemaVersion is the version of the JSON form of an [Event]. It grows only
// when a field changes its meaning or goes away; new fields and new types may
// appear at any time and readers must ignore what they do not know.
const SchemaVersion = 1

// Type names the kind of payload in an event's JSON form.
type Type string

// The types of events; the payload of each has the same name.
const (
	TypeStepStarted       Type = "step_started"
	TypeStepProgress      Type = "step_progress"
	TypeStepDone          Type = "step_done"
	TypeStepFailed        Type = "step_failed"
	TypePlan              Type = "plan"
	TypeChecks            Type = "checks"
	TypeDeploymentChanged Type = "deployment_changed"
	TypeServiceMessage    Type = "service_message"
	TypeStageEnded        Type = "stage_ended"
	TypeTaskStopped       Type = "task_stopped"
	TypeLogLine           Type = "log_line"
	TypeNotice            Type = "notice"
	TypeVerdict           Type = "verdict"
	TypeResult            Type = "result"
)

// Event is one thing that happened, at one moment, to at most one service of
// one environment.
type Event struct {
	Time        time.Time
	Environment string // empty when the event belongs to no environment
	Service     string // empty when the event belongs to no single service
	Data        Payload
}

// Payload is one of the payload types of this package.
type Payload interface{ Type() Type }

// StepStarted says that a named piece of work began. Steps nest by Parent.
type StepStarted struct {
	ID     string `json:"id"`               // unique within one command
	Parent string `json:"parent,omitempty"` // the ID of the enclosing step
	Title  string `json:"title"`            // what is being done, lower case: "build catalog"
}

// StepProgress says how far a started step is.
type StepProgress struct {
	ID      string `json:"id"`
	Message string `json:"message,omitempty"`
	Done    int64  `json:"done,omitempty"`
	Total   int64  `json:"total,omitempty"` // 0 when unknown
	Unit    string `json:"unit,omitempty"`  // "bytes", "tasks"; empty for a bare count
}

// StepDone says that a step ended well.
type StepDone struct {
	ID       string   `json:"id"`
	Duration Duration `json:"duration"`
	Detail   string   `json:"detail,omitempty"` // the outcome in a few words: "3 layers pushed"
	Skipped  bool     `json:"skipped,omitempty"`
}

// StepFailed says that a step ended badly.
type StepFailed struct {
	ID       string   `json:"id"`
	Duration Duration `json:"duration"`
	Error    string   `json:"error"`
	Next     string   `json:"next,omitempty"` // the command to type next
}

// Plan carries a plan before it is applied: as text for people, as data for
// programs.
type Plan struct {
	Text string `json:"text"`
	Data any    `json:"data,omitempty"`
}

// DeploymentChanged is a snapshot of the deployment being watched, emitted
// only when it differs from the one before.
type DeploymentChanged struct {
	Deployment string `json:"deployment"` // service deployment id
	Revision   string `json:"revision"`   // family:revision being rolled out
	Release    string `json:"release,omitempty"`
	State      string `json:"state"`           // the state as ECS names it: "IN_PROGRESS"
	Stage      string `json:"stage,omitempty"` // lifecycle stage, for strategies that have stages
	// Weight is the share of the production traffic, in percent, that the
	// revision gets; it means something only with a stage.
	Weight  float64 `json:"weight,omitempty"`
	Desired int     `json:"desired"`
	Running int     `json:"running"`
	Pending int     `json:"pending"`
	Healthy int     `json:"healthy"`
	Failed  int     `json:"failed,omitempty"` // tasks that failed to start since the deployment began
	Reason  string  `json:"reason,omitempty"`
}

// Stage is a part of a deployment that moves traffic, as long as the revision's
// share of it stayed the same.
type Stage struct {
	Name     string   `json:"name"`             // as ECS names it: "PRODUCTION_TRAFFIC_SHIFT"
	Weight   float64  `json:"weight,omitempty"` // share of the production traffic, in percent
	Duration Duration `json:"duration"`         // as far as it was watched
}

// String returns the stage as people read it: "production traffic shift at
// 10 %, 15.0s".
func (s Stage) String() string {
	return fmt.Sprintf("%s at %g %%, %s", strings.ToLower(strings.ReplaceAll(s.Name, "_", " ")), s.Weight, s.Duration)
}

// StageEnded says that a deployment went on to another stage, or moved traffic.
type StageEnded struct {
	Deployment string `json:"deployment"` // service deployment id
	Stage      Stage  `json:"stage"`
}

// ServiceMessage is an event of the ECS service, in ECS' own words.
type ServiceMessage struct {
	ID      string    `json:"id"`
	At      time.Time `json:"at"`
	Message string    `json:"message"`
}

// TaskStopped says that a task of the watched revision ended.
type TaskStopped struct {
	Task       string             `json:"task"` // task id
	Revision   string             `json:"revision"`
	Code       string             `json:"code,omitempty"` // stop code as ECS names it
	Reason     string             `json:"reason"`
	Containers []ContainerStopped `json:"containers,omitempty"`
}

// ContainerStopped says how one container of a stopped task ended.
type ContainerStopped struct {
	Name     string `json:"name"`
	ExitCode *int   `json:"exit_code,omitempty"` // nil when the container never ran
	Reason   string `json:"reason,omitempty"`
}

// LogLine is one line that a task wrote.
type LogLine struct {
	At      time.Time `json:"at"`
	Task    string    `json:"task,omitempty"`
	Message string    `json:"message"`
	// Wanted is true when the user asked for the lines themselves: they are
	// then results (stdout) and not progress (stderr).
	Wanted bool `json:"wanted,omitempty"`
}

// Notice is a remark or a warning for people that belongs to no step.
type Notice struct {
	Level   Level  `json:"level"`
	Message string `json:"message"`
	Next    string `json:"next,omitempty"`
}

// Level grades a [Notice].
type Level string

// The levels of a notice.
const (
	Info    Level = "info"
	Warning Level = "warning"
	Failure Level = "error"
)

// Result is what the command was asked for; it alone goes to stdout.
type Result struct {
	Kind string `json:"kind"`           // "status", "urls", "digest", "plan"
	Text string `json:"text"`           // complete lines for people
	Data any    `json:"data,omitempty"` // the same for programs
	// Replaces says that this takes the place of the result of that kind before:
	// a screen that is watched.
	Replaces bool `json:"replaces,omitempty"`
}

// Type returns [TypeStepStarted].
func (StepStarted) Type() Type { return TypeStepStarted }

// Type returns [TypeStepProgress].
func (StepProgress) Type() Type { return TypeStepProgress }

// Type returns [TypeStepDone].
func (StepDone) Type() Type { return TypeStepDone }

// Type returns [TypeStepFailed].
func (StepFailed) Type() Type { return TypeStepFailed }

// Type returns [TypePlan].
func (Plan) Type() Type { return TypePlan }

// Type returns [TypeChecks].
func (Checks) Type() Type { return TypeChecks }

// Type returns [TypeDeploymentChanged].
func (DeploymentChanged) Type() Type { return TypeDeploymentChanged }

// Type returns [TypeServiceMessage].
func (ServiceMessage) Type() Type { return TypeServiceMessage }

// Type returns [TypeStageEnded].
func (StageEnded) Type() Type { return TypeStageEnded }

// Type returns [TypeTaskStopped].
func (TaskStopped) Type() Type { return TypeTaskStopped }

// Type returns [TypeLogLine].
func (LogLine) Type() Type { return TypeLogLine }

// Type returns [TypeNotice].
func (Notice) Type() Type { return TypeNotice }

// Type returns [TypeVerdict].
func (Verdict) Type() Type { return TypeVerdict }

// Type returns [TypeResult].
func (Result) Type() Type { return TypeResult }
