package procs_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/slipway-dev/slipway/platform/kit/localcluster/procs"
)

// TestGoneSeesAZombie has a child that nobody collects until the test ends.
func TestGoneSeesAZombie(t *testing.T) {
	t.Parallel()
	cmd := exec.CommandContext(t.Context(), "cat")
	life, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Wait() }()
	if !procs.Alive(cmd.Process.Pid) {
		t.Error("a running process is not alive")
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if err := procs.Gone(gone, cmd.Process.Pid, time.Millisecond); !errors.Is(err, context.Canceled) {
		t.Errorf("waiting for a running process: %v", err)
	}
	if err := life.Close(); err != nil { // ends it
		t.Fatal(err)
	}
	limit, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := procs.Gone(limit, cmd.Process.Pid, time.Millisecond); err != nil {
		t.Errorf("a process that ended is waited for: %v", err)
	}
}

func TestAlive(t *testing.T) {
	t.Parallel()
	if !procs.Alive(os.Getpid()) {
		t.Error("this process is not alive")
	}
	if procs.Alive(1 << 30) { // no system counts that far
		t.Error("a process that never was is alive")
	}
}
