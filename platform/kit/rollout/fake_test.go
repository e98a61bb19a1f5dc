package rollout_test

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jonboulle/clockwork"

	"github.com/slipway-dev/slipway/platform/kit/contract"
	"github.com/slipway-dev/slipway/platform/kit/rollout"
)

var start = time.Date(2026, 3, 4, 10, 0, 0, 0, time.UTC)

// autoClock is a clock that moves on by itself when somebody waits.
type autoClock struct{ *clockwork.FakeClock }

func (c autoClock) After(d time.Duration) <-chan time.Time {
	c.Advance(d)
	fired := make(chan time.Time, 1)
	fired <- c.Now()
	return fired
}

// behaviour is what becomes of a deployment as time goes by.
type behaviour func(f *fakeAWS, d *fakeDeployment, age time.Duration)

type fakeDeployment struct {
	rollout.Deployment
	before string // revision that served before
	act    behaviour
}

// fakeAWS behaves like the parts of AWS that rollouts use, for one service.
type fakeAWS struct {
	clock       autoClock
	mu          sync.Mutex
	contract    contract.Contract
	service     rollout.Service
	definitions []rollout.TaskDefinition
	deployments []*fakeDeployment // oldest first
	tasks       []rollout.Task
	platforms   map[string][]string
	secrets     map[string]bool
	logs        map[string][]rollout.LogEvent
	next        behaviour // of the next deployment
	migration   int       // exit code of migration tasks
	migrates    time.Duration
	broken      map[string]error // by method
	calls       []string
	alarms      map[string]string // that exist, with why they fire; "" when they do not
	lag         time.Duration     // after which a deployment is listed
	later       func()            // done once, a while after a deployment stopped
	laterAt     time.Time
	ids         int
}

const (
	arnPrefix = "arn:aws:ecs:us-east-1:000000000000:"
	image     = "127.0.0.1:4510/slipway/catalog@"
)

func digest(n int) string { return "sha256:" + strings.Repeat(fmt.Sprint(n), 64) }

func newFake(t *testing.T) *fakeAWS {
	t.Helper()
	f := &fakeAWS{
		clock: autoClock{clockwork.NewFakeClockAt(start)}, platforms: map[string][]string{}, secrets: map[string]bool{"db": true},
		logs: map[string][]rollout.LogEvent{}, broken: map[string]error{}, migrates: 300 * time.Millisecond, next: good,
	}
	for n := range 10 {
		f.platforms[digest(n)] = []string{"linux/arm64", "linux/amd64"}
	}
	f.contract = contract.Contract{
		Version: 1, Environment: "local", Service: "catalog", Cluster: "slipway-local", ECSService: "catalog",
		Family: "slipway-local-catalog", Repository: "slipway/catalog", Container: "catalog", LogGroup: "/slipway/local/catalog",
		URL: "http://127.0.0.1:8080/v1/products", DesiredCount: 2,
		TaskDefinition: json.RawMessage(`{"family":"slipway-local-catalog","cpu":"256","memory":"512","runtimePlatform":{"cpuArchitecture":"ARM64","operatingSystemFamily":"LINUX"},
			"containerDefinitions":[{"name":"catalog","image":"slipway:image","environment":[{"name":"LOG_LEVEL","value":"info"}],"secrets":[{"name":"DATABASE_SECRET","valueFrom":"db"}]}]}`),
	}
	f.service = rollout.Service{ARN: arnPrefix + "service/slipway-local/catalog", Name: "catalog", Status: "ACTIVE", Strategy: "ROLLING"}
	return f
}

// deployer returns a deployer on the fake.
func (f *fakeAWS) deployer(t *testing.T) *rollout.Deployer {
	t.Helper()
	d, err := rollout.New(rollout.Config{Environment: "local", Local: true, ECS: f, Images: f, Secrets: f, Contracts: f, Logs: f, Alarms: f, Clock: f.clock})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// ran puts releases v1..vn on record as completely rolled out, one after
// another, the last one serving.
func (f *fakeAWS) ran(t *testing.T, releases int) {
	t.Helper()
	for n := 1; n <= releases; n++ {
		definition, err := f.contract.Render(release(n).render())
		if err != nil {
			t.Fatal(err)
		}
		td, err := f.Register(context.Background(), definition)
		if err != nil {
			t.Fatal(err)
		}
		f.mu.Lock()
		f.say("(port 1) is unhealthy in (target-group of long ago).")
		f.begin(td.ARN, nil)
		last := f.deployments[len(f.deployments)-1]
		last.State, last.FinishedAt = rollout.StateSuccessful, f.clock.Now()
		f.service.TaskDefinition, f.service.Desired = td.ARN, 2
		f.serve(td.ARN, 2)
		f.mu.Unlock()
		f.clock.Advance(time.Minute)
	}
	f.calls = nil
}

type rel rollout.Release

func release(n int) rel { return rel{Version: fmt.Sprintf("v%d", n), Image: image + digest(n)} }

func (r rel) render() contract.Release { return contract.Release{Version: r.Version, Image: r.Image} }

func (f *fakeAWS) id() int { f.ids++; return f.ids }

// begin begins a deployment; f.mu is held.
func (f *fakeAWS) begin(taskDefinition string, act behaviour) *fakeDeployment {
	n := f.id()
	d := &fakeDeployment{act: act, before: f.service.TaskDefinition, Deployment: rollout.Deployment{
		ARN: fmt.Sprintf("%sservice-deployment/slipway-local/catalog/dep%017d", arnPrefix, n), ID: fmt.Sprintf("dep%017d", n),
		State: rollout.StateInProgress, TaskDefinition: taskDefinition, CreatedAt: f.clock.Now(), Requested: max(f.service.Desired, 2), Threshold: 3,
	}}
	if open := f.open(); open != nil {
		open.State, open.Reason, open.FinishedAt = rollout.StateStopped, "superseded by a new deployment", f.clock.Now()
	}
	f.deployments = append(f.deployments, d)
	return d
}

func (f *fakeAWS) open() *fakeDeployment {
	if n := len(f.deployments); n > 0 && !f.deployments[n-1].Ended() {
		return f.deployments[n-1]
	}
	return nil
}

// serve makes exactly these tasks run; f.mu is held.
func (f *fakeAWS) serve(taskDefinition string, tasks int) {
	f.service.Running = tasks
	f.service.Parts = []rollout.Part{{ID: "ecs-svc/1", Status: "PRIMARY", TaskDefinition: taskDefinition, Running: tasks, Desired: tasks}}
	f.tasks = slices.DeleteFunc(f.tasks, func(t rollout.Task) bool { return t.Status == "RUNNING" })
	for range tasks {
		f.tasks = append(f.tasks, rollout.Task{
			ARN: fmt.Sprintf("%stask/slipway-local/%032d", arnPrefix, f.id()), TaskDefinition: taskDefinition,
			Status: "RUNNING", Health: "HEALTHY", CreatedAt: f.clock.Now(),
		})
	}
}

func (f *fakeAWS) say(message string) {
	f.service.Events = slices.Insert(f.service.Events, 0, rollout.ServiceMessage{ID: fmt.Sprint("event", f.id()), At: f.clock.Now(), Message: "(service catalog) " + message})
}

// stop adds a task of d that stopped.
func (f *fakeAWS) stop(d *fakeDeployment, reason string, code *int, containerReason string, log ...string) {
	n := f.id()
	id := fmt.Sprintf("%032d", n)
	f.tasks = append(f.tasks, rollout.Task{
		ARN: arnPrefix + "task/slipway-local/" + id, ID: id, TaskDefinition: d.TaskDefinition, Status: "STOPPED",
		StopCode: "EssentialContainerExited", StoppedReason: reason, CreatedAt: f.clock.Now(), StoppedAt: f.clock.Now(),
		Containers: []rollout.Container{{Name: "catalog", ExitCode: code, Reason: containerReason}},
	})
	for i, line := range log {
		f.logs["catalog/catalog/"+id] = append(f.logs["catalog/catalog/"+id], rollout.LogEvent{ID: fmt.Sprint(n, i), At: f.clock.Now(), Message: line})
	}
}

// enter notes a call, lets time do its work and returns the method's error.
func (f *fakeAWS) enter(ctx context.Context, method string) error {
	f.calls = append(f.calls, method)
	if err := ctx.Err(); err != nil {
		return err
	}
	if d := f.open(); d != nil && d.act != nil {
		d.act(f, d, f.clock.Since(d.CreatedAt))
	}
	if f.later != nil && !f.clock.Now().Before(f.laterAt) {
		f.later()
		f.later = nil
	}
	return f.broken[method]
}

func (f *fakeAWS) Service(ctx context.Context, _, _ string) (rollout.Service, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := f.service
	s.Parts, s.Events = slices.Clone(s.Parts), slices.Clone(s.Events)
	return s, f.enter(ctx, "Service")
}

func (f *fakeAWS) TaskDefinition(_ context.Context, name string) (rollout.TaskDefinition, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, td := range slices.Backward(f.definitions) {
		if td.ARN == name || td.Family == name && td.Active {
			return td, nil
		}
	}
	return rollout.TaskDefinition{}, fmt.Errorf("describe %s: %w", name, rollout.ErrNotFound)
}

func (f *fakeAWS) TaskDefinitions(context.Context, string, int) ([]string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var arns []string
	for _, td := range slices.Backward(f.definitions) {
		if td.Active {
			arns = append(arns, td.ARN)
		}
	}
	return arns, nil
}

func (f *fakeAWS) Register(ctx context.Context, raw json.RawMessage) (rollout.TaskDefinition, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.enter(ctx, "Register"); err != nil {
		return rollout.TaskDefinition{}, err
	}
	var in struct {
		Family     string
		CPU        string `json:"cpu"`
		Memory     string
		Containers []struct {
			Name, Image          string
			Environment, Secrets []struct{ Name, Value, ValueFrom string }
		} `json:"containerDefinitions"`
		Tags []struct{ Key, Value string }
	}
	if err := json.Unmarshal(raw, &in); err != nil {
		return rollout.TaskDefinition{}, err
	}
	n := len(f.definitions) + 1
	td := rollout.TaskDefinition{
		ARN: fmt.Sprintf("%stask-definition/%s:%d", arnPrefix, in.Family, n), Family: in.Family, Revision: n,
		Active: true, CPU: in.CPU, Memory: in.Memory, Platform: "linux/arm64", Tags: map[string]string{},
	}
	for _, tag := range in.Tags {
		td.Tags[tag.Key] = tag.Value
	}
	for _, c := range in.Containers {
		def := rollout.ContainerDefinition{Name: c.Name, Image: c.Image, Env: map[string]string{}, Secrets: map[string]string{}, LogPrefix: "catalog"}
		for _, e := range c.Environment {
			def.Env[e.Name] = e.Value
		}
		for _, s := range c.Secrets {
			def.Secrets[s.Name] = s.ValueFrom
		}
		td.Containers = append(td.Containers, def)
	}
	f.definitions = append(f.definitions, td)
	return td, nil
}

func (f *fakeAWS) Deregister(_ context.Context, arn string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := range f.definitions {
		if f.definitions[i].ARN == arn {
			f.definitions[i].Active = false
		}
	}
	return nil
}

func (f *fakeAWS) Update(ctx context.Context, u rollout.Update) (rollout.Service, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.enter(ctx, "Update"); err != nil {
		return f.service, err
	}
	if u.DesiredCount != nil {
		f.service.Desired = *u.DesiredCount
	}
	if u.TaskDefinition != f.service.TaskDefinition || u.Force {
		d := f.begin(u.TaskDefinition, f.next)
		f.service.TaskDefinition = u.TaskDefinition
		d.act(f, d, 0)
	}
	return f.service, nil
}

func (f *fakeAWS) Deployments(ctx context.Context, _, _ string, limit int) ([]rollout.Deployment, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	err := f.enter(ctx, "Deployments")
	var list []rollout.Deployment
	for _, d := range slices.Backward(f.deployments) {
		if f.clock.Since(d.CreatedAt) >= f.lag {
			list = append(list, d.Deployment)
		}
	}
	return list[:min(limit, len(list))], err
}

func (f *fakeAWS) Deployment(ctx context.Context, arn string) (rollout.Deployment, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, d := range f.deployments {
		if d.ARN == arn {
			return d.Deployment, f.enter(ctx, "Deployment")
		}
	}
	return rollout.Deployment{}, rollout.ErrNotFound
}

func (f *fakeAWS) Tasks(ctx context.Context, q rollout.TaskQuery) ([]rollout.Task, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var list []rollout.Task
	for _, t := range f.tasks {
		migration := strings.HasPrefix(t.StopCode, "migrate")
		asked := q.Family != "" || migration == (q.StartedBy != "") && (q.StartedBy == "" || q.StartedBy == t.StartedBy)
		if (t.Status == "STOPPED") == q.Stopped && asked {
			list = append(list, t)
		}
	}
	slices.SortStableFunc(list, func(a, b rollout.Task) int { return cmp.Compare(b.ARN, a.ARN) })
	return list, f.enter(ctx, "Tasks")
}

func (f *fakeAWS) Task(ctx context.Context, _, arn string) (rollout.Task, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := range f.tasks {
		t := &f.tasks[i]
		if t.ARN != arn {
			continue
		}
		if f.clock.Since(t.CreatedAt) >= f.migrates {
			code := f.migration
			t.Status, t.StoppedReason = "STOPPED", "Essential container in task exited"
			t.Containers = []rollout.Container{{Name: "catalog", ExitCode: &code}, {Name: "aws-guardduty-agent", ExitCode: new(137)}}
		}
		return *t, f.enter(ctx, "Task")
	}
	return rollout.Task{}, rollout.ErrNotFound
}

func (f *fakeAWS) Run(ctx context.Context, r rollout.Run) (rollout.Task, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.enter(ctx, "Run"); err != nil {
		return rollout.Task{}, err
	}
	id := fmt.Sprintf("%032d", f.id())
	t := rollout.Task{ARN: arnPrefix + "task/slipway-local/" + id, ID: id, TaskDefinition: r.TaskDefinition, StartedBy: r.StartedBy, Status: "PENDING", StopCode: "migrate", CreatedAt: f.clock.Now()}
	f.tasks = append(f.tasks, t)
	f.logs["catalog/catalog/"+id] = []rollout.LogEvent{{At: f.clock.Now(), Message: "migrate: relation \"products\" already exists"}}
	return t, nil
}
