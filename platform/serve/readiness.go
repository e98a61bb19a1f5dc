package serve

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

// check is one thing that must work before the process takes requests.
type check struct {
	name string
	fn   func(context.Context) error
}

// report is the answer to a probe.
type report struct {
	Status string            `json:"status"` // ready, unready, draining
	Checks map[string]string `json:"checks,omitempty"`
}

func (r report) ready() bool { return r.Status == statusReady }

const (
	statusReady    = "ready"
	statusUnready  = "unready"
	statusDraining = "draining"
)

// readiness answers probes. It runs the checks at most once per TTL, however
// many probers ask.
type readiness struct {
	checks   []check
	log      *slog.Logger
	now      func() time.Time
	draining atomic.Bool

	mu   sync.Mutex
	last report
	till time.Time
}

func newReadiness(checks []check, log *slog.Logger) *readiness {
	return &readiness{checks: checks, log: log, now: time.Now}
}

// report runs the checks unless a recent answer stands. A prober that goes away
// does not spoil the answer for the others.
func (r *readiness) report(ctx context.Context) report {
	if r.draining.Load() {
		return report{Status: statusDraining}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.now().Before(r.till) {
		return r.last
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), checkTimeout)
	defer cancel()
	next := report{Status: statusReady}
	for _, c := range r.checks {
		err := c.fn(ctx)
		if err == nil {
			continue
		}
		if next.Checks == nil {
			next.Checks = make(map[string]string)
		}
		next.Status = statusUnready
		next.Checks[c.name] = "does not answer"
		if r.last.Checks[c.name] == "" {
			r.log.LogAttrs(ctx, slog.LevelWarn, "readiness check fails", slog.String("check", c.name), slog.Any("error", err))
		}
	}
	ttl := readyTTL
	if !next.ready() {
		ttl = unreadyTTL
	} else if r.last.Status == statusUnready {
		r.log.LogAttrs(ctx, slog.LevelInfo, "ready again")
	}
	r.last, r.till = next, r.now().Add(ttl)
	return next
}

// drain makes every later answer "draining".
func (r *readiness) drain() { r.draining.Store(true) }

// ServeHTTP answers /healthz: 200 when ready, else 503 with the reason. What a
// check said is in the log only; the answer names no host and no user.
func (r *readiness) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	rep := r.report(req.Context())
	code := http.StatusOK
	if !rep.ready() {
		code = http.StatusServiceUnavailable
	}
	w.Header().Set("Cache-Control", "no-store")
	writeJSON(w, code, rep)
}

// writeJSON answers with the value; a client that is gone is nobody's error.
func writeJSON(w http.ResponseWriter, code int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(v) //nolint:errchkjson // the client may be gone; the types are ours
}
