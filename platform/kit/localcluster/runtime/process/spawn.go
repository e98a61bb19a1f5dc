package process

import (
	"context"
	"errors"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
	"time"

	"github.com/jonboulle/clockwork"
)

// spawner starts processes from one thread that lives as long as the runtime.
// On Linux the kernel ends a process that asked for a parent death signal when
// the thread that made it ends, not the program; Go ends idle threads at will.
type spawner struct {
	work chan func()
	once sync.Once
}

func newSpawner() *spawner {
	s := &spawner{work: make(chan func())}
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with this goroutine
		for f := range s.work {
			f()
		}
	}()
	return s
}

func (s *spawner) close() { s.once.Do(func() { close(s.work) }) }

// start starts the command. A file that was just written may be held open for
// an instant by a process that is being forked ("text file busy"); then it
// tries again.
func (s *spawner) start(ctx context.Context, cmd *exec.Cmd, clock clockwork.Clock) error {
	for wait := time.Millisecond; ; wait *= 2 {
		err := s.attempt(cmd)
		if !errors.Is(err, syscall.ETXTBSY) || wait > 100*time.Millisecond || ctx.Err() != nil {
			return err
		}
		fresh := &exec.Cmd{
			Path: cmd.Path, Args: cmd.Args, Env: cmd.Env, Dir: cmd.Dir, SysProcAttr: cmd.SysProcAttr,
			Stdout: cmd.Stdout, Stderr: cmd.Stderr, WaitDelay: cmd.WaitDelay,
		}
		*cmd = *fresh
		<-clock.After(wait)
	}
}

func (s *spawner) attempt(cmd *exec.Cmd) error {
	started := make(chan error, 1)
	s.work <- func() { started <- cmd.Start() }
	return <-started
}

// killGroup ends a process group. One that has ended is no error.
func killGroup(pid int) { _ = syscall.Kill(-pid, syscall.SIGKILL) }
