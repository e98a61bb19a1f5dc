package scheduler

import (
	"cmp"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/slipway-dev/slipway/platform/kit/localcluster/scheduler/ledger"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/task"
)

// Report is what the runtime calls with a task's present state.
func (s *Scheduler) Report(r task.Report) {
	err := s.change(func(t *turn) error {
		switch {
		case s.closed:
		case !s.ready:
			s.late[r.TaskARN] = r
		default:
			delete(s.late, r.TaskARN)
			t.report(r)
		}
		return nil
	})
	if err != nil {
		s.cfg.Logger.Error("note task report", "task", r.TaskARN, "error", err)
		s.mu.Lock()
		s.late[r.TaskARN] = r
		s.mu.Unlock()
	}
}

// report brings a task's record up to what the runtime says.
func (t *turn) report(r task.Report) {
	row := t.taskOf(r.TaskARN)
	if row == nil || row.Over() {
		return
	}
	def := t.ledger.Definitions.Get(row.Definition)
	if def == nil {
		return
	}
	t.copyReport(row, r, def.Definition)
	if end, exited := essentialExit(def.Definition, r); exited && row.Live() {
		t.stop(row, end.cause, end.code, end.reason)
	}
	if r.Stopped() {
		t.end(row, ledger.CauseExited, types.TaskStopCodeEssentialContainerExited, cmp.Or(r.StoppedReason, essentialExited))
		t.over(row)
		return
	}
	if row.Live() && row.Task.StartedAt == nil && up(r) {
		row.Task.StartedAt = aws.Time(t.now)
		if r.StartedAt != nil {
			row.Task.StartedAt = aws.Time(r.StartedAt.UTC())
		}
		t.activate(row)
	}
	t.examine(row)
}

// essentialExited is ECS's reason for a task whose essential container ended.
const essentialExited = "Essential container in task exited"

// ending is why a task ended by itself.
type ending struct {
	cause  string
	code   types.TaskStopCode
	reason string
}

// essentialExit reports whether an essential container has stopped, or the
// runtime gave the task up, and in ECS's words why. A container with an exit
// code did run; one without never started.
func essentialExit(def types.TaskDefinition, r task.Report) (ending, bool) {
	given := r.StopCode != "" && r.Stopped()
	for _, c := range r.Containers {
		if c.Status != task.StatusStopped || !essential(def, c.Name) {
			continue
		}
		failed := c.ExitCode == nil && c.Reason != ""
		if r.StopCode == string(types.TaskStopCodeTaskFailedToStart) || r.StopCode == "" && failed {
			return ending{ledger.CauseStart, types.TaskStopCodeTaskFailedToStart, cmp.Or(r.StoppedReason, c.Reason)}, true
		}
		return ending{ledger.CauseExited, types.TaskStopCodeEssentialContainerExited, cmp.Or(r.StoppedReason, essentialExited)}, true
	}
	if given {
		return ending{ledger.CauseStart, types.TaskStopCode(r.StopCode), r.StoppedReason}, true
	}
	return ending{}, false
}

func essential(def types.TaskDefinition, container string) bool {
	for _, c := range def.ContainerDefinitions {
		if *c.Name == container {
			return c.Essential == nil || *c.Essential
		}
	}
	return true
}

// up reports whether every container that is not done has started.
func up(r task.Report) bool {
	running := false
	for _, c := range r.Containers {
		switch c.Status {
		case task.StatusRunning:
			running = true
		case task.StatusPending:
			return false
		}
	}
	return running
}

// copyReport takes over the containers' states. The slices are new, so that
// snapshots handed out before keep theirs.
func (t *turn) copyReport(row *ledger.Task, r task.Report, def types.TaskDefinition) {
	containers := make([]types.Container, len(row.Task.Containers))
	copy(containers, row.Task.Containers)
	for i := range containers {
		for _, c := range r.Containers {
			if c.Name == *containers[i].Name {
				fillContainer(&containers[i], c, t.cfg.TargetHost)
			}
		}
	}
	row.Task.Containers = containers
	row.Task.HealthStatus = taskHealth(def, containers)
	if r.PullStartedAt != nil {
		row.Task.PullStartedAt = aws.Time(r.PullStartedAt.UTC())
	}
	if r.PulledAt != nil {
		row.Task.PullStoppedAt = aws.Time(r.PulledAt.UTC())
	}
	t.touchTask(row)
}

func fillContainer(c *types.Container, r task.ContainerReport, host string) {
	c.LastStatus = aws.String(r.Status)
	c.ExitCode = r.ExitCode
	c.HealthStatus = types.HealthStatus(cmp.Or(r.Health, task.HealthUnknown))
	if r.Reason != "" {
		c.Reason = aws.String(r.Reason)
	}
	if r.RuntimeID != "" {
		c.RuntimeId = aws.String(r.RuntimeID)
	}
	if r.ImageDigest != "" {
		c.ImageDigest = aws.String(r.ImageDigest)
	}
	if len(r.Ports) == 0 {
		return
	}
	c.NetworkBindings = make([]types.NetworkBinding, 0, len(r.Ports))
	for _, p := range r.Ports {
		c.NetworkBindings = append(c.NetworkBindings, types.NetworkBinding{
			BindIP: aws.String(host), ContainerPort: aws.Int32(p.ContainerPort), HostPort: aws.Int32(p.HostPort),
			Protocol: types.TransportProtocol(cmp.Or(p.Protocol, "tcp")),
		})
	}
	c.NetworkInterfaces = []types.NetworkInterface{{PrivateIpv4Address: aws.String(host)}}
}

// taskHealth derives the task's health from its essential containers that
// have a check: unhealthy if one is, healthy if all are.
// Source: "Determine Amazon ECS task health using container health checks".
func taskHealth(def types.TaskDefinition, containers []types.Container) types.HealthStatus {
	checked, healthy := 0, 0
	for _, c := range def.ContainerDefinitions {
		if c.HealthCheck == nil || !essential(def, *c.Name) {
			continue
		}
		checked++
		for _, state := range containers {
			if *state.Name != *c.Name {
				continue
			}
			switch state.HealthStatus {
			case types.HealthStatusUnhealthy:
				return types.HealthStatusUnhealthy
			case types.HealthStatusHealthy:
				healthy++
			case types.HealthStatusUnknown:
			}
		}
	}
	if checked > 0 && checked == healthy {
		return types.HealthStatusHealthy
	}
	return types.HealthStatusUnknown
}

// hasCheck reports whether a task's containers are checked at all.
func hasCheck(def types.TaskDefinition) bool {
	for _, c := range def.ContainerDefinitions {
		if c.HealthCheck != nil && essential(def, *c.Name) {
			return true
		}
	}
	return false
}

// failure describes a target's state for events and stopped reasons.
func failure(b ledger.Binding) string {
	return fmt.Sprintf("(port %d) is unhealthy in (target-group %s) due to (reason %s)",
		b.HostPort, b.Group, cmp.Or(b.Description, b.Reason, "health checks failed"))
}
