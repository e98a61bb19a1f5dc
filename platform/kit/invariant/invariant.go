// Package invariant asks the services of an environment whether their data is
// as it must always be: it runs the command "check" of the release that runs,
// as a task beside the service, and reads what that task found. It knows no
// invariant itself and changes nothing.
package invariant

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jonboulle/clockwork"

	"github.com/slipway-dev/slipway/platform/kit/contract"
	"github.com/slipway-dev/slipway/platform/kit/event"
	"github.com/slipway-dev/slipway/platform/kit/rollout"
)

// ECS is what is needed of Amazon ECS; see [rollout.ECS].
type ECS interface {
	Service(ctx context.Context, cluster, service string) (rollout.Service, error)
	TaskDefinition(ctx context.Context, name string) (rollout.TaskDefinition, error)
	Run(ctx context.Context, r rollout.Run) (rollout.Task, error)
	Task(ctx context.Context, cluster, arn string) (rollout.Task, error)
}

// Logs reads what a task wrote; see [rollout.Logs].
type Logs interface {
	Tail(ctx context.Context, group, stream string, limit int) ([]rollout.LogEvent, error)
}

// Config says where to ask.
type Config struct {
	Environment string
	Contracts   rollout.Contracts
	ECS         ECS
	Logs        Logs
	// Local says that the environment is the embedded cluster, which is polled
	// fast.
	Local bool
	// Timeout bounds one service's check; 0 takes 10 minutes.
	Timeout time.Duration
	Clock   clockwork.Clock // nil takes the real one
}

const defaultTimeout = 10 * time.Minute

// Finding is what a service's data says of one invariant.
type Finding struct {
	Invariant string            `json:"invariant"`
	Holds     bool              `json:"holds"`
	Doc       string            `json:"doc,omitempty"`  // why it holds, or what to do when it does not
	Rows      []json.RawMessage `json:"rows,omitempty"` // that break it
	More      bool              `json:"more,omitempty"` // there are more rows
}

// Report is what one service's check found.
type Report struct {
	Service  string    `json:"service"`
	Release  string    `json:"release,omitempty"`
	Task     string    `json:"task,omitempty"`
	Findings []Finding `json:"findings"`
	// None says why there is no finding; empty when there is one.
	None string `json:"none,omitempty"`
}

// Holds reports whether nothing is broken.
func (r Report) Holds() bool {
	for _, f := range r.Findings {
		if !f.Holds {
			return false
		}
	}
	return true
}

// Checker asks services.
type Checker struct{ cfg Config }

// New returns a checker.
func New(cfg Config) (*Checker, error) {
	if cfg.Environment == "" || cfg.Contracts == nil || cfg.ECS == nil || cfg.Logs == nil {
		return nil, errors.New("invariant: Environment, Contracts, ECS and Logs must be set")
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = defaultTimeout
	}
	if cfg.Clock == nil {
		cfg.Clock = clockwork.NewRealClock()
	}
	return &Checker{cfg: cfg}, nil
}

// Check asks one service.
func (c *Checker) Check(ctx context.Context, service string, emit *event.Emitter) (report Report, err error) {
	report = Report{Service: service, Findings: []Finding{}}
	err = emit.Run("check "+service, func(step *event.Step) (string, error) {
		shell, err := c.cfg.Contracts.Contract(ctx, c.cfg.Environment, service)
		if err != nil {
			return "", c.fail(service, err, "deploy")
		}
		if shell.Migration == nil {
			report.None = "it has no database"
			return report.None, nil
		}
		running, err := c.running(ctx, shell)
		if err != nil {
			return "", c.fail(service, err, "deploy")
		}
		report.Release = running.Tags[contract.TagRelease]
		step.Progress("release "+report.Release, 0, 0, "")
		if err := c.ask(ctx, shell, running, &report); err != nil {
			return "", c.fail(service, err, "logs")
		}
		if len(report.Findings) == 0 {
			report.None = "it states no invariant"
			return report.None, nil
		}
		return summary(report), nil
	})
	return report, err
}

func summary(r Report) string {
	broken := 0
	for _, f := range r.Findings {
		if !f.Holds {
			broken++
		}
	}
	if broken > 0 {
		return fmt.Sprintf("%d of %d broken", broken, len(r.Findings))
	}
	return fmt.Sprintf("%d hold", len(r.Findings))
}

func (c *Checker) fail(service string, err error, verb string) error {
	return &rollout.Error{
		What: fmt.Sprintf("check the invariants of %s in %s", service, c.cfg.Environment), Err: err,
		Do: fmt.Sprintf("go tool mage %s %s %s", verb, c.cfg.Environment, service),
	}
}

// errNothingRuns says that there is no release to ask.
var errNothingRuns = errors.New("no release of it runs there")

// running is the revision that has tasks: the one aimed at, else another.
func (c *Checker) running(ctx context.Context, shell contract.Contract) (rollout.TaskDefinition, error) {
	svc, err := c.cfg.ECS.Service(ctx, shell.Cluster, shell.ECSService)
	if err != nil {
		return rollout.TaskDefinition{}, err
	}
	found := ""
	for _, part := range svc.Parts {
		if part.Running > 0 && (found == "" || part.Status == "PRIMARY") {
			found = part.TaskDefinition
		}
	}
	if found == "" {
		return rollout.TaskDefinition{}, errNothingRuns
	}
	return c.cfg.ECS.TaskDefinition(ctx, found)
}

// ask runs the release's check and fills in what it found.
func (c *Checker) ask(ctx context.Context, shell contract.Contract, running rollout.TaskDefinition, report *Report) error {
	began := c.cfg.Clock.Now()
	task, err := c.cfg.ECS.Run(ctx, rollout.Run{
		Cluster: shell.Cluster, TaskDefinition: running.ARN, StartedBy: "slipway/check",
		Container: shell.Container, Command: []string{"check"}, Network: shell.Network,
		Tags: map[string]string{
			contract.TagService: report.Service, contract.TagEnvironment: c.cfg.Environment, contract.TagRelease: report.Release,
		},
	})
	if err != nil {
		return err
	}
	report.Task = task.ID
	for n := 0; task.Status != "STOPPED"; n++ {
		if c.cfg.Clock.Since(began) > c.cfg.Timeout {
			return fmt.Errorf("task %s was still running after %s", task.ID, event.Duration(c.cfg.Timeout))
		}
		if err := c.wait(ctx, n); err != nil {
			return err
		}
		if task, err = c.cfg.ECS.Task(ctx, shell.Cluster, task.ARN); err != nil {
			return err
		}
	}
	return c.read(ctx, shell, running, task, report)
}

// wait waits for poll n: 50 ms at home, a second or two elsewhere.
func (c *Checker) wait(ctx context.Context, n int) error {
	pace := time.Second
	switch {
	case c.cfg.Local:
		pace = 50 * time.Millisecond
	case n > 30:
		pace = 2 * time.Second
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-c.cfg.Clock.After(pace):
		return nil
	}
}

// Exit codes of a service's program.
const (
	exitHolds  = 0
	exitFailed = 1 // an invariant is broken, or could not be looked at
	exitUsage  = 2
)

const (
	// linesRead is how many of a task's last lines are read.
	linesRead = 1000
	// readings is how often the log is read for a line that must be there:
	// CloudWatch Logs may tell of it after the task has stopped.
	readings = 10
)

// read turns the task's exit code and lines into findings.
func (c *Checker) read(ctx context.Context, shell contract.Contract, running rollout.TaskDefinition, task rollout.Task, report *Report) error {
	code := exitCode(task, shell.Container)
	if code == nil {
		return fmt.Errorf("task %s did not run: %s", task.ID, orNone(task.StoppedReason))
	}
	stream := stream(shell, running, task)
	var other []string
	for n := range readings {
		lines, err := c.cfg.Logs.Tail(ctx, shell.LogGroup, stream, linesRead)
		if err != nil {
			return fmt.Errorf("read what task %s found: %w", task.ID, err)
		}
		report.Findings, other = findings(lines)
		if complete(*code, report.Findings, other) {
			break
		}
		if err := c.wait(ctx, n); err != nil {
			return err
		}
	}
	last := strings.Join(other[max(0, len(other)-3):], "; ")
	switch {
	case *code == exitHolds, *code == exitFailed && !report.Holds():
		return nil
	case *code == exitUsage && (strings.Contains(last, `no command "check"`) || strings.Contains(last, "usage:")):
		return &rollout.Error{
			What: fmt.Sprintf("release %s does not know the command check; deploy one that does", report.Release),
			Do:   fmt.Sprintf("go tool mage deploy %s %s", c.cfg.Environment, report.Service),
		}
	default:
		return fmt.Errorf("task %s exited with code %d: %s", task.ID, *code, orNone(last))
	}
}

// complete reports whether the log says what the exit code promises.
func complete(code int, found []Finding, other []string) bool {
	switch code {
	case exitHolds:
		return len(found) > 0
	case exitFailed:
		return !Report{Findings: found}.Holds() || len(found) == 0 && len(other) > 0
	default:
		return len(other) > 0
	}
}

// findings sorts a task's lines into findings and the rest.
func findings(lines []rollout.LogEvent) (found []Finding, other []string) {
	found = []Finding{}
	for _, l := range lines {
		var f Finding
		if json.Unmarshal([]byte(l.Message), &f) == nil && f.Invariant != "" {
			found = append(found, f)
			continue
		}
		if text := strings.TrimSpace(l.Message); text != "" {
			other = append(other, text)
		}
	}
	return found, other
}

func orNone(text string) string {
	if text == "" {
		return "it says nothing"
	}
	return text
}

func exitCode(task rollout.Task, container string) *int {
	for _, c := range task.Containers {
		if c.Name == container {
			return c.ExitCode
		}
	}
	return nil
}

// stream is the task's log stream: PREFIX/CONTAINER/TASK (Amazon ECS, awslogs).
func stream(shell contract.Contract, running rollout.TaskDefinition, task rollout.Task) string {
	prefix := shell.ECSService
	for _, c := range running.Containers {
		if c.Name == shell.Container && c.LogPrefix != "" {
			prefix = c.LogPrefix
		}
	}
	return prefix + "/" + shell.Container + "/" + task.ID
}
