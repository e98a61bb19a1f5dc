package vuln

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/jonboulle/clockwork"

	"github.com/slipway-dev/slipway/platform/kit/attest"
	"github.com/slipway-dev/slipway/platform/kit/event"
	"github.com/slipway-dev/slipway/platform/kit/manifest"
)

// Images reads what a registry holds.
type Images interface {
	// Binaries returns the binaries of an image, one a platform.
	Binaries(ctx context.Context, repository, digest string) ([]Binary, error)
}

// Statements are what an environment's key has signed about images.
type Statements interface {
	// Find returns the statements of a type whose signature holds.
	Find(ctx context.Context, repository, digest, predicateType string) ([]attest.Verified, error)
	// Attach signs a statement and attaches it; one that is there already stays.
	Attach(ctx context.Context, repository, digest string, a attest.Attestation) error
}

// Config says what a gate works with.
type Config struct {
	Environment manifest.Environment
	Source      Source
	Images      Images     // nil: only what was given to Begin can be scanned
	Statements  Statements // nil: no report but this machine's own is used, and none attached
	Clock       clockwork.Clock
}

// Gate answers whether images may run in an environment. It may be used by
// several goroutines at once, for the length of one command.
type Gate struct {
	cfg     Config
	reports reports

	open func(context.Context) (*Database, error)

	mu    sync.Mutex
	scans map[string]*scanning // by digest
}

// New returns a gate for an environment.
func New(cfg Config) (*Gate, error) {
	if cfg.Environment.Name == "" || cfg.Source.CacheDir == "" {
		return nil, errors.New("configure vulnerability gate: Environment or Source.CacheDir is empty")
	}
	if cfg.Clock == nil {
		cfg.Clock = clockwork.NewRealClock()
	}
	g := &Gate{cfg: cfg, reports: newReports(cfg.Source.CacheDir), scans: map[string]*scanning{}}
	g.open = g.opener()
	return g, nil
}

// opener returns a function that opens the database when it is first asked,
// and again when what stopped it was the end of the asker.
func (g *Gate) opener() func(context.Context) (*Database, error) {
	var mu sync.Mutex
	var db *Database
	var failed error
	return func(ctx context.Context) (*Database, error) {
		mu.Lock()
		defer mu.Unlock()
		if db != nil || failed != nil {
			return db, failed
		}
		opened, err := Open(ctx, g.cfg.Source)
		if ctx.Err() == nil {
			db, failed = opened, err
		}
		return opened, err
	}
}

// scanning is a scan under way, or done.
type scanning struct {
	done   chan struct{}
	report Report
	err    error
}

// Begin starts to scan an image that was just built, while it is pushed and
// signed. Examine waits for it. When no database can be had, nothing is done.
func (g *Gate) Begin(ctx context.Context, digest string, binaries []Binary) {
	g.start(ctx, digest, func(context.Context) ([]Binary, error) { return binaries, nil })
}

// start begins the one scan of an image, unless it was begun.
func (g *Gate) start(ctx context.Context, digest string, binaries func(context.Context) ([]Binary, error)) *scanning {
	g.mu.Lock()
	defer g.mu.Unlock()
	if s := g.scans[digest]; s != nil {
		return s
	}
	s := &scanning{done: make(chan struct{})}
	g.scans[digest] = s
	go func() {
		defer close(s.done)
		if s.report, s.err = g.scan(ctx, digest, binaries); s.err != nil {
			g.mu.Lock()
			delete(g.scans, digest) // who asks next may have more luck
			g.mu.Unlock()
		}
	}()
	return s
}

// wait returns what a scan found.
func (s *scanning) wait(ctx context.Context) (Report, error) {
	select {
	case <-s.done:
		return s.report, s.err
	case <-ctx.Done():
		return Report{}, ctx.Err()
	}
}

// scan takes the report that was kept, or makes one and keeps it.
func (g *Gate) scan(ctx context.Context, digest string, binaries func(context.Context) ([]Binary, error)) (Report, error) {
	db, err := g.open(ctx)
	if err != nil {
		return Report{}, err
	}
	if kept, ok := g.reports.get(digest, db); ok {
		return kept, nil
	}
	list, err := binaries(ctx)
	if err != nil {
		return Report{}, err
	}
	report, err := db.scanImage(ctx, digest, list, g.cfg.Clock.Now)
	if err == nil {
		g.reports.put(report, db)
	}
	return report, err
}

// Report returns what is known against an image: by a scan that was begun or
// kept, by a report attached to it that is as new as the database, or by
// scanning what the registry holds. Without a database an attached report is
// the newest there can be.
func (g *Gate) Report(ctx context.Context, repository, digest string) (Report, error) {
	db, err := g.open(ctx)
	var lacking *DatabaseError
	switch {
	case errors.As(err, &lacking) && !lacking.Damaged:
		if attached, ok := g.attached(ctx, repository, digest, time.Time{}); ok {
			return attached, nil
		}
		return Report{}, err
	case err != nil:
		return Report{}, err
	}
	g.mu.Lock()
	begun := g.scans[digest]
	g.mu.Unlock()
	if begun != nil {
		return begun.wait(ctx)
	}
	if kept, ok := g.reports.get(digest, db); ok {
		return kept, nil
	}
	if attached, ok := g.attached(ctx, repository, digest, db.Modified); ok {
		return attached, nil
	}
	if g.cfg.Images == nil {
		return Report{}, fmt.Errorf("scan image %s: there is no registry to read it from", digest)
	}
	return g.start(ctx, digest, func(ctx context.Context) ([]Binary, error) {
		return g.cfg.Images.Binaries(ctx, repository, digest)
	}).wait(ctx)
}

// attached returns the newest report attached to the image whose database is
// not older than since.
func (g *Gate) attached(ctx context.Context, repository, digest string, since time.Time) (newest Report, ok bool) {
	if g.cfg.Statements == nil {
		return newest, false
	}
	list, err := g.cfg.Statements.Find(ctx, repository, digest, PredicateType)
	if err != nil {
		return newest, false // the check of signatures tells why
	}
	for _, statement := range list {
		r, err := ReportOf(digest, statement.Predicate)
		if err == nil && !r.Modified.Before(since) && (!ok || r.Modified.After(newest.Modified)) {
			newest, ok = r, true
		}
	}
	return newest, ok
}

// Attach attaches what a scan found to its image, signed. Without a database
// there is nothing to attach, and no error.
func (g *Gate) Attach(ctx context.Context, repository, digest string) error {
	if g.cfg.Statements == nil {
		return nil
	}
	report, err := g.Report(ctx, repository, digest)
	if _, lacking := errors.AsType[*DatabaseError](err); lacking {
		return nil // the check says so
	}
	if err != nil {
		return err
	}
	if report.Attached {
		return nil
	}
	return g.cfg.Statements.Attach(ctx, repository, digest, attest.Attestation{PredicateType: PredicateType, Predicate: report.Predicate()})
}

// Policy returns the environment's rules for a service.
func (g *Gate) Policy(service string) Policy {
	return Policy{Vulnerabilities: g.cfg.Environment.SupplyChain.Vulnerabilities, Environment: g.cfg.Environment.Name, Service: service}
}

// Now is the time by the gate's clock.
func (g *Gate) Now() time.Time { return g.cfg.Clock.Now() }

// orNext returns the command that an error names, else fallback.
func orNext(err error, fallback string) string {
	if next := event.Next(err); next != "" {
		return next
	}
	return fallback
}
