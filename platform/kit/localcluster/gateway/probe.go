package gateway

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// newProbe is the longest pause between probes of a target that has not had a
// success yet: whoever waits for it hears soon that it fails.
const newProbe = 500 * time.Millisecond

// fastProbe is the pause between probes of a target that has just been
// registered, or that has just failed a request.
const fastProbe = 25 * time.Millisecond

// matcher is a set of codes, as ranges.
type matcher [][2]int

// parseMatcher reads "200", "200-299" or "200,202,300-302".
func parseMatcher(s string) (matcher, error) {
	var m matcher
	for part := range strings.SplitSeq(s, ",") {
		lo, hi, ok := strings.Cut(strings.TrimSpace(part), "-")
		if !ok {
			hi = lo
		}
		a, errA := strconv.Atoi(lo)
		b, errB := strconv.Atoi(hi)
		if errA != nil || errB != nil || a < 0 || a > b {
			return nil, fmt.Errorf("matcher %q: want codes such as 200, 200-299 or 200,202", s)
		}
		m = append(m, [2]int{a, b})
	}
	return m, nil
}

func (m matcher) has(code int) bool {
	for _, r := range m {
		if r[0] <= code && code <= r[1] {
			return true
		}
	}
	return false
}

// outcome is what one probe found. An empty reason is a success.
type outcome struct{ reason, description string }

const timedOut = "Target.Timeout"

// refused is the outcome of a probe that nobody listens to.
func refused() outcome {
	return outcome{"Target.FailedHealthChecks", "Health checks failed: " + syscall.ECONNREFUSED.Error()}
}

// checker turns a target's probe outcomes into its state. It is a pure state
// machine: the caller brings outcomes and times.
type checker struct {
	state      string
	last       outcome
	registered time.Time
	successes  int
	failures   int
	suspect    bool // a request failed; probe fast until that is settled
}

// health is the state in the words of DescribeTargetHealth.
func (c *checker) health() TargetHealth {
	switch {
	case c.state == StateHealthy:
		return TargetHealth{State: StateHealthy}
	case c.state == StateInitial && c.last.reason == "":
		return TargetHealth{StateInitial, "Elb.RegistrationInProgress", "Target registration is in progress"}
	case c.state == StateInitial:
		return TargetHealth{StateInitial, "Elb.InitialHealthChecking", "Initial health checks in progress: " + c.last.description}
	default:
		return TargetHealth{c.state, c.last.reason, c.last.description}
	}
}

// observe takes one outcome at time now and returns how long to wait for the
// next probe.
//
// A new target is probed fast until its first success or until one interval has
// gone by, or the start period while nobody answers; failures before that are
// its start and do not count. One success
// makes a new target healthy; an unhealthy one needs HealthyThreshold in a row.
func (c *checker) observe(hc HealthCheck, now time.Time, o outcome) time.Duration {
	c.last = o
	if o.reason == "" {
		c.failures, c.suspect = 0, false
		c.successes++
		if c.state == StateInitial || c.successes >= hc.HealthyThreshold {
			c.state = StateHealthy
		}
		return hc.Interval
	}
	c.successes = 0
	if left := c.start(hc, o).Sub(now); c.state == StateInitial && left > 0 {
		return min(fastProbe, left)
	}
	c.failures++
	if c.failures >= hc.UnhealthyThreshold {
		c.state, c.suspect = StateUnhealthy, false
	}
	switch {
	case c.suspect:
		return fastProbe
	case c.state == StateInitial:
		return min(newProbe, hc.Interval)
	}
	return hc.Interval
}

// start is the time from which on a failure of a new target counts.
func (c *checker) start(hc HealthCheck, o outcome) time.Time {
	if o == refused() || o.reason == timedOut {
		return c.registered.Add(max(hc.Interval, hc.StartPeriod))
	}
	return c.registered.Add(hc.Interval)
}

// watch probes one target until ctx is done.
func (g *Gateway) watch(ctx context.Context, gr *group, t *target) {
	client := &http.Client{
		Transport:     newProbeTransport(gr.protocol),
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	defer client.CloseIdleConnections()
	for {
		hc, match := gr.healthCheck()
		o := probe(ctx, client, gr.protocol, t.addr, hc, match)
		if ctx.Err() != nil {
			return
		}
		wait := g.settle(gr, t, o)
		timer := g.clock.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-t.kick:
			timer.Stop()
			gr.suspect(t)
		case <-timer.Chan():
		}
	}
}

// settle applies an outcome, tells whoever listens about a change, and returns
// how long to wait for the next probe.
func (g *Gateway) settle(gr *group, t *target, o outcome) time.Duration {
	gr.mu.Lock()
	if t.draining {
		gr.mu.Unlock()
		return time.Hour // the prober's context is done
	}
	before := t.check.health()
	wait := t.check.observe(gr.cfg.HealthCheck, g.clock.Now(), o)
	after := t.check.health()
	if before.State != after.State {
		gr.choose()
	}
	arn, name := gr.cfg.ARN, gr.cfg.Name
	gr.mu.Unlock()

	if before.State != after.State {
		g.log.Info("target changed state", "group", name, "target", t.id, "addr", t.addr,
			"state", after.State, "reason", after.Reason, "description", after.Description)
	}
	if before != after && g.onChange != nil {
		g.onChange(arn, t.id, after)
	}
	return wait
}

// suspect makes the next failures of a target be probed fast.
func (g *group) suspect(t *target) {
	g.mu.Lock()
	defer g.mu.Unlock()
	t.check.suspect = t.check.state == StateHealthy
}

func (g *group) healthCheck() (HealthCheck, matcher) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.cfg.HealthCheck, g.matcher
}

// newProbeTransport returns a transport that opens a connection for each probe,
// so that a probe also tests that the target accepts one.
func newProbeTransport(p Protocol) *http.Transport {
	tr := newTransport(p, 0)
	tr.DisableKeepAlives = true
	return tr
}

// probe asks the target once.
func probe(ctx context.Context, client *http.Client, p Protocol, addr string, hc HealthCheck, match matcher) outcome {
	ctx, cancel := context.WithTimeout(ctx, hc.Timeout)
	defer cancel()
	var got int
	var err error
	if p == GRPC {
		got, err = probeGRPC(ctx, client, addr, hc.Path)
	} else {
		got, err = probeHTTP(ctx, client, addr, hc.Path)
	}
	var netErr net.Error
	switch {
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &netErr) && netErr.Timeout():
		return outcome{timedOut, "Request timed out"}
	case errors.Is(err, syscall.ECONNREFUSED):
		return refused()
	case err != nil:
		return outcome{"Target.FailedHealthChecks", "Health checks failed: " + cause(err)}
	case !match.has(got):
		return outcome{"Target.ResponseCodeMismatch", fmt.Sprintf("Health checks failed with these codes: [%d]", got)}
	}
	return outcome{}
}

// cause is the innermost part of a network error, such as "connection refused".
func cause(err error) string {
	if op, ok := errors.AsType[*net.OpError](err); ok {
		return op.Err.Error()
	}
	for errors.Unwrap(err) != nil {
		err = errors.Unwrap(err)
	}
	return err.Error()
}

// userAgent is what a load balancer's health checks call themselves.
const userAgent = "ELB-HealthChecker/2.0"

func probeHTTP(ctx context.Context, client *http.Client, addr, path string) (int, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+path, http.NoBody)
	if err != nil {
		return 0, err
	}
	res, err := exchange(client, req)
	return res.code, err
}

// probed is what a target said to a probe.
type probed struct {
	code            int
	header, trailer http.Header
}

// exchange sends the request and reads the answer's body, up to a point, so
// that a target that never ends it fails.
func exchange(client *http.Client, req *http.Request) (probed, error) {
	req.Header.Set("User-Agent", userAgent)
	res, err := client.Do(req)
	if err != nil {
		return probed{}, err
	}
	defer res.Body.Close()
	if _, err := io.CopyN(io.Discard, res.Body, 64<<10); err != nil && !errors.Is(err, io.EOF) {
		return probed{}, err
	}
	return probed{res.StatusCode, res.Header, res.Trailer}, nil
}

// probeGRPC calls a unary method with an empty message and returns its gRPC
// status code (gRPC over HTTP/2, "Protocol").
func probeGRPC(ctx context.Context, client *http.Client, addr, path string) (int, error) {
	empty := make([]byte, 5) // not compressed, length 0
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+addr+path, bytes.NewReader(empty))
	if err != nil {
		return 0, err
	}
	req.Header.Set("Content-Type", "application/grpc")
	req.Header.Set("Te", "trailers")
	res, err := exchange(client, req)
	if err != nil {
		return 0, err
	}
	status := fallback(res.trailer.Get("Grpc-Status"), res.header.Get("Grpc-Status"))
	if status == "" {
		return 0, fmt.Errorf("answer has no grpc-status (HTTP status %d)", res.code)
	}
	return strconv.Atoi(status)
}
