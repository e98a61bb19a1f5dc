package schema

import (
	"context"
	"errors"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/slipway-dev/slipway/platform/kit/manifest"
)

// contractMark begins the line that gives the reason for a statement which takes
// away what an earlier release may use; platform/policy asks for it.
const contractMark = "-- contract:"

// Contraction is a migration that took something away.
type Contraction struct {
	File string // "00003_drop_price.sql"
	Why  string // the reason given in it
}

// String returns "00003_drop_price.sql (nobody reads it)".
func (c Contraction) String() string { return c.File + " (" + c.Why + ")" }

// Behind lists the contractions that the release from has and the release to
// does not know, oldest first: what to may still need is gone from a database
// that from has migrated. It asks git, by the commits in the releases' names; an
// error says what git cannot tell.
func Behind(ctx context.Context, root string, svc manifest.Service, from, to string) ([]Contraction, error) {
	h := history{root: root}
	newer, err := commitOf(from)
	if err != nil {
		return nil, err
	}
	older, err := commitOf(to)
	if err != nil {
		return nil, err
	}
	dir := path.Join(svc.Dir, "internal/store/migrations")
	has, err := h.migrations(ctx, newer, dir)
	if err != nil {
		return nil, err
	}
	knows, err := h.migrations(ctx, older, dir)
	if err != nil {
		return nil, err
	}
	var gone []Contraction
	for _, file := range has {
		if slices.Contains(knows, file) {
			continue
		}
		text, err := h.git(ctx, "show", newer+":"+file)
		if err != nil {
			return nil, fmt.Errorf("read %s of commit %s: %w", file, newer, err)
		}
		for line := range strings.Lines(text) {
			if why, ok := strings.CutPrefix(strings.TrimSpace(line), contractMark); ok {
				gone = append(gone, Contraction{File: path.Base(file), Why: strings.TrimSpace(why)})
				break
			}
		}
	}
	return gone, nil
}

// migrations lists the migrations of a commit, by path.
func (h history) migrations(ctx context.Context, commit, dir string) ([]string, error) {
	out, err := h.git(ctx, "ls-tree", "--name-only", commit, dir+"/")
	if err != nil {
		return nil, fmt.Errorf("ask git for the migrations of commit %s: %w", commit, err)
	}
	return slices.DeleteFunc(strings.Fields(out), func(file string) bool { return path.Ext(file) != ".sql" }), nil
}

var committed = regexp.MustCompile(`^v0-([0-9a-f]{12})$`)

// commitOf reads the commit out of a release's name.
func commitOf(release string) (string, error) {
	m := committed.FindStringSubmatch(release)
	if m == nil {
		return "", errors.New("release " + release + " is not that of a commit")
	}
	return m[1], nil
}
