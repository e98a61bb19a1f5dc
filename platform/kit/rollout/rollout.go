// Package rollout puts releases on ECS services and tells the truth about how
// that ended: plan, verify, apply, watch, roll back, status, logs. It talks to
// AWS, or to the embedded cluster, through interfaces of its own and reports
// through package event; it neither builds images nor prints.
package rollout

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"regexp"
	"strings"
	"time"

	"github.com/jonboulle/clockwork"

	"github.com/slipway-dev/slipway/platform/kit/contract"
	"github.com/slipway-dev/slipway/platform/kit/event"
	"github.com/slipway-dev/slipway/platform/kit/rollout/check"
)

// Verdict is how a rollout ended; see [event.Verdict].
type Verdict = event.Verdict

// Release is a built image that can be rolled out.
type Release struct {
	Version string // becomes SERVICE_VERSION and the tag slipway:release
	Image   string // by digest: registry/slipway/catalog@sha256:...
}

// Digest returns the digest of the release's image, or "".
func (r Release) Digest() string { return digestOf(r.Image) }

func digestOf(image string) string {
	_, digest, _ := strings.Cut(image, "@")
	return digest
}

// Config says where and how to roll out.
type Config struct {
	Environment string // name, as in environment files
	Local       bool   // the embedded cluster: poll fast, give up soon
	// Platform that tasks need ("linux/arm64"); empty takes it from the task
	// definition. The embedded cluster runs images for its own machine.
	Platform string
	Timeout  time.Duration // how long to watch; 0 takes 5 minutes local, else 30 minutes and the bake time

	ECS       ECS
	Images    Images
	Secrets   Secrets
	Contracts Contracts
	Logs      Logs
	Alarms    Alarms       // nil: alarms are neither verified nor explained
	Traffic   check.Reader // nil: target groups and rules are not verified
	Evidence  []Evidence
	Releases  Releases // nil: a rollback goes to revisions that ECS has, alone
	Schemas   Schemas  // nil: a rollback does not look at schema changes
	// Scale returns the least and the greatest number of tasks of a service; nil
	// when it is not known.
	Scale func(service string) (least, greatest int, known bool)
	// CheckTimeout bounds each check but evidence; 0 takes 15 seconds.
	CheckTimeout time.Duration

	Clock  clockwork.Clock         // nil takes the real one
	Jitter func() float64          // in [0,1); nil takes a random one
	Pace   func(int) time.Duration // wait before poll n, from 0; nil goes by Local
}

func (c *Config) validate() error {
	var errs []error
	for name, missing := range map[string]bool{
		"Environment": c.Environment == "", "ECS": c.ECS == nil, "Images": c.Images == nil,
		"Secrets": c.Secrets == nil, "Contracts": c.Contracts == nil, "Logs": c.Logs == nil,
	} {
		if missing {
			errs = append(errs, errors.New("rollout: "+name+" is missing"))
		}
	}
	if c.Clock == nil {
		c.Clock = clockwork.NewRealClock()
	}
	if c.Jitter == nil {
		c.Jitter = rand.Float64
	}
	if c.Pace == nil {
		c.Pace = c.pace
	}
	if c.CheckTimeout == 0 {
		c.CheckTimeout = 15 * time.Second
	}
	return errors.Join(errs...)
}

// pace polls the embedded cluster each 50 ms, AWS each second at first and
// each two seconds later, a fifth more or less so that many watchers spread.
func (c *Config) pace(n int) time.Duration {
	if c.Local {
		return 50 * time.Millisecond
	}
	base := time.Second
	if n > 30 {
		base = 2 * time.Second
	}
	return time.Duration(float64(base) * (0.8 + 0.4*c.Jitter()))
}

// Deployer rolls releases out in one environment. It holds no state of a
// rollout: every operation may be interrupted and begun again.
type Deployer struct{ cfg Config }

// New returns a deployer.
func New(cfg Config) (*Deployer, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	return &Deployer{cfg: cfg}, nil
}

// wait waits for poll n, or until ctx ends, and then returns its error.
func (d *Deployer) wait(ctx context.Context, n int) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-d.cfg.Clock.After(d.cfg.Pace(n)):
		return nil
	}
}

func (d *Deployer) emitter(sink event.Sink, service string) *event.Emitter {
	if sink == nil {
		sink = event.Discard()
	}
	return event.NewEmitter(sink, d.cfg.Clock).For(d.cfg.Environment, service)
}

// command returns the command line of a mage target for this environment.
func (d *Deployer) command(verb, service string, more ...string) string {
	words := append([]string{"go tool mage", verb, d.cfg.Environment}, more...)
	if service != "" {
		words = append([]string{"go tool mage", verb, d.cfg.Environment, service}, more...)
	}
	return strings.Join(words, " ")
}

// shell returns the command that (re)makes the service's shell.
func (d *Deployer) shell() string {
	if d.cfg.Local {
		return "go tool mage up"
	}
	return "terraform apply   # in the service root of " + d.cfg.Environment
}

// Error is a failure that a user can act upon: what failed, why, and the
// command to type next.
type Error struct {
	What string
	Err  error // why
	Do   string
	Code int // exit code; 0 means 1
}

// Error returns "what: why".
func (e *Error) Error() string {
	if e.Err == nil {
		return e.What
	}
	return e.What + ": " + e.Err.Error()
}

// Unwrap returns why.
func (e *Error) Unwrap() error { return e.Err }

// Next returns the command to type next; that of the reason is preferred, as
// it knows more.
func (e *Error) Next() string {
	if next := event.Next(e.Err); next != "" {
		return next
	}
	return e.Do
}

// ExitCode returns the exit code of the command.
func (e *Error) ExitCode() int {
	if e.Code != 0 {
		return e.Code
	}
	return 1
}

func fail(what string, err error, next string) error {
	return &Error{What: what, Err: err, Do: next}
}

// orNext returns the command that err names, else fallback.
func orNext(err error, fallback string) string {
	if next := event.Next(err); next != "" {
		return next
	}
	return fallback
}

func isNotFound(err error) bool { return errors.Is(err, ErrNotFound) }

// simultaneous is how far the clocks of two records of ECS may differ: a
// deployment ends as superseded when the next one begins.
const simultaneous = time.Second

// OutcomeOf returns how a deployment ended, from ECS' own record of it; next is
// the deployment that came after it, nil when there is none. It returns false
// for one that has not ended. Verdicts, status and history all ask here.
func OutcomeOf(d Deployment, next *Deployment) (event.Outcome, bool) {
	switch d.State {
	case StateSuccessful:
		return event.Completed, true
	case StateRollbackSuccessful:
		return event.RolledBack, true
	case StateRollbackFailed:
		return event.Failed, true
	case StateStopped:
		// One that began later than this ended did not take its place.
		if next != nil && (d.FinishedAt.IsZero() || !next.CreatedAt.After(d.FinishedAt.Add(simultaneous))) {
			return event.Superseded, true
		}
		return event.Failed, true
	default:
		return "", false
	}
}

// Going names the state of a deployment that has not ended: "in_progress" or
// "rolling_back".
func Going(d Deployment) string {
	if d.State == StateRollbackInProgress || d.State == StateRollbackRequested {
		return puttingBack
	}
	return underWay
}

// ReleaseOf returns the release that a revision carries, or [UnknownRelease].
func ReleaseOf(td TaskDefinition, container string) string {
	if release := releaseOf(td, container); release != "" {
		return release
	}
	return UnknownRelease
}

// Why returns in one sentence why a deployment did not complete, from what ECS
// keeps of it, so that it is the same whenever it is asked; "" when it did, or
// has not ended. By is the release that took its place, if one did.
func Why(d Deployment, outcome event.Outcome, by string) string {
	switch {
	case outcome == event.Completed || outcome == "":
		return ""
	case outcome == event.Superseded:
		return "a rollout of release " + by + " took its place"
	case len(d.Alarms) > 0:
		noun := "alarm "
		if len(d.Alarms) > 1 {
			noun = "alarms "
		}
		return noun + strings.Join(d.Alarms, " and ") + " went off"
	case d.Breaker == breakerTriggered:
		return fmt.Sprintf("the circuit breaker triggered: %s failed to start or to pass the checks (threshold %d)", tasksText(d.Failures), d.Threshold)
	case d.RollbackReason != "":
		return d.RollbackReason
	case d.Reason != "":
		return d.Reason
	default:
		return "ECS gives no reason"
	}
}

// breakerTriggered is the status of a circuit breaker that ended a deployment.
const breakerTriggered = "TRIGGERED"

// SourceOf returns the beginning of the commit that a release was built from,
// empty without one, and whether it was built from files that no commit has. A
// release's version says both: see package release.
func SourceOf(version string) (commit string, dirty bool) {
	m := versions.FindStringSubmatch(version)
	if m == nil {
		return "", strings.HasPrefix(version, "v0-src.")
	}
	return m[1], m[2] != ""
}

var versions = regexp.MustCompile(`^v0-([0-9a-f]{12})(-dirty\.[0-9a-f]+)?$`)

func tasksText(n int) string {
	if n == 1 {
		return "1 task"
	}
	return fmt.Sprintf("%d tasks", n)
}

// UnknownRelease stands for the release of a revision that the kit did not
// make, such as the one that the shell is created with.
const UnknownRelease = "unknown"

func revisionOf(td TaskDefinition, container string) Revision {
	r := Revision{TaskDefinition: td.ARN, Name: revisionName(td.ARN), Release: releaseOf(td, container)}
	for _, c := range td.Containers {
		if c.Name == container {
			r.Image, r.Digest = c.Image, digestOf(c.Image)
		}
	}
	return r
}

// releaseOf returns the release of a revision: by its tag, else by the label
// that every container of ours has, as tags can be removed; "" when none.
func releaseOf(td TaskDefinition, container string) string {
	if release := td.Tags[contract.TagRelease]; release != "" {
		return release
	}
	for _, c := range td.Containers {
		if c.Name == container {
			return c.Labels[contract.LabelRelease]
		}
	}
	return ""
}

// revisionName returns family:revision of a task definition's ARN.
func revisionName(arn string) string {
	return arn[strings.LastIndex(arn, "/")+1:]
}

// releases resolves revisions to releases, each read once.
type releases struct {
	ecs       ECS
	container string
	known     map[string]string
}

func newReleases(ecs ECS, container string) *releases {
	return &releases{ecs: ecs, container: container, known: map[string]string{}}
}

// of returns the release of a revision, UnknownRelease when it has none or
// cannot be read.
func (r *releases) of(ctx context.Context, arn string) string {
	if release, ok := r.known[arn]; ok {
		return release
	}
	td, err := r.ecs.TaskDefinition(ctx, arn)
	if err != nil {
		return UnknownRelease // not kept: the next read may succeed
	}
	release := releaseOf(td, r.container)
	if release == "" {
		release = UnknownRelease
	}
	r.known[arn] = release
	return release
}
