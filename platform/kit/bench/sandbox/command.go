package sandbox

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"github.com/slipway-dev/slipway/platform/kit/event"
)

// stopLimit is how long an interrupted command may take to end.
const stopLimit = 30 * time.Second

// Result is what a command left.
type Result struct {
	Began, Ended time.Time
	Code         int
	Events       []event.Event
	// CPU is the processor time of the command and of all that it waited for.
	CPU time.Duration
	// Memory is how large its processes got.
	Memory Memory

	stderr string
}

// Took is how long the command ran.
func (r Result) Took() time.Duration { return r.Ended.Sub(r.Began) }

// failure says how the command failed.
func (r Result) failure(command string) error {
	lines := []string{strings.TrimSpace(r.stderr)}
	for _, e := range r.Events {
		switch d := e.Data.(type) {
		case event.StepFailed:
			lines = append(lines, d.Error)
		case event.Verdict:
			lines = append(append(lines, d.Summary), d.Causes...)
		}
	}
	return fmt.Errorf("mage %s: exit code %d\n%s", command, r.Code, strings.Join(lines, "\n"))
}

// Want returns an error unless the command ended with that exit code.
func (r Result) Want(command string, code int) error {
	if r.Code == code {
		return nil
	}
	return r.failure(command)
}

// Mage runs `go tool mage ARGS --json` in the copy, as a user would. hear is
// called with each event as it comes; nil does without. An exit code other than
// 0 is no error of Mage.
func (s *Sandbox) Mage(ctx context.Context, hear func(event.Event), args ...string) (Result, error) {
	args = append([]string{"tool", "mage"}, append(args, "--json")...)
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir, cmd.Env = s.Dir, s.env
	// A group of its own: a Ctrl-C reaches it, and all that it started, once: through Cancel.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	cmd.WaitDelay = stopLimit
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, in := io.Pipe()
	cmd.Stdout = in
	r := Result{Began: time.Now()}
	if err := cmd.Start(); err != nil {
		return r, fmt.Errorf("run mage: %w", err)
	}
	watched := watch(cmd.Process.Pid)
	heard := make(chan error, 1)
	go func() {
		err := event.Read(out, func(e event.Event) error {
			r.Events = append(r.Events, e)
			if hear != nil {
				hear(e)
			}
			return nil
		})
		_, _ = io.Copy(io.Discard, out) // lest the command waits for us
		heard <- err
	}()
	err := cmd.Wait()
	r.Ended = time.Now()
	_ = in.Close()
	readErr := <-heard
	r.Memory = watched()
	r.stderr = stderr.String()
	if ctx.Err() != nil {
		return r, ctx.Err()
	}
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		r.Code = exit.ExitCode()
	case err != nil:
		return r, fmt.Errorf("run mage: %w", err)
	}
	r.CPU = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	return r, readErr
}
