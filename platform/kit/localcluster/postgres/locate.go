package postgres

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
)

// OldestMajor is the oldest PostgreSQL that Slipway runs on.
const OldestMajor = 14

// BinVariable names a folder with postgres and initdb that is used before any
// other; the value FetchOnly passes over whatever is installed.
const (
	BinVariable = "SLIPWAY_POSTGRES_BIN"
	FetchOnly   = "fetch"
)

// Installation is a PostgreSQL server that can be started.
type Installation struct {
	// Bin is the folder with postgres and initdb.
	Bin string
	// Version is as the server says it, such as "17.11"; Major its first part.
	Version string
	Major   int
	// Fetched tells a server in the cache from an installed one.
	Fetched bool
}

// String says which server it is, for people.
func (i Installation) String() string {
	return fmt.Sprintf("PostgreSQL %s in %s", i.Version, i.Bin)
}

// ErrNone says that no usable server is installed.
var ErrNone = errors.New("no PostgreSQL server is installed")

// installedIn are the places where package managers put servers.
var installedIn = []string{
	"/usr/lib/postgresql/*/bin", // Debian, Ubuntu
	"/usr/pgsql-*/bin",          // PostgreSQL's own RPMs
	"/usr/local/pgsql/bin",      // built from source
	"/opt/homebrew/opt/postgresql*/bin",
	"/usr/local/opt/postgresql*/bin",
	"/Applications/Postgres.app/Contents/Versions/*/bin",
}

// Locate returns the installed servers of OldestMajor or newer: that of
// SLIPWAY_POSTGRES_BIN first, then that on PATH, then the others, newest first.
// It is an error when the variable names a folder without a server.
func Locate(ctx context.Context) ([]Installation, error) {
	var found []Installation
	add := func(bin string) {
		known := func(i Installation) bool { return i.Bin == bin }
		if slices.ContainsFunc(found, known) {
			return
		}
		if i, err := inspect(ctx, bin); err == nil && i.Major >= OldestMajor {
			found = append(found, i)
		}
	}
	switch bin := os.Getenv(BinVariable); bin {
	case "":
	case FetchOnly:
		return nil, nil
	default:
		i, err := inspect(ctx, bin)
		if err != nil {
			return nil, fmt.Errorf("use the server of %s: %w", BinVariable, err)
		}
		found = append(found, i)
	}
	if initdb, err := exec.LookPath("initdb"); err == nil {
		if real, err := filepath.EvalSymlinks(initdb); err == nil {
			add(filepath.Dir(real))
		}
	}
	first := len(found)
	for _, pattern := range installedIn {
		dirs, err := filepath.Glob(pattern)
		if err != nil {
			return nil, fmt.Errorf("look in %s: %w", pattern, err)
		}
		for _, dir := range dirs {
			add(dir)
		}
	}
	slices.SortStableFunc(found[first:], func(a, b Installation) int { return b.Major - a.Major })
	return found, nil
}

// versionForm is how `postgres --version` ends: "postgres (PostgreSQL) 17.11",
// with more behind it on Debian.
var versionForm = regexp.MustCompile(`\(PostgreSQL\) ((\d+)[.\w]*)`)

// inspect asks the server in bin for its version.
func inspect(ctx context.Context, bin string) (Installation, error) {
	for _, name := range []string{"postgres", "initdb"} {
		if _, err := exec.LookPath(filepath.Join(bin, name)); err != nil {
			return Installation{}, fmt.Errorf("look for PostgreSQL in %s: %w", bin, err)
		}
	}
	out, err := exec.CommandContext(ctx, filepath.Join(bin, "postgres"), "--version").Output()
	if err != nil {
		return Installation{}, fmt.Errorf("ask %s for its version: %w", filepath.Join(bin, "postgres"), err)
	}
	m := versionForm.FindSubmatch(out)
	if m == nil {
		return Installation{}, fmt.Errorf("ask %s for its version: it answers %q", filepath.Join(bin, "postgres"), out)
	}
	major, err := strconv.Atoi(string(m[2]))
	if err != nil {
		return Installation{}, fmt.Errorf("read version %q: %w", m[1], err)
	}
	return Installation{Bin: bin, Version: string(m[1]), Major: major}, nil
}
