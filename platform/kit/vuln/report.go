package vuln

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sort"
	"time"

	"golang.org/x/sync/errgroup"
)

// Report is what a database knew against an image.
type Report struct {
	Image     string    `json:"image"` // digest of the index
	Platforms []string  `json:"platforms"`
	Database  string    `json:"database"` // its location
	Modified  time.Time `json:"modified"` // when the database was written
	Copied    bool      `json:"copied,omitempty"`
	Attached  bool      `json:"attached,omitempty"` // it was read from the image
	Started   time.Time `json:"started"`            // of the scan
	Finished  time.Time `json:"finished"`
	Findings  []Finding `json:"findings"`
}

// Binary is what an image has for one platform.
type Binary struct {
	Platform string // linux/arm64
	// Open gives access to the binary's bytes.
	Open func(ctx context.Context) (Bytes, error)
}

// Bytes are a binary's, until it is closed.
type Bytes interface {
	io.ReaderAt
	io.Closer
}

// File is the binary at a path.
func File(platform, path string) Binary {
	return Binary{Platform: platform, Open: func(context.Context) (Bytes, error) { return os.Open(path) }}
}

// scan scans one binary.
func (db *Database) scan(ctx context.Context, b Binary) (findings []Finding, err error) {
	content, err := b.Open(ctx)
	if err == nil {
		findings, err = db.Scan(ctx, content)
		err = errors.Join(err, content.Close())
	}
	var lacking *DatabaseError
	if err != nil && !errors.As(err, &lacking) {
		return nil, fmt.Errorf("scan binary for %s: %w", b.Platform, err)
	}
	return findings, err
}

// scanImage scans all binaries of an image.
func (db *Database) scanImage(ctx context.Context, digest string, binaries []Binary, now func() time.Time) (Report, error) {
	report := Report{Image: digest, Database: db.Location, Modified: db.Modified, Copied: db.Copied, Started: now().UTC(), Findings: []Finding{}}
	each := make([][]Finding, len(binaries))
	group, groupCtx := errgroup.WithContext(ctx)
	for i, b := range binaries {
		report.Platforms = append(report.Platforms, b.Platform)
		group.Go(func() (err error) {
			each[i], err = db.scan(groupCtx, b)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return Report{}, err
	}
	for _, findings := range each {
		report.Findings = merge(report.Findings, findings)
	}
	report.Finished = now().UTC()
	return report, nil
}

// format is part of every kept report's name. Raise it when the same database
// would give another report.
const format = "1"

// keepReports is how many reports stay.
const keepReports = 200

// reports is the folder of kept reports. What is in it can be deleted at any time.
type reports struct{ dir string }

func newReports(cacheDir string) reports { return reports{filepath.Join(cacheDir, "vuln", "reports")} }

func (r reports) path(digest string, db *Database) string {
	sum := sha256.Sum256([]byte(format + "\n" + digest + "\n" + db.Location + "\n" + db.Modified.Format(time.RFC3339Nano)))
	return filepath.Join(r.dir, hex.EncodeToString(sum[:16])+".json")
}

// get returns what was kept of an image and a database.
func (r reports) get(digest string, db *Database) (Report, bool) {
	var report Report
	text, err := os.ReadFile(r.path(digest, db))
	ok := err == nil && json.Unmarshal(text, &report) == nil && report.Image == digest && report.Modified.Equal(db.Modified)
	report.Copied = db.Copied
	return report, ok
}

// put keeps a report. It is no loss when that fails.
func (r reports) put(report Report, db *Database) {
	text, err := json.Marshal(report)
	if err != nil || os.MkdirAll(r.dir, 0o750) != nil {
		return
	}
	file, err := os.CreateTemp(r.dir, "new-*")
	if err != nil {
		return
	}
	_, err = file.Write(text)
	if file.Close() != nil || err != nil || os.Rename(file.Name(), r.path(report.Image, db)) != nil {
		_ = os.Remove(file.Name())
		return
	}
	r.prune()
}

// prune deletes all but the newest reports.
func (r reports) prune() {
	entries, err := filepath.Glob(filepath.Join(r.dir, "*.json"))
	if err != nil || len(entries) <= keepReports {
		return
	}
	written := make(map[string]time.Time, len(entries))
	for _, path := range entries {
		if info, err := os.Stat(path); err == nil {
			written[path] = info.ModTime()
		}
	}
	sort.Slice(entries, func(i, j int) bool { return written[entries[i]].After(written[entries[j]]) })
	for _, path := range entries[keepReports:] {
		_ = os.Remove(path)
	}
}
