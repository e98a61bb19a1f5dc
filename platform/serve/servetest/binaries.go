package servetest

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// binVariable names a folder of PostgreSQL programs that is used before any
// other; the value "fetch" passes over what is installed.
const binVariable = "SLIPWAY_POSTGRES_BIN"

// findBinaries is the folder of a PostgreSQL server with initdb beside it: that
// of binVariable, else an installed one, else one in the cache.
func findBinaries() (string, error) {
	bin := os.Getenv(binVariable)
	if bin != "" && bin != "fetch" {
		return bin, nil
	}
	if bin == "" {
		if dir, ok := installed(); ok {
			return dir, nil
		}
	}
	if dir, ok := fetched(); ok {
		return dir, nil
	}
	return "", errors.New("find postgres: none is installed and none was fetched" +
		"\nnext: go tool mage test, or install PostgreSQL 14 or newer, or set " + databaseURLVariable + " to a server's URL")
}

// installed looks on PATH first, then for the newest in the usual folders.
func installed() (string, bool) {
	if initdb, err := exec.LookPath("initdb"); err == nil {
		if resolved, err := filepath.EvalSymlinks(initdb); err == nil && complete(filepath.Dir(resolved)) {
			return filepath.Dir(resolved), true
		}
	}
	for _, pattern := range []string{
		"/usr/lib/postgresql/*/bin",
		"/usr/pgsql-*/bin",
		"/opt/homebrew/opt/postgresql*/bin",
		"/usr/local/opt/postgresql*/bin",
		"/Applications/Postgres.app/Contents/Versions/*/bin",
	} {
		dirs, _ := filepath.Glob(pattern)
		slices.SortFunc(dirs, func(a, b string) int { return version(b) - version(a) })
		for _, dir := range dirs {
			if complete(dir) {
				return dir, true
			}
		}
	}
	return "", false
}

func complete(dir string) bool {
	for _, name := range []string{"initdb", "postgres"} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil || info.Mode()&0o111 == 0 {
			return false
		}
	}
	return true
}

// version is the last number in a path such as /usr/lib/postgresql/15/bin.
func version(dir string) int {
	fields := strings.FieldsFunc(filepath.Dir(dir), func(r rune) bool { return r < '0' || r > '9' })
	if len(fields) == 0 {
		return 0
	}
	n, _ := strconv.Atoi(fields[len(fields)-1])
	return n
}
