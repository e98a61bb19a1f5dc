package rollout

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/slipway-dev/slipway/platform/kit/release"
)

// Releases makes one new release after another of a service's source, in a
// copy of it: the checkout is not touched.
type Releases struct {
	// Root holds the copy, with the checkout's layout.
	Root string
	main string // folder of the main package
}

// NewReleases copies what goes into the service's build to a temporary folder.
// dir is the service's folder relative to root. Call Close when done.
func NewReleases(root, dir, service string) (*Releases, error) {
	folders, err := release.Folders(filepath.Join(root, dir))
	if err != nil {
		return nil, err
	}
	to, err := os.MkdirTemp("", "slipway-bench-")
	if err != nil {
		return nil, fmt.Errorf("make folder for the copy: %w", err)
	}
	r := &Releases{Root: to, main: filepath.Join(to, dir, "cmd", service)}
	for _, folder := range folders {
		rel, err := filepath.Rel(root, folder)
		if err != nil || strings.HasPrefix(rel, "..") {
			return nil, fmt.Errorf("copy %s: it lies outside of %s", folder, root)
		}
		if err := copyTree(folder, filepath.Join(to, rel)); err != nil {
			return nil, fmt.Errorf("copy %s: %w", rel, err)
		}
	}
	return r, nil
}

// copyTree copies a folder. One that is there already, since folders may lie
// within one another, is written over.
func copyTree(from, to string) error {
	return filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		target := filepath.Join(to, rel)
		if d.IsDir() {
			return os.MkdirAll(target, 0o755) //nolint:gosec // a copy of source
		}
		if !d.Type().IsRegular() {
			return nil
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(target, content, 0o644) //nolint:gosec // a copy of source
	})
}

// Next changes the source so that its build is the n-th release.
func (r *Releases) Next(n int) error {
	source := fmt.Sprintf("package main\n\nimport \"os\"\n\nfunc init() { _ = os.Setenv(\"BENCH_RELEASE\", \"%d\") }\n", n)
	return os.WriteFile(filepath.Join(r.main, "bench_release.go"), []byte(source), 0o644) //nolint:gosec // source
}

// Close removes the copy.
func (r *Releases) Close() error { return os.RemoveAll(r.Root) }
