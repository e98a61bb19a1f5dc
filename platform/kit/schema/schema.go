// Package schema checks that a service's newest migration can be rolled out:
// that the release before it goes on working on the new schema, since both run
// until the rollout ends, and that each reads what the other writes. The release
// before is built from git's history and run for real, on a real PostgreSQL
// server. Which statements are dangerous by themselves is platform/policy's.
package schema

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/slipway-dev/slipway/platform/kit/event"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/postgres"
	"github.com/slipway-dev/slipway/platform/kit/manifest"
	"github.com/slipway-dev/slipway/platform/kit/toolchain"
)

// Config says what a Checker works on.
type Config struct {
	// Root is the checkout.
	Root string
	// Servers are the PostgreSQL servers to choose from.
	Servers []postgres.Installation
	// Emit hears of progress.
	Emit *event.Emitter
}

// Result is what the check of one service found out.
type Result struct {
	Service   string `json:"service"`
	Migration string `json:"migration,omitempty"` // the newest one's file name
	Before    string `json:"before,omitempty"`    // the commit of the release before it
	Said      string `json:"said"`                // a sentence
}

// Error says what of the release before fails on the new schema.
type Error struct {
	Service, Before string
	// Migration is the file, relative to the checkout.
	Migration string
	// Failed is the request, or the tests, that failed.
	Failed string
	// Why is what was answered or printed.
	Why string
}

// Error names the request that failed.
func (e *Error) Error() string {
	return fmt.Sprintf("%s: %s breaks the release before it (commit %.12s): %s: %s", e.Service, path.Base(e.Migration), e.Before, e.Failed, e.Why)
}

// Next says how a schema changes without breaking anybody.
func (e *Error) Next() string {
	return "edit " + e.Migration + "   # only add now; take away in a later release, when none that needs the old form runs"
}

// HistoryError says that git cannot tell what the release before was.
type HistoryError struct{ Why, Command string }

// Error says what is missing.
func (e *HistoryError) Error() string {
	return "find the release before a migration: " + e.Why
}

// Next says how to get it.
func (e *HistoryError) Next() string { return e.Command }

// Check checks the newest migration of one service.
func Check(ctx context.Context, c Config, svc manifest.Service) (result Result, err error) {
	result = Result{Service: svc.Name}
	newest, count, err := migrations(c.Root, svc.Dir)
	if err != nil {
		return result, err
	}
	switch count {
	case 0:
		result.Said = "it has no migrations"
		return result, nil
	case 1:
		result.Migration = path.Base(newest)
		result.Said = "its only migration is its first: no release came before it"
		return result, nil
	}
	result.Migration = path.Base(newest)
	h := history{root: c.Root}
	if result.Before, err = h.before(ctx, newest); err != nil {
		return result, err
	}
	if has, err := h.has(ctx, result.Before, svc.Dir+"/service.yaml"); err != nil || !has {
		result.Said = "it came into being with its migrations: no release came before them"
		return result, err
	}
	dir, err := os.MkdirTemp("", "slipway-schema-")
	if err != nil {
		return result, fmt.Errorf("make a folder to work in: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if err := os.Chmod(dir, 0o755); err != nil { //nolint:gosec // PostgreSQL runs as another user
		return result, fmt.Errorf("open a folder to work in: %w", err)
	}
	t := &trial{Config: c, service: svc, result: &result, migration: newest, dir: dir, old: filepath.Join(dir, "before")}
	if err := t.prepare(ctx, h); err != nil {
		return result, err
	}
	replayed, err := t.coexist(ctx)
	if err != nil {
		return result, err
	}
	if err := t.replayTests(ctx); err != nil {
		return result, err
	}
	result.Said = fmt.Sprintf("commit %.12s works on it: its tests pass, and %s", result.Before, replayed)
	return result, nil
}

// migrations finds a service's newest migration, by its number, and how many
// there are. The path is relative to root, with slashes.
func migrations(root, service string) (newest string, count int, err error) {
	found, err := filepath.Glob(filepath.Join(root, filepath.FromSlash(service), "internal", "*", "migrations", "*.sql"))
	if err != nil {
		return "", 0, fmt.Errorf("find migrations of %s: %w", service, err)
	}
	number := func(file string) int {
		n, _, _ := strings.Cut(filepath.Base(file), "_")
		v, _ := strconv.Atoi(n) // goose refuses others when it runs
		return v
	}
	slices.SortFunc(found, func(a, b string) int { return number(a) - number(b) })
	if len(found) == 0 {
		return "", 0, nil
	}
	rel, err := filepath.Rel(root, found[len(found)-1])
	if err != nil {
		return "", 0, fmt.Errorf("find migrations of %s: %w", service, err)
	}
	return filepath.ToSlash(rel), len(found), nil
}

// trial is one check: the release before in the folder old, both binaries.
type trial struct {
	Config

	service   manifest.Service
	result    *Result
	migration string // the newest
	dir       string // temporary
	old       string // the tree of the release before
}

func (t *trial) binary(which string) string { return filepath.Join(t.dir, which+"-"+t.service.Name) }

// Names of the two binaries.
const (
	before = "before"
	after  = "after"
)

// prepare unpacks the release before and builds both.
func (t *trial) prepare(ctx context.Context, h history) error {
	return t.Emit.Run("build "+t.service.Name+" as it was and as it is", func(*event.Step) (string, error) {
		if err := h.unpack(ctx, t.result.Before, t.old); err != nil {
			return "", err
		}
		for which, root := range map[string]string{before: t.old, after: t.Root} {
			var said strings.Builder
			err := toolchain.Command{
				Dir: filepath.Join(root, filepath.FromSlash(t.service.Dir)), Env: []string{"GOWORK=off", "CGO_ENABLED=0"},
				Args:   []string{"go", "build", "-buildvcs=false", "-o", t.binary(which), "./cmd/" + t.service.Name},
				Stdout: &said, Stderr: &said,
			}.Run(ctx)
			if err != nil {
				return "", fmt.Errorf("build %s: %w\n%s", t.service.Name, err, said.String())
			}
		}
		return fmt.Sprintf("commit %.12s", t.result.Before), nil
	})
}

// MigrateVariable tells package servetest to bring each test's database to the
// schema of the binary that it names.
const MigrateVariable = "SLIPWAY_TEST_MIGRATE"

// replayTests runs the release's own tests on databases of the new schema.
func (t *trial) replayTests(ctx context.Context) error {
	support, err := filepath.Glob(filepath.Join(t.old, "platform", "serve", "servetest", "*.go"))
	if err != nil || !slices.ContainsFunc(support, func(file string) bool {
		data, err := os.ReadFile(file)
		return err == nil && strings.Contains(string(data), MigrateVariable)
	}) {
		return t.broken("its tests", "they cannot be run on another schema: its servetest does not know "+MigrateVariable)
	}
	return t.Emit.Run("run the tests of "+t.service.Name+" before, on the schema of now", func(*event.Step) (string, error) {
		var said strings.Builder
		err := toolchain.Command{
			Dir:    filepath.Join(t.old, filepath.FromSlash(t.service.Dir)),
			Env:    []string{"GOWORK=off", MigrateVariable + "=" + t.binary(after)},
			Args:   []string{"go", "test", "-count=1", "./..."},
			Stdout: &said, Stderr: &said,
		}.Run(ctx)
		if _, failed := errors.AsType[*toolchain.ExitError](err); failed {
			return "", t.broken("its tests", "they fail on the new schema\n"+strings.TrimSpace(said.String()))
		}
		return "", err
	})
}

func (t *trial) broken(failed, why string) error {
	return &Error{Service: t.service.Name, Migration: t.migration, Before: t.result.Before, Failed: failed, Why: why}
}
