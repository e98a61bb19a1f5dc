// Package probe answers whether the process may take requests, to load balancers
// over HTTP and to gRPC's health clients.
package probe

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

const (
	readyTTL     = time.Second            // how long a good answer stands
	unreadyTTL   = 100 * time.Millisecond // how long a bad one does
	checkTimeout = 2 * time.Second
)

// Check is one thing that must work before the process takes requests.
type Check struct {
	Name string
	Run  func(context.Context) error
}

// Report is the answer to a probe.
type Report struct {
	Status string            `json:"status"` // ready, unready, draining
	Checks map[string]string `json:"checks,omitempty"`
}

// Ready reports whether requests may come.
func (r Report) Ready() bool { return r.Status == statusReady }

const (
	statusReady    = "ready"
	statusUnready  = "unready"
	statusDraining = "draining"
)

// Readiness answers probes. It runs the checks at most once per TTL, however
// many probers ask.
type Readiness struct {
	checks   []Check
	log      *slog.Logger
	now      func() time.Time
	draining atomic.Bool

	mu   sync.Mutex
	last Report
	till time.Time
}

// NewReadiness has the checks run for the first prober that asks.
func NewReadiness(checks []Check, log *slog.Logger) *Readiness {
	return &Readiness{checks: checks, log: log, now: time.Now}
}

// Report runs the checks unless a recent answer stands. A prober that goes away
// does not spoil the answer for the others.
func (r *Readiness) Report(ctx context.Context) Report {
	if r.draining.Load() {
		return Report{Status: statusDraining}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.now().Before(r.till) {
		return r.last
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), checkTimeout)
	defer cancel()
	next := Report{Status: statusReady}
	for _, c := range r.checks {
		err := c.Run(ctx)
		if err == nil {
			continue
		}
		if next.Checks == nil {
			next.Checks = make(map[string]string)
		}
		next.Status = statusUnready
		next.Checks[c.Name] = "does not answer"
		if r.last.Checks[c.Name] == "" {
			r.log.LogAttrs(ctx, slog.LevelWarn, "readiness check fails", slog.String("check", c.Name), slog.Any("error", err))
		}
	}
	ttl := readyTTL
	if !next.Ready() {
		ttl = unreadyTTL
	} else if r.last.Status == statusUnready {
		r.log.LogAttrs(ctx, slog.LevelInfo, "ready again")
	}
	r.last, r.till = next, r.now().Add(ttl)
	return next
}

// Drain makes every later answer "draining".
func (r *Readiness) Drain() { r.draining.Store(true) }

// Draining reports whether Drain was called.
func (r *Readiness) Draining() bool { return r.draining.Load() }

// ServeHTTP answers /healthz: 200 when ready, else 503 with the reason. What a
// check said is in the log only; the answer names no host and no user.
func (r *Readiness) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	rep := r.Report(req.Context())
	code := http.StatusOK
	if !rep.Ready() {
		code = http.StatusServiceUnavailable
	}
	w.Header().Set("Cache-Control", "no-store")
	writeJSON(w, code, rep)
}

// Alive answers /livez: a process that answers at all is alive.
func Alive(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, Report{Status: "alive"})
}

// writeJSON answers with the value; a client that is gone is nobody's error.
func writeJSON(w http.ResponseWriter, code int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(v) //nolint:errchkjson // the client may be gone; the types are ours
}
