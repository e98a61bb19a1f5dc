package rollout

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/slipway-dev/slipway/platform/kit/contract"
)

// Action is what applying a plan does.
type Action string

// The actions of a plan.
const (
	ActDeploy Action = "deploy" // begin a new deployment
	ActResume Action = "resume" // watch the deployment that is already under way
	ActNone   Action = "none"   // nothing: it runs already
)

// Plan is a rollout before it happens: a value that can be printed, kept and
// applied. Making it changes nothing.
type Plan struct {
	Environment string   `json:"environment"`
	Service     string   `json:"service"`
	Action      Action   `json:"action"`
	Rollback    bool     `json:"rollback"` // To is an earlier release
	From        Revision `json:"from"`
	To          Revision `json:"to"`
	// Differences between From and To, image and release apart.
	Differences  []Difference  `json:"differences,omitempty"`
	Running      int           `json:"running"`
	Desired      int           `json:"desired"`
	DesiredCount *int          `json:"desired_count,omitempty"` // set when the service has no tasks and gets some
	Migration    []string      `json:"migration,omitempty"`     // command that runs before traffic may shift
	Strategy     string        `json:"strategy"`
	BakeMinutes  int           `json:"bake_minutes,omitempty"`
	StepPercent  float64       `json:"step_percent,omitempty"` // of a canary, or of each linear step
	StepMinutes  int           `json:"step_minutes,omitempty"`
	Alarms       []string      `json:"alarms,omitempty"` // that roll the release back
	Insist       bool          `json:"insist,omitempty"` // the user forces it
	Force        bool          `json:"force,omitempty"`
	Busy         *Busy         `json:"busy,omitempty"`    // what is under way already
	IfBusy       IfBusy        `json:"if_busy,omitempty"` // what to do about it
	Seen         string        `json:"seen,omitempty"`    // ARN of the service's newest deployment
	Named        bool          `json:"named,omitempty"`   // the release was named, not built from the checkout
	Notes        []string      `json:"notes,omitempty"`
	Timeout      time.Duration `json:"timeout"` // how long Apply watches
	// Definition is registered when To has no task definition yet.
	Definition json.RawMessage   `json:"definition,omitempty"`
	Contract   contract.Contract `json:"contract"`
}

// Revision is a task definition with the release in it.
type Revision struct {
	Release        string `json:"release,omitempty"` // empty when it carries none
	Image          string `json:"image,omitempty"`
	Digest         string `json:"digest,omitempty"`
	TaskDefinition string `json:"task_definition,omitempty"` // ARN; empty when not registered yet
	Name           string `json:"name,omitempty"`            // family:revision
}

// Difference is one setting that changes.
type Difference struct {
	What string `json:"what"` // "env LOG_LEVEL", "cpu", "secret DATABASE_SECRET"
	From string `json:"from"` // empty when new
	To   string `json:"to"`   // empty when removed
}

// Options change how a plan is made.
type Options struct {
	Force   bool          // deploy even when nothing differs, and when an alarm is firing
	Timeout time.Duration // how long to watch; 0 takes the deployer's
	IfBusy  IfBusy        // when a rollout of the service is under way; "" supersedes
	Named   bool          // the release was named by the user
	Anyway  bool          // roll back even to what a schema change left behind
}

// Plan compares a release with what the environment runs and returns what a
// rollout would do. It only reads.
func (d *Deployer) Plan(ctx context.Context, service string, release Release, opts Options) (Plan, error) {
	what := fmt.Sprintf("plan %s %s in %s", service, release.Version, d.cfg.Environment)
	b, err := d.begin(ctx, service, opts)
	if err != nil {
		return Plan{}, fail(what, err, d.shell())
	}
	definition, err := b.plan.Contract.Render(contract.Release{Version: release.Version, Image: release.Image})
	if err != nil {
		return Plan{}, fail(what, err, d.shell())
	}
	target, err := definitionOf(definition)
	if err != nil {
		return Plan{}, fail(what, err, d.shell())
	}
	b.plan.Definition = definition
	b.plan.To = Revision{Release: release.Version, Image: release.Image, Digest: release.Digest()}
	if b.plan.Contract.Migration != nil {
		b.plan.Migration = b.plan.Contract.Migration.Command
	}
	same, found, err := b.registered(ctx, d.cfg.ECS, contract.FingerprintOf(definition))
	if err != nil {
		return Plan{}, fail(what, err, d.shell())
	}
	if found {
		b.plan.To.TaskDefinition, b.plan.To.Name = same.ARN, revisionName(same.ARN)
	}
	b.settle(target, opts.Force)
	return b.plan, d.consider(ctx, b, what)
}

// begun is what planning read before it decided anything.
type begun struct {
	plan        Plan
	service     Service
	current     TaskDefinition
	deployments []Deployment
}

// begin reads the contract, the service and what it runs.
func (d *Deployer) begin(ctx context.Context, service string, opts Options) (*begun, error) {
	c, err := d.cfg.Contracts.Contract(ctx, d.cfg.Environment, service)
	if err != nil {
		return nil, err
	}
	s, err := d.cfg.ECS.Service(ctx, c.Cluster, c.ECSService)
	if err != nil {
		return nil, err
	}
	b := &begun{service: s}
	b.plan = Plan{
		Environment: d.cfg.Environment, Service: service, Running: s.Running, Desired: s.Desired,
		Strategy: s.Strategy, BakeMinutes: s.BakeMinutes, StepPercent: s.StepPercent, StepMinutes: s.StepMinutes, Alarms: s.Alarms,
		Insist: opts.Force, Timeout: d.timeout(s, opts), Contract: c, IfBusy: opts.IfBusy, Named: opts.Named,
	}
	if b.current, err = d.cfg.ECS.TaskDefinition(ctx, s.TaskDefinition); err != nil && !isNotFound(err) {
		return nil, err
	}
	b.plan.From = revisionOf(b.current, c.Container)
	if b.deployments, err = d.cfg.ECS.Deployments(ctx, c.Cluster, c.ECSService, 10); err != nil {
		return nil, err
	}
	b.plan.Seen = newest(b.deployments).ARN
	return b, nil
}

// newest returns the newest of deployments; the zero one when there is none.
func newest(deployments []Deployment) Deployment {
	if len(deployments) == 0 {
		return Deployment{}
	}
	return deployments[0]
}

func (d *Deployer) timeout(s Service, opts Options) time.Duration {
	waits := time.Duration(s.BakeMinutes+s.StepMinutes) * time.Minute
	if s.Strategy == "LINEAR" && s.StepPercent > 0 {
		waits = time.Duration(s.BakeMinutes+s.StepMinutes*int(math.Ceil(whole/s.StepPercent))) * time.Minute
	}
	switch {
	case opts.Timeout > 0:
		return opts.Timeout
	case d.cfg.Timeout > 0:
		return d.cfg.Timeout
	case d.cfg.Local:
		return 5*time.Minute + waits
	default:
		return 30*time.Minute + waits
	}
}

// registered returns the revision with that fingerprint if it is the one the
// service runs or the family's newest, as it is after an interrupted deploy.
func (b *begun) registered(ctx context.Context, ecs ECS, fingerprint string) (same TaskDefinition, found bool, err error) {
	if b.current.Active && b.current.Tags[contract.TagFingerprint] == fingerprint {
		return b.current, true, nil
	}
	newest, err := ecs.TaskDefinition(ctx, b.plan.Contract.Family)
	if isNotFound(err) {
		return TaskDefinition{}, false, nil
	}
	if err != nil {
		return TaskDefinition{}, false, err
	}
	return newest, newest.Active && newest.Tags[contract.TagFingerprint] == fingerprint, nil
}

// settle decides the action and the rest that follows from target.
func (b *begun) settle(target TaskDefinition, force bool) {
	p := &b.plan
	p.Differences = differences(b.current, target)
	if b.service.Desired == 0 && p.Contract.DesiredCount > 0 {
		count := p.Contract.DesiredCount
		p.DesiredCount = &count
	}
	p.Action = ActDeploy
	aimed := p.To.TaskDefinition != "" && b.service.TaskDefinition == p.To.TaskDefinition
	switch {
	case force:
		p.Force = true
	case !aimed:
	case b.state(p.To.TaskDefinition) == StateInProgress:
		p.Action = ActResume
	case b.state(p.To.TaskDefinition) == StateSuccessful && b.service.Running > 0 && p.DesiredCount == nil:
		p.Action = ActNone
	default:
		p.Force = true // the revision is the service's already: ECS would see no change
	}
}

// state returns whether the newest deployment aims at the revision and is in
// progress or was successful; "" when neither.
func (b *begun) state(taskDefinition string) string {
	if len(b.deployments) > 0 {
		newest := b.deployments[0]
		switch {
		case newest.TaskDefinition != taskDefinition:
			return ""
		case newest.State == StatePending || newest.State == StateInProgress:
			return StateInProgress
		default:
			return newest.State
		}
	}
	for _, part := range b.service.Parts { // services older than service deployments
		if part.Status == "PRIMARY" && part.TaskDefinition == taskDefinition && part.RolloutState == "COMPLETED" {
			return StateSuccessful
		}
	}
	return ""
}

// definitionOf reads what rollouts compare from an input of
// RegisterTaskDefinition.
func definitionOf(raw json.RawMessage) (TaskDefinition, error) {
	var in struct {
		Family     string
		CPU        string                                                  `json:"cpu"`
		Memory     string                                                  `json:"memory"`
		Runtime    struct{ CPUArchitecture, OperatingSystemFamily string } `json:"runtimePlatform"`
		Containers []struct {
			Name, Image string
			Command     []string
			Environment []struct{ Name, Value string }
			Secrets     []struct{ Name, ValueFrom string }
		} `json:"containerDefinitions"`
	}
	if err := json.Unmarshal(raw, &in); err != nil {
		return TaskDefinition{}, fmt.Errorf("read rendered task definition: %w", err)
	}
	td := TaskDefinition{Family: in.Family, CPU: in.CPU, Memory: in.Memory, Platform: PlatformOf(in.Runtime.OperatingSystemFamily, in.Runtime.CPUArchitecture)}
	for _, c := range in.Containers {
		def := ContainerDefinition{Name: c.Name, Image: c.Image, Command: c.Command, Env: map[string]string{}, Secrets: map[string]string{}}
		for _, e := range c.Environment {
			def.Env[e.Name] = e.Value
		}
		for _, s := range c.Secrets {
			def.Secrets[s.Name] = s.ValueFrom
		}
		td.Containers = append(td.Containers, def)
	}
	if len(td.Containers) == 0 {
		return TaskDefinition{}, errors.New("read rendered task definition: it has no containers")
	}
	return td, nil
}

// PlatformOf returns the platform of an image ("linux/arm64") that a task
// definition's runtimePlatform needs; ECS' defaults stand in for empty ones.
func PlatformOf(osFamily, architecture string) string {
	arch := "amd64"
	if architecture == "ARM64" {
		arch = "arm64"
	}
	if osFamily != "" && osFamily != "LINUX" {
		return "windows/" + arch
	}
	return "linux/" + arch
}

// differences lists the settings in which two definitions differ.
func differences(from, to TaskDefinition) []Difference {
	if from.ARN == "" {
		return nil
	}
	var list []Difference
	add := func(what, a, b string) {
		if a != b {
			list = append(list, Difference{what, a, b})
		}
	}
	add("cpu", from.CPU, to.CPU)
	add("memory", from.Memory, to.Memory)
	add("platform", from.Platform, to.Platform)
	old := map[string]ContainerDefinition{}
	for _, c := range from.Containers {
		old[c.Name] = c
	}
	for _, c := range to.Containers {
		before, existed := old[c.Name]
		delete(old, c.Name)
		prefix := ""
		if len(to.Containers) > 1 {
			prefix = c.Name + " "
		}
		if !existed {
			add("container "+c.Name, "", c.Image)
			continue
		}
		for _, name := range keysOf(before.Env, c.Env) {
			if name != "SERVICE_VERSION" {
				add(prefix+"env "+name, before.Env[name], c.Env[name])
			}
		}
		for _, name := range keysOf(before.Secrets, c.Secrets) {
			add(prefix+"secret "+name, before.Secrets[name], c.Secrets[name])
		}
	}
	for _, name := range slices.Sorted(maps.Keys(old)) {
		add("container "+name, old[name].Image, "")
	}
	return list
}

func keysOf(a, b map[string]string) []string {
	all := maps.Clone(a)
	if all == nil {
		all = map[string]string{}
	}
	maps.Copy(all, b)
	return slices.Sorted(maps.Keys(all))
}
