// Package place says where the embedded cluster keeps its files: the state of
// one checkout, and the cache that all checkouts share.
//
// Root gets folders below /var, since PostgreSQL and the tasks then run as
// unprivileged users that may not enter root's home. Everybody else gets the
// folders of the XDG Base Directory Specification, or the platform's own.
package place

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
)

// Environment variables that override the folders, for tests and for people
// who keep such things elsewhere.
const (
	StateVariable = "SLIPWAY_STATE_DIR"
	CacheVariable = "SLIPWAY_CACHE_DIR"
)

// folderMode lets the unprivileged users of tasks and of PostgreSQL walk
// through; what is secret below has a stricter mode of its own.
const folderMode = 0o755

// State returns the state folder of the checkout at root, an absolute path.
// It does not create it.
func State(root string) (string, error) {
	if dir := os.Getenv(StateVariable); dir != "" {
		return filepath.Abs(dir)
	}
	real, err := filepath.EvalSymlinks(root)
	if err != nil {
		return "", fmt.Errorf("resolve checkout %s: %w", root, err)
	}
	sum := sha256.Sum256([]byte(real))
	name := filepath.Base(real) + "-" + hex.EncodeToString(sum[:4])
	if os.Geteuid() == 0 {
		return filepath.Join("/var/lib/slipway", name), nil
	}
	if dir := os.Getenv("XDG_STATE_HOME"); dir != "" {
		return filepath.Join(dir, "slipway", name), nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("find home folder (set %s to choose a folder): %w", StateVariable, err)
	}
	return filepath.Join(home, ".local", "state", "slipway", name), nil
}

// Cache returns the folder for what can be had again: PostgreSQL's programs,
// built binaries, image layers.
func Cache() (string, error) {
	if dir := os.Getenv(CacheVariable); dir != "" {
		return filepath.Abs(dir)
	}
	if os.Geteuid() == 0 {
		return "/var/cache/slipway", nil
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("find cache folder (set %s to choose one): %w", CacheVariable, err)
	}
	return filepath.Join(dir, "slipway"), nil
}

// Prepare creates dir with what is above it, lets the users of tasks in, and
// proves that a file can be written in it.
func Prepare(dir string) error {
	if err := os.MkdirAll(dir, folderMode); err != nil {
		return fmt.Errorf("create folder %s: %w", dir, err)
	}
	if err := open(dir); err != nil {
		return fmt.Errorf("open folder %s to the users of tasks: %w", dir, err)
	}
	probe, err := os.CreateTemp(dir, ".probe-*")
	if err != nil {
		return fmt.Errorf("write in folder %s: %w", dir, err)
	}
	_, werr := probe.Write(make([]byte, 4096))
	serr := probe.Sync()
	cerr := probe.Close()
	rerr := os.Remove(probe.Name())
	for _, err := range []error{werr, serr, cerr, rerr} {
		if err != nil {
			return fmt.Errorf("write in folder %s: %w", dir, err)
		}
	}
	return nil
}

// open lets the unprivileged users of tasks and of PostgreSQL, which root's
// processes become, into a folder that somebody made for root alone.
func open(dir string) error {
	if os.Geteuid() != 0 {
		return nil
	}
	st, err := os.Stat(dir)
	if err != nil || st.Mode().Perm()&folderMode == folderMode {
		return err
	}
	return os.Chmod(dir, st.Mode().Perm()|folderMode)
}
