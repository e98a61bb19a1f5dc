// Package procs tells whether another process is still there, and waits for its
// end. It is for processes that are not our children, or not for certain.
package procs

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
	"time"
)

// Alive reports whether a process exists and is not a zombie, which has ended
// and only waits for its parent to collect it.
func Alive(pid int) bool {
	if err := syscall.Kill(pid, 0); errors.Is(err, syscall.ESRCH) {
		return false
	}
	if runtime.GOOS != "linux" {
		return true // there is no /proc elsewhere
	}
	stat, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return false
	}
	// The program's name stands in parentheses and may hold some itself (proc(5)).
	state := bytes.TrimSpace(stat[bytes.LastIndexByte(stat, ')')+1:])
	return !bytes.HasPrefix(state, []byte("Z"))
}

// Gone waits until the process has ended, looking every so often. It returns ctx's error if ctx ends
// first.
func Gone(ctx context.Context, pid int, every time.Duration) error {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for Alive(pid) {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}
