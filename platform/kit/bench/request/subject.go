package request

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/valyala/fasthttp"
)

// traced is the place of the subject that is profiled in environment.subjects.
const traced = 2

const (
	startLimit = 20 * time.Second
	stopLimit  = 10 * time.Second
	lookEvery  = 5 * time.Millisecond
)

// subject is a program under load.
type subject struct {
	name     string
	address  string // where it serves
	internal string // where it tells of itself; empty for the bare one
	token    string
	logs     bool // it writes a line for each request

	cmd      *exec.Cmd
	log      logReader
	client   *fasthttp.HostClient
	paths    []string // addresses of the products
	answers  [][]byte // and what it says of them
	requests atomic.Int64
}

// start runs the program until stop, and returns once it answers.
func (s *subject) start(ctx context.Context, program string, env map[string]string) error {
	ports := make([]string, 2)
	for i := range ports {
		port, err := freePort(ctx)
		if err != nil {
			return err
		}
		ports[i] = port
	}
	s.address, s.internal = net.JoinHostPort("127.0.0.1", ports[0]), net.JoinHostPort("127.0.0.1", ports[1])
	s.cmd = exec.CommandContext(context.WithoutCancel(ctx), program)
	s.cmd.Env = []string{"HTTP_PORT=" + ports[0], "INTERNAL_PORT=" + ports[1], "GRPC_PORT=0", "DRAIN_DELAY=0s"}
	for k, v := range env {
		s.cmd.Env = append(s.cmd.Env, k+"="+v)
	}
	s.cmd.Stdout, s.cmd.Stderr = &s.log, &s.log // one pipe, read by a goroutine of exec's
	s.cmd.WaitDelay = stopLimit
	if err := s.cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", s.name, err)
	}
	s.client = &fasthttp.HostClient{
		Addr: s.address, MaxConns: connections, MaxIdleConnDuration: time.Hour, MaxIdemponentCallAttempts: 1,
		DisablePathNormalizing: true, NoDefaultUserAgentHeader: true,
	}
	if err := s.await(ctx); err != nil {
		return err
	}
	return s.learn(ctx)
}

// await asks for a product until the program knows it.
func (s *subject) await(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		_, err := s.get(ctx, fmt.Sprintf(productPath, 0), http.StatusOK)
		if err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("start %s: %w\n%s", s.name, err, s.log.tail())
		}
	}
}

// stop ends the program and waits for the last of its log.
func (s *subject) stop() {
	if s.cmd == nil || s.cmd.Process == nil || s.cmd.ProcessState != nil {
		return
	}
	if s.client != nil {
		s.client.CloseIdleConnections()
	}
	_ = s.cmd.Process.Signal(syscall.SIGTERM)
	kill := time.AfterFunc(stopLimit, func() { _ = s.cmd.Process.Kill() })
	defer kill.Stop()
	_ = s.cmd.Wait() // it was told to end
}

// processorTime is what the program has used so far; 0 where it cannot be read.
func (s *subject) processorTime() (time.Duration, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", s.cmd.Process.Pid))
	if errors.Is(err, os.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("read processor time: %w", err)
	}
	return parseStat(string(text))
}

// parseStat adds utime and stime of a line of /proc/PID/stat, which counts in
// hundredths of a second (proc_pid_stat(5)). The name before them is in
// parentheses and may hold anything.
func parseStat(line string) (time.Duration, error) {
	const utime = 11 // fields after the name
	_, rest, ok := cutLast(line, ")")
	fields := strings.Fields(rest)
	if !ok || len(fields) < utime+2 {
		return 0, fmt.Errorf("read processor time: %q is no line of /proc/PID/stat", line)
	}
	var ticks int64
	for _, field := range fields[utime : utime+2] {
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("read processor time: %w", err)
		}
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond, nil
}

func cutLast(s, separator string) (before, after string, ok bool) {
	i := strings.LastIndex(s, separator)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(separator):], true
}

// resident is the program's memory now, in bytes; 0 where it cannot be read.
func (s *subject) resident() int64 {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.cmd.Process.Pid))
	for line := range strings.Lines(string(text)) {
		var kib int64
		if n, _ := fmt.Sscanf(line, "VmRSS: %d kB", &kib); n == 1 {
			return kib << 10
		}
	}
	return 0
}

// ownProcessorTime is what this process has used so far.
func ownProcessorTime() time.Duration {
	var self syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &self); err != nil {
		return 0
	}
	return time.Duration(self.Utime.Nano() + self.Stime.Nano())
}

// freePort finds a port that nobody listens on.
func freePort(ctx context.Context) (string, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("find a port: %w", err)
	}
	_, port, err := net.SplitHostPort(l.Addr().String())
	return port, errors.Join(err, l.Close())
}

// logReader counts a program's lines and keeps the last ones.
type logReader struct {
	mu    sync.Mutex
	count int64
	last  []byte
}

const keepLog = 4 << 10 // bytes

// Write reads what the program wrote.
func (l *logReader) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.count += int64(bytes.Count(p, []byte("\n")))
	l.last = append(l.last[:0], p[max(0, len(p)-keepLog):]...)
	return len(p), nil
}

func (l *logReader) lines() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.count
}

func (l *logReader) tail() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return string(l.last)
}
