// Package toolchain runs the Go toolchain and the pinned tools over the
// modules of the workspace: tests, linters, generators, cross builds.
package toolchain

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// killDelay is how long a child may take to end after ctx is done.
const killDelay = 5 * time.Second

// Command is one program run in one folder.
type Command struct {
	// Dir is the working directory.
	Dir string
	// Args are the program and its arguments.
	Args []string
	// Env is added to the process's environment.
	Env []string
	// Stdout and Stderr take the output; nil drops it.
	Stdout, Stderr io.Writer
}

// Run runs the command and waits for it. When ctx ends, the child is told to
// stop and gets five seconds for it. A child that fails is an *ExitError.
func (c Command) Run(ctx context.Context) error {
	cmd := exec.CommandContext(ctx, c.Args[0], c.Args[1:]...)
	cmd.Dir = c.Dir
	cmd.Env = append(os.Environ(), c.Env...)
	cmd.Stdout, cmd.Stderr = c.Stdout, c.Stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = killDelay
	err := cmd.Run()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		return &ExitError{Command: strings.Join(c.Args, " "), Dir: c.Dir, Code: exit.ExitCode()}
	case err != nil:
		return fmt.Errorf("run %s: %w", c.Args[0], err)
	}
	return nil
}

// Output runs the command and returns what it wrote to standard output.
func (c Command) Output(ctx context.Context) (string, error) {
	var out strings.Builder
	c.Stdout = &out
	err := c.Run(ctx)
	return out.String(), err
}

// ExitError says that a child ended with another code than 0. Its own output
// has told why.
type ExitError struct {
	Command, Dir string
	Code         int
}

// Error names the command.
func (e *ExitError) Error() string {
	return fmt.Sprintf("%s: exit status %d (in %s)", e.Command, e.Code, e.Dir)
}
