package postgres

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/slipway-dev/slipway/platform/kit/localcluster/procs"
)

// lockFile is what a server keeps in its data while it runs.
type lockFile struct{ pid, port int }

// readLock reads postmaster.pid: process id, data folder, start time and port,
// a line each (PostgreSQL, "Shutting Down the Server").
func readLock(data string) (lockFile, bool) {
	raw, err := os.ReadFile(filepath.Join(data, "postmaster.pid"))
	if err != nil {
		return lockFile{}, false
	}
	lines := strings.Split(string(raw), "\n")
	if len(lines) < 4 {
		return lockFile{}, false
	}
	pid, err1 := strconv.Atoi(strings.TrimSpace(lines[0]))
	port, err2 := strconv.Atoi(strings.TrimSpace(lines[3]))
	return lockFile{pid: pid, port: port}, err1 == nil && err2 == nil && pid > 0
}

// adopt takes over a server that runs on our data, on the port we want. That
// it is ours is proved by its password and by the data folder it names.
func (s *Server) adopt(ctx context.Context) bool {
	lock, ok := readLock(s.data())
	if !ok || !procs.Alive(lock.pid) || (s.cfg.Port != 0 && s.cfg.Port != lock.port) {
		return false
	}
	s.port = lock.port
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	if err := s.await(ctx, nil); err != nil {
		return false
	}
	conn, err := s.connect(ctx)
	if err != nil {
		return false
	}
	defer conn.Close(ctx)
	var data string
	if err := conn.QueryRow(ctx, "show data_directory").Scan(&data); err != nil || data != s.data() {
		return false
	}
	s.pid, s.exit = lock.pid, nil
	return true
}

// retryDelay is the pause after a server that did not start.
const retryDelay = time.Second

// Supervise starts the server again whenever it ends by itself, until ctx ends.
func (s *Server) Supervise(ctx context.Context) {
	for ctx.Err() == nil {
		if !s.ended(ctx) {
			return
		}
		s.log.WarnContext(ctx, "PostgreSQL ended; starting it again", "log", s.LogFile())
		if err := s.start(ctx); err != nil && ctx.Err() == nil {
			s.log.ErrorContext(ctx, "PostgreSQL did not start", "error", err)
			pause, cancel := context.WithTimeout(ctx, retryDelay)
			<-pause.Done()
			cancel()
		}
	}
}

// ended waits for the end of the server's process; false says that ctx ended.
func (s *Server) ended(ctx context.Context) bool {
	s.mu.Lock()
	pid, exit := s.pid, s.exit
	s.mu.Unlock()
	if exit != nil {
		select {
		case <-exit:
			return ctx.Err() == nil
		case <-ctx.Done():
			return false
		}
	}
	return procs.Gone(ctx, pid, watchPeriod) == nil
}

// Stop ends the server: sessions are ended, what is committed is safe. End
// Supervise first.
func (s *Server) Stop(ctx context.Context) error {
	s.mu.Lock()
	pid, exit := s.pid, s.exit
	s.mu.Unlock()
	return stop(ctx, pid, exit)
}

// Sweep ends a server that runs on the data in dir, whoever started it. It is
// for a cluster that is gone; no server is no error.
func Sweep(ctx context.Context, dir string) error {
	data := filepath.Join(dir, "data")
	lock, ok := readLock(data)
	if !ok || !procs.Alive(lock.pid) {
		return nil
	}
	if !isServer(lock.pid, data) {
		return nil // the process id belongs to somebody else by now
	}
	return stop(ctx, lock.pid, nil)
}

// stop asks for a fast shutdown (SIGINT), and after stopLimit for an immediate
// one (SIGQUIT), from which the server recovers at its next start.
func stop(ctx context.Context, pid int, exit <-chan struct{}) error {
	for _, signal := range []syscall.Signal{syscall.SIGINT, syscall.SIGQUIT} {
		err := syscall.Kill(pid, signal)
		if errors.Is(err, syscall.ESRCH) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("stop PostgreSQL (process %d): %w", pid, err)
		}
		limit, cancel := context.WithTimeout(ctx, stopLimit)
		gone := await(limit, pid, exit)
		cancel()
		if gone {
			return nil
		}
	}
	return fmt.Errorf("stop PostgreSQL (process %d): it does not end", pid)
}

func await(ctx context.Context, pid int, exit <-chan struct{}) bool {
	if exit != nil {
		select {
		case <-exit:
			return true
		case <-ctx.Done():
			return false
		}
	}
	return procs.Gone(ctx, pid, pollInterval) == nil
}
