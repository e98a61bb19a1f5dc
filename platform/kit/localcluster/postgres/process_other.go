//go:build !linux

package postgres

import (
	"os/exec"
	"strconv"
	"strings"
)

// isServer reports whether the process is a server on that data: its command
// line names the folder.
func isServer(pid int, data string) bool {
	out, err := exec.Command("ps", "-ww", "-o", "args=", "-p", strconv.Itoa(pid)).Output() //nolint:noctx // at once
	return err == nil && strings.Contains(string(out), data)
}
