package toolchain

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/mod/modfile"
)

// Tools is the folder of the module that pins the tools. It is not part of the
// workspace, so that tools do not choose the services' versions.
const Tools = "platform/tools"

// Modules returns the folders of the workspace's modules, absolute and sorted.
func Modules(root string) ([]string, error) {
	path := filepath.Join(root, "go.work")
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read workspace: %w", err)
	}
	work, err := modfile.ParseWork(path, raw, nil)
	if err != nil {
		return nil, fmt.Errorf("read workspace: %w", err)
	}
	dirs := make([]string, 0, len(work.Use))
	for _, use := range work.Use {
		dirs = append(dirs, filepath.Join(root, filepath.FromSlash(use.Path)))
	}
	slices.Sort(dirs)
	return dirs, nil
}
