package postgres

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// isServer reports whether the process is a server on that data: its working
// directory or its command line names the folder.
func isServer(pid int, data string) bool {
	dir := filepath.Join("/proc", strconv.Itoa(pid))
	if cwd, err := os.Readlink(filepath.Join(dir, "cwd")); err == nil && cwd == data {
		return true
	}
	args, err := os.ReadFile(filepath.Join(dir, "cmdline"))
	return err == nil && strings.Contains(string(args), data)
}
