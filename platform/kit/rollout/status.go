package rollout

import (
	"context"
	"encoding/json"
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
	Release  string          `json:"release"` // that the service aims at
	Commit   string          `json:"commit,omitempty"`
	Dirty    bool            `json:"dirty,omitempty"`    // it was built from files that no commit has
	Revision string          `json:"revision"`           // family:revision of it
	Since    time.Time       `json:"since,omitzero"`     // when it was completely rolled out
	Strategy string          `json:"strategy,omitempty"` // as ECS names it
	Desired  int             `json:"desired"`
	Running  int             `json:"running"` // tasks, of any revision
	Healthy  int             `json:"healthy"` // that pass their checks, those of the load balancer too
	Serving  []event.Serving `json:"serving"`
	Tasks    []TaskStatus    `json:"tasks,omitempty"`
	Last     *LastRollout    `json:"last_rollout"`     // nil when there was none
	Alarms   []Alarm         `json:"alarms,omitempty"` // that fire, of those that put a release back
	URL      string          `json:"url,omitempty"`
	Problem  string          `json:"problem,omitempty"` // why the rest could not be read
	Next     string          `json:"next,omitempty"`
	// Unread says since when it could not be read; the rest is from before.
	Unread time.Time `json:"unread_since,omitzero"`
}

// TaskStatus is one task of a service.
type TaskStatus struct {
	Task     string `json:"task"`
	Revision string `json:"revision"`
	Status   string `json:"status"`
	Health   string `json:"health,omitempty"`
	Ports    []Port `json:"ports,omitempty"`
}

// LastRollout is the newest deployment of a service.
type LastRollout struct {
	Deployment string    `json:"deployment"`
	Release    string    `json:"release"`
	Outcome    string    `json:"outcome"`          // an event.Outcome, "in_progress" or "rolling_back"
	Why        string    `json:"why,omitempty"`    // it did not complete, as the verdict said
	At         time.Time `json:"at"`               // when it ended, else when it began
	Stage      string    `json:"stage,omitempty"`  // lifecycle stage of one under way that moves traffic
	Weight     float64   `json:"weight,omitempty"` // percent of the traffic that the release gets then
	// StageSince is when stage or weight were first seen; zero for one look.
	StageSince time.Time `json:"stage_since,omitzero"`
}

// underWay and puttingBack stand for an outcome until there is one.
const (
	underWay    = "in_progress"
	puttingBack = "rolling_back"
)

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
	row.Release, row.Revision, row.Strategy = r.of(ctx, s.TaskDefinition), revisionName(s.TaskDefinition), s.Strategy
	row.Commit, row.Dirty = SourceOf(row.Release)
	row.Desired, row.Serving = s.Desired, servingOf(ctx, s, r)
	tasks, err := d.cfg.ECS.Tasks(ctx, TaskQuery{Cluster: c.Cluster, Service: c.ECSService})
	if err != nil {
		return row, err
	}
	for _, t := range tasks {
		if t.Status == "RUNNING" {
			row.Running++
		}
		if t.Status == "RUNNING" && t.Health != "UNHEALTHY" {
			row.Healthy++
		}
		row.Tasks = append(row.Tasks, TaskStatus{Task: t.ID, Revision: revisionName(t.TaskDefinition), Status: t.Status, Health: t.Health, Ports: t.Ports})
	}
	if row.Healthy, err = d.healthy(ctx, s, row.Healthy); err != nil {
		return row, err
	}
	deployments, err := d.cfg.ECS.Deployments(ctx, c.Cluster, c.ECSService, lookedBack)
	if err != nil {
		return row, err
	}
	if len(deployments) > 0 {
		row.Last = lastRollout(deployments[0], r.of(ctx, deployments[0].TaskDefinition))
	}
	for _, dep := range deployments {
		if dep.State == StateSuccessful && dep.TaskDefinition == s.TaskDefinition {
			row.Since = dep.FinishedAt
			break
		}
	}
	row.Alarms, err = d.firing(ctx, s.Alarms)
	return row, err
}

// healthy is how many of the tasks that run pass the load balancer's checks on
// every port, where there is one that can be read.
func (d *Deployer) healthy(ctx context.Context, s Service, running int) (int, error) {
	if d.cfg.Traffic == nil || running == 0 {
		return running, nil
	}
	for _, b := range s.Balancers {
		arns := []string{b.Group}
		if b.Alternate != "" {
			arns = append(arns, b.Alternate)
		}
		groups, err := d.cfg.Traffic.TargetGroups(ctx, arns)
		if err != nil {
			return 0, err
		}
		healthy := 0
		for _, g := range groups {
			healthy += g.Healthy
		}
		running = min(running, healthy)
	}
	return running, nil
}

// lookedBack is how many deployments status looks through for the one that
// rolled out what runs; one call describes as many.
const lookedBack = 20

func (d *Deployer) firing(ctx context.Context, names []string) ([]Alarm, error) {
	if len(names) == 0 || d.cfg.Alarms == nil {
		return nil, nil
	}
	list, err := d.cfg.Alarms.Alarms(ctx, names)
	if err != nil {
		return nil, err
	}
	var firing []Alarm
	for _, a := range list {
		if a.Firing {
			firing = append(firing, a)
		}
	}
	return firing, nil
}

func lastRollout(dep Deployment, release string) *LastRollout {
	last := &LastRollout{Deployment: dep.ID, Release: release, Outcome: underWay, At: dep.CreatedAt}
	outcome, over := OutcomeOf(dep, nil)
	switch {
	case over:
		last.Outcome, last.Why = string(outcome), Why(dep, outcome, "")
		if !dep.FinishedAt.IsZero() {
			last.At = dep.FinishedAt
		}
	case Going(dep) == puttingBack:
		last.Outcome, last.Why = puttingBack, Why(dep, event.RolledBack, "")
	default:
		last.Stage, last.Weight = dep.Stage, dep.Weight
	}
	return last
}

// statusPause is between two looks of a watched status.
const statusPause = 500 * time.Millisecond

// WatchStatus emits the status as results that take one another's place, the
// first at once and then whenever it changed, until ctx ends. What cannot be
// read keeps its place on the screen, with the reason.
func (d *Deployer) WatchStatus(ctx context.Context, services []string, sink event.Sink) error {
	emit := d.emitter(sink, "")
	var before Status
	var shown string
	for n := 0; ; n++ {
		now, err := d.Status(ctx, services)
		if err != nil {
			return nil //nolint:nilerr // to be ended is how watching ends
		}
		now.follow(before, d.cfg.Clock.Now())
		before = now
		state, err := json.Marshal(now)
		if err != nil {
			return fail("watch the status of "+d.cfg.Environment, err, "")
		}
		if string(state) != shown {
			shown = string(state)
			emit.Emit(event.Result{Kind: "status", Text: now.String(), Data: now, Replaces: true})
		}
		pause := max(statusPause, d.cfg.Pace(n))
		select {
		case <-ctx.Done():
			return nil
		case <-d.cfg.Clock.After(pause):
		}
	}
}

// follow adds what only the look before tells: since when a stage lasts, and
// what a service that cannot be read was like.
func (s Status) follow(before Status, at time.Time) {
	at = at.UTC().Truncate(time.Second)
	for i := range s.Services {
		now := &s.Services[i]
		var old ServiceStatus
		if i < len(before.Services) {
			old = before.Services[i]
		}
		if now.Problem != "" && old.Service != "" {
			problem, next := now.Problem, now.Next
			*now = old
			now.Problem, now.Next = problem, next
			if now.Unread.IsZero() {
				now.Unread = at
			}
			continue
		}
		if last := now.Last; last != nil && last.Stage != "" {
			last.StageSince = at
			if o := old.Last; o != nil && o.Deployment == last.Deployment && o.Stage == last.Stage && o.Weight == last.Weight {
				last.StageSince = o.StageSince
			}
		}
	}
}

const statusTime = "2006-01-02 15:04:05Z"

// String returns the status as an aligned table, what is the matter below it.
func (s Status) String() string {
	if len(s.Services) == 0 {
		return "no services in " + s.Environment + "\n"
	}
	var b strings.Builder
	table := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "SERVICE\tRELEASE\tSINCE\tDESIRED\tRUNNING\tHEALTHY\tSTRATEGY\tLAST ROLLOUT\tURL")
	for _, row := range s.Services {
		if row.Revision == "" {
			fmt.Fprintf(table, "%s\t?\t?\t?\t?\t?\t?\t?\t%s\n", row.Service, row.URL)
			continue
		}
		name := row.Service
		if !row.Unread.IsZero() {
			name += " (not read)"
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%d\t%d\t%d\t%s\t%s\t%s\n", name, row.release(), row.since(),
			row.Desired, row.Running, row.Healthy, row.strategy(), row.rollout(), row.URL)
	}
	_ = table.Flush() // a builder takes everything
	lines := strings.Split(b.String(), "\n")
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], " ")
	}
	var text strings.Builder
	text.WriteString(strings.Join(lines, "\n"))
	for _, row := range s.Services {
		text.WriteString(row.remarks())
	}
	return text.String()
}

// remarks are the lines below the table.
func (s ServiceStatus) remarks() string {
	var b strings.Builder
	if s.Last != nil && s.Last.Stage != "" {
		fmt.Fprintf(&b, "%s: %s: %s\n", s.Service, s.Last.Release, s.Last)
	}
	if s.Last != nil && s.Last.Why != "" {
		fmt.Fprintf(&b, "%s: %s %s: %s\n", s.Service, s.Last.Release, strings.ReplaceAll(s.Last.Outcome, "_", " "), s.Last.Why)
	}
	for _, a := range s.Alarms {
		fmt.Fprintf(&b, "%s: alarm %s is firing: %s\n", s.Service, a.Name, a.Reason)
	}
	switch {
	case s.Problem == "":
		return b.String()
	case !s.Unread.IsZero():
		fmt.Fprintf(&b, "%s: not read since %s: %s\n", s.Service, s.Unread.Format(statusTime), s.Problem)
	default:
		fmt.Fprintf(&b, "%s: %s\n", s.Service, s.Problem)
	}
	fmt.Fprintf(&b, "next: %s\n", s.Next)
	return b.String()
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

func (s ServiceStatus) since() string {
	if s.Since.IsZero() {
		return "-"
	}
	return s.Since.UTC().Format(statusTime)
}

func (s ServiceStatus) strategy() string {
	if s.Strategy == "" {
		return "-"
	}
	return strings.ToLower(s.Strategy)
}

// rollout is the newest rollout in a few words: "completed, 2026-01-02
// 15:04:05Z", with its release when the service aims at another.
func (s ServiceStatus) rollout() string {
	if s.Last == nil {
		return "none"
	}
	text := strings.ReplaceAll(s.Last.Outcome, "_", " ") + ", " + s.Last.At.UTC().Format(statusTime)
	if s.Last.Release != s.Release {
		text = s.Last.Release + " " + text
	}
	return text
}

// String returns the stage of a rollout under way: "production traffic shift,
// 10 % of the traffic since 15:04:05Z".
func (l LastRollout) String() string {
	text := fmt.Sprintf("%s, %g %% of the traffic", stageWords(l.Stage), l.Weight)
	if !l.StageSince.IsZero() {
		text += " since " + l.StageSince.Format("15:04:05Z")
	}
	return text
}
