package rollout

import (
	"fmt"
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
		if err := os.CopyFS(filepath.Join(to, rel), os.DirFS(folder)); err != nil {
			return nil, fmt.Errorf("copy %s: %w", rel, err)
		}
	}
	return r, nil
}

// Next changes the source so that its build is the n-th release.
func (r *Releases) Next(n int) error {
	source := fmt.Sprintf("package main\n\nimport \"os\"\n\nfunc init() { _ = os.Setenv(\"BENCH_RELEASE\", \"%d\") }\n", n)
	return os.WriteFile(filepath.Join(r.main, "bench_release.go"), []byte(source), 0o644) //nolint:gosec // source
}

// Close removes the copy.
func (r *Releases) Close() error { return os.RemoveAll(r.Root) }
