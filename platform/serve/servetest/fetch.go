package servetest

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
)

// cacheDir is Slipway's cache. Root's own home is closed to the user PostgreSQL
// runs as, so root uses a folder all can read.
func cacheDir() (string, error) {
	if dir := os.Getenv("SLIPWAY_CACHE_DIR"); dir != "" {
		return dir, nil
	}
	if os.Geteuid() == 0 {
		return "/var/cache/slipway", nil
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("find cache folder: %w", err)
	}
	return filepath.Join(dir, "slipway"), nil
}

// fetched looks for a server that the kit has fetched into the cache: `mage up`
// and `mage test` do so where none is installed.
func fetched() (string, bool) {
	cache, err := cacheDir()
	if err != nil {
		return "", false
	}
	found, err := filepath.Glob(filepath.Join(cache, "postgres", "*-"+runtime.GOOS+"-"+runtime.GOARCH, "bin"))
	if err != nil {
		return "", false
	}
	for _, bin := range found {
		if complete(bin) {
			return bin, true
		}
	}
	return "", false
}
