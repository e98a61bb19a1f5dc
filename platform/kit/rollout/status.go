package rollout

import (
	"context"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/slipway-dev/slipway/platform/kit/event"
)

// Status is what an environment runs.
type Status struct {
	Environment string          `json:"environment"`
	Services    []ServiceStatus `json:"services"`
}

// ServiceStatus is what one service runs.
type ServiceStatus struct {
	Service  string          `json:"service"`
	Release  string          `json:"release"`  // that the service aims at
	Revision string          `json:"revision"` // family:revision of it
	Desired  int             `json:"desired"`
	Running  int             `json:"running"`
	Healthy  int             `json:"healthy"`
	Serving  []event.Serving `json:"serving"`
	Last     *LastRollout    `json:"last_rollout"` // nil when there was none
	URL      string          `json:"url,omitempty"`
	Problem  string          `json:"problem,omitempty"` // why the rest could not be read
	Next     string          `json:"next,omitempty"`
}

// LastRollout is the newest deployment of a service.
type LastRollout struct {
	Deployment string    `json:"deployment"`
	Release    string    `json:"release"`
	Outcome    string    `json:"outcome"`          // an event.Outcome, or "in_progress"
	At         time.Time `json:"at"`               // when it ended, else when it began
	Stage      string    `json:"stage,omitempty"`  // lifecycle stage of one under way that moves traffic
	Weight     float64   `json:"weight,omitempty"` // percent of the traffic that the release gets then
}

// Status reads what the environment runs of services. What cannot be read of
// one is told in its row; only an ended ctx is an error.
func (d *Deployer) Status(ctx context.Context, services []string) (Status, error) {
	status := Status{Environment: d.cfg.Environment, Services: make([]ServiceStatus, len(services))}
	var group errgroup.Group
	group.SetLimit(8)
	for i, name := range services {
		group.Go(func() error {
			row, err := d.statusOf(ctx, name)
			if err != nil {
				row.Problem, row.Next = err.Error(), orNext(err, d.shell())
			}
			status.Services[i] = row
			return ctx.Err()
		})
	}
	if err := group.Wait(); err != nil {
		return status, fail("read the status of "+d.cfg.Environment, err, d.command("status", ""))
	}
	return status, nil
}

func (d *Deployer) statusOf(ctx context.Context, name string) (ServiceStatus, error) {
	row := ServiceStatus{Service: name}
	c, err := d.cfg.Contracts.Contract(ctx, d.cfg.Environment, name)
	if err != nil {
		return row, err
	}
	row.URL = c.URL
	s, err := d.cfg.ECS.Service(ctx, c.Cluster, c.ECSService)
	if err != nil {
		return row, err
	}
	r := newReleases(d.cfg.ECS, c.Container)
	row.Release, row.Revision = r.of(ctx, s.TaskDefinition), revisionName(s.TaskDefinition)
	row.Desired, row.Running = s.Desired, s.Running
	for _, part := range s.Parts {
		if part.Running > 0 {
			row.Serving = append(row.Serving, event.Serving{Release: r.of(ctx, part.TaskDefinition), Revision: revisionName(part.TaskDefinition), Running: part.Running})
		}
	}
	tasks, err := d.cfg.ECS.Tasks(ctx, TaskQuery{Cluster: c.Cluster, Service: c.ECSService})
	if err != nil {
		return row, err
	}
	for _, t := range tasks {
		if t.Status == "RUNNING" && t.Health != "UNHEALTHY" {
			row.Healthy++
		}
	}
	deployments, err := d.cfg.ECS.Deployments(ctx, c.Cluster, c.ECSService, 1)
	if err != nil {
		return row, err
	}
	if len(deployments) > 0 {
		row.Last = lastRollout(deployments[0], r.of(ctx, deployments[0].TaskDefinition))
	}
	return row, nil
}

func lastRollout(dep Deployment, release string) *LastRollout {
	last := &LastRollout{Deployment: dep.ID, Release: release, Outcome: "in_progress", At: dep.CreatedAt}
	switch dep.State {
	case StateSuccessful:
		last.Outcome = string(event.Completed)
	case StateRollbackSuccessful:
		last.Outcome = string(event.RolledBack)
	case StateRollbackFailed, StateStopped:
		last.Outcome = string(event.Failed)
	case StateRollbackInProgress, StateRollbackRequested:
		last.Outcome = "rolling_back"
	}
	if dep.Ended() && !dep.FinishedAt.IsZero() {
		last.At = dep.FinishedAt
	}
	if last.Outcome == "in_progress" {
		last.Stage, last.Weight = dep.Stage, dep.Weight
	}
	return last
}

// String returns the status as an aligned table, problems below it.
func (s Status) String() string {
	if len(s.Services) == 0 {
		return "no services in " + s.Environment + "\n"
	}
	var b strings.Builder
	table := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "SERVICE\tRELEASE\tREVISION\tDESIRED\tRUNNING\tHEALTHY\tLAST ROLLOUT\tURL")
	for _, row := range s.Services {
		if row.Problem != "" {
			fmt.Fprintf(table, "%s\t?\t?\t?\t?\t?\t?\t%s\n", row.Service, row.URL)
			continue
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%d\t%d\t%d\t%s\t%s\n", row.Service, row.release(), row.Revision,
			row.Desired, row.Running, row.Healthy, row.Last, row.URL)
	}
	_ = table.Flush() // a builder takes everything
	lines := strings.Split(b.String(), "\n")
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], " ")
	}
	var text strings.Builder
	text.WriteString(strings.Join(lines, "\n"))
	for _, row := range s.Services {
		if row.Problem != "" {
			fmt.Fprintf(&text, "%s: %s\nnext: %s\n", row.Service, row.Problem, row.Next)
		}
	}
	return text.String()
}

// release shows the release, and when others have tasks too, those first.
func (s ServiceStatus) release() string {
	text := s.Release
	for _, other := range s.Serving {
		if other.Revision != s.Revision && other.Release != s.Release {
			text = other.Release + " -> " + text
		}
	}
	return text
}

// String returns "v2 rolled back, 2026-01-02 15:04:05Z", or "none".
func (l *LastRollout) String() string {
	if l == nil {
		return "none"
	}
	outcome := strings.ReplaceAll(l.Outcome, "_", " ")
	if l.Stage != "" {
		outcome += fmt.Sprintf(" (%s, %g %% of the traffic)", stageWords(l.Stage), l.Weight)
	}
	return fmt.Sprintf("%s %s, %s", l.Release, outcome, l.At.UTC().Format("2006-01-02 15:04:05Z"))
}
