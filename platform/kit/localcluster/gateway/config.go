package gateway

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/jonboulle/clockwork"
)

// Config says what a Gateway needs.
type Config struct {
	// Addr is where ListenAndServe listens, such as "127.0.0.1:8080".
	Addr string
	// Clock drives health checks and draining. Nil means the real one.
	Clock clockwork.Clock
	// Logger gets what is worth an operator's eye. Nil discards.
	Logger *slog.Logger
	// Store keeps target groups and rules between runs. Nil keeps nothing.
	Store Store
	// OnHealthChange is called after a target's state or its reason changed, one call at
	// a time for each target and in order. It must not block.
	OnHealthChange func(groupARN, id string, health TargetHealth)
	// Tracing says which requests are reported as spans; none by default.
	Tracing Tracing
	// BodyPace is how fast requests' bodies have to arrive.
	BodyPace BodyPace
}

// Store persists target groups and rules. Targets are not kept: the scheduler
// registers them afresh.
type Store interface {
	// Put writes v as JSON.
	Put(key string, v any) error
	// Delete removes a key; one that is not there is no error.
	Delete(key string) error
	// List calls fn for every key that begins with prefix, in key order.
	List(prefix string, fn func(key string, raw []byte) error) error
}

// Protocol is what a target group's targets speak.
type Protocol string

// Protocols, in the words of a target group's protocol version.
const (
	// HTTP is HTTP/1.1.
	HTTP Protocol = "HTTP"
	// GRPC is gRPC over HTTP/2 without TLS.
	GRPC Protocol = "GRPC"
)

// Algorithm is how a target group picks among its healthy targets.
type Algorithm string

// Algorithms, with the names Elastic Load Balancing gives them.
const (
	RoundRobin       Algorithm = "round_robin"
	LeastOutstanding Algorithm = "least_outstanding_requests"
)

// TargetGroup is a set of targets and how to treat them. Zero durations and
// counts get the defaults of Elastic Load Balancing unless noted.
type TargetGroup struct {
	ARN       string    `json:"arn"`
	Name      string    `json:"name"`
	Protocol  Protocol  `json:"protocol"`
	Algorithm Algorithm `json:"algorithm"`
	// HealthCheck says how targets are probed.
	HealthCheck HealthCheck `json:"health_check"`
	// DeregistrationDelay bounds how long a draining target may finish its
	// requests; what is in flight then is cut. Default 300 s.
	DeregistrationDelay time.Duration `json:"deregistration_delay"`
	// IdleTimeout is how long a target may take to begin its response before
	// the client gets a 504. Default 60 s.
	IdleTimeout time.Duration `json:"idle_timeout"`
}

// HealthCheck says how targets are probed.
type HealthCheck struct {
	// Path is a URL path, or "/package.Service/Method" for GRPC.
	Path string `json:"path"`
	// Interval lies between two probes, Timeout bounds one.
	Interval time.Duration `json:"interval"`
	Timeout  time.Duration `json:"timeout"`
	// StartPeriod is how long a new target may refuse connections, or not answer,
	// before that counts as a failure; one that answers badly fails after one
	// Interval. Load balancers have no such setting: in AWS the grace period of
	// the ECS service stands for it. Below Interval it is Interval.
	StartPeriod time.Duration `json:"start_period,omitempty"`
	// HealthyThreshold successes in a row bring an unhealthy target back; a new
	// one needs a single success. UnhealthyThreshold failures in a row take a
	// target out.
	HealthyThreshold   int `json:"healthy_threshold"`
	UnhealthyThreshold int `json:"unhealthy_threshold"`
	// Matcher lists good codes: "200", "200-299", "200,202". For GRPC these are
	// gRPC status codes, and as in AWS only the code counts: a health service
	// that answers OK with NOT_SERVING inside passes.
	Matcher string `json:"matcher"`
}

// Target is one task's address in a target group.
type Target struct {
	// ID is the task's ARN.
	ID string
	// Host is an address, Port the host port the runtime allotted.
	Host string
	Port int
}

// TargetHealth is a target's state in the words of the Elastic Load Balancing
// API (TargetHealth).
type TargetHealth struct {
	// State is one of the State constants.
	State string
	// Reason is a code such as Target.ResponseCodeMismatch, Description a
	// sentence. Both are empty for a healthy target.
	Reason, Description string
}

// Target states.
const (
	StateInitial   = "initial"
	StateHealthy   = "healthy"
	StateUnhealthy = "unhealthy"
	StateDraining  = "draining"
	StateUnused    = "unused"
)

// fallback returns def when v is the zero value.
func fallback[T comparable](v, def T) T {
	var zero T
	if v == zero {
		return def
	}
	return v
}

// complete fills defaults and checks the group. The defaults are those of
// CreateTargetGroup in the Elastic Load Balancing API, except that the matcher
// of a GRPC group is 0: the API's own default, 12 (UNIMPLEMENTED), counts a
// server without a health service as healthy.
func (tg TargetGroup) complete() (TargetGroup, error) {
	tg.Protocol = fallback(tg.Protocol, HTTP)
	tg.Algorithm = fallback(tg.Algorithm, RoundRobin)
	tg.DeregistrationDelay = fallback(tg.DeregistrationDelay, 300*time.Second)
	tg.IdleTimeout = fallback(tg.IdleTimeout, 60*time.Second)
	hc := &tg.HealthCheck
	path, matcher := "/", "200"
	if tg.Protocol == GRPC {
		path, matcher = "/grpc.health.v1.Health/Check", "0"
	}
	hc.Path = fallback(hc.Path, path)
	hc.Matcher = fallback(hc.Matcher, matcher)
	hc.Interval = fallback(hc.Interval, 30*time.Second)
	hc.Timeout = fallback(hc.Timeout, 5*time.Second)
	hc.HealthyThreshold = fallback(hc.HealthyThreshold, 5)
	hc.UnhealthyThreshold = fallback(hc.UnhealthyThreshold, 2)
	return tg, tg.validate()
}

// validate reports everything that is wrong with the group.
func (tg TargetGroup) validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if tg.ARN == "" {
		bad("arn is empty")
	}
	if tg.Protocol != HTTP && tg.Protocol != GRPC {
		bad("protocol %q is neither HTTP nor GRPC", tg.Protocol)
	}
	if tg.Algorithm != RoundRobin && tg.Algorithm != LeastOutstanding {
		bad("algorithm %q is neither %s nor %s", tg.Algorithm, RoundRobin, LeastOutstanding)
	}
	if tg.DeregistrationDelay < 0 || tg.IdleTimeout < 0 {
		bad("a duration is negative")
	}
	hc := tg.HealthCheck
	if hc.Path[0] != '/' {
		bad("health check path %q does not begin with /", hc.Path)
	}
	if hc.Interval < 0 || hc.Timeout < 0 || hc.StartPeriod < 0 || hc.Timeout > hc.Interval {
		bad("health check timeout %s and interval %s: want 0 < timeout <= interval", hc.Timeout, hc.Interval)
	}
	if hc.HealthyThreshold < 1 || hc.UnhealthyThreshold < 1 {
		bad("health check thresholds must be at least 1")
	}
	if _, err := parseMatcher(hc.Matcher); err != nil {
		errs = append(errs, err)
	}
	if len(errs) > 0 {
		return fmt.Errorf("target group %s: %w", fallback(tg.Name, tg.ARN), errors.Join(errs...))
	}
	return nil
}
