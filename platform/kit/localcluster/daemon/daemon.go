package daemon

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/slipway-dev/slipway/platform/kit/localcluster/procs"
)

var errEnded = errors.New("the cluster's process ended before it was ready")

// LogFile is where a cluster in the background writes what it does.
const LogFile = "cluster.log"

// PipeFD is the file descriptor on which a started cluster finds the pipe to
// its starter: the first one that os/exec passes on.
const PipeFD = 3

// PipeVariable is set in the environment of a cluster that has such a pipe.
const PipeVariable = "SLIPWAY_READY_FD"

// StartConfig says which program to start and for which state.
type StartConfig struct {
	// Program is the path of the cluster's executable, Args its arguments.
	Program string
	Args    []string
	// StateDir is the state folder; it exists.
	StateDir string
	// OnStep is told of progress; it may be nil.
	OnStep func(Step)
}

// Start runs the cluster in the background, in a session of its own so that
// neither Ctrl-C nor a closed terminal ends it, and waits until it is ready. A
// cluster that cannot start answers with a *Fault. When ctx ends first the new
// process is told to stop and waited for.
func Start(ctx context.Context, cfg StartConfig) (Info, error) {
	logPath := filepath.Join(cfg.StateDir, LogFile)
	log, err := os.OpenFile(logPath, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return Info{}, fmt.Errorf("open cluster log: %w", err)
	}
	defer log.Close()
	from, _ := log.Seek(0, io.SeekEnd)
	r, w, err := os.Pipe()
	if err != nil {
		return Info{}, fmt.Errorf("open pipe: %w", err)
	}
	defer r.Close()
	// Not CommandContext: the cluster must outlive this process.
	cmd := exec.Command(cfg.Program, cfg.Args...) //nolint:noctx // see above
	cmd.Dir = cfg.StateDir
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%d", PipeVariable, PipeFD))
	cmd.Stdout, cmd.Stderr = log, log
	cmd.ExtraFiles = []*os.File{w}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		_ = w.Close()
		return Info{}, fmt.Errorf("start cluster: %w", err)
	}
	_ = w.Close()
	exited := make(chan struct{})
	go func() { defer close(exited); _ = cmd.Wait() }()
	stop := context.AfterFunc(ctx, func() { _ = cmd.Process.Signal(syscall.SIGTERM) })
	defer stop()
	info, err := listen(r, cfg.OnStep)
	if err == nil {
		return info, nil
	}
	<-exited
	if ctx.Err() != nil {
		return Info{}, ctx.Err()
	}
	if errors.Is(err, errEnded) {
		return Info{}, &Fault{
			What: "start the cluster",
			Why:  "its process ended early" + tail(logPath, from),
			Hint: "less " + logPath,
		}
	}
	return Info{}, err
}

// tail returns the first and last lines that were written to the log since
// offset from.
func tail(path string, from int64) string {
	raw, err := os.ReadFile(path)
	if err != nil || from > int64(len(raw)) {
		return ""
	}
	lines := strings.Split(strings.TrimSpace(string(raw[from:])), "\n")
	if len(lines) > 8 { // a panic says why in its first line, a log in its last
		lines = slices.Concat(lines[:2], []string{"..."}, lines[len(lines)-5:])
	}
	if text := strings.Join(lines, "\n  "); text != "" {
		return ":\n  " + text
	}
	return ""
}

// Find returns the cluster that runs on a state folder. A record whose cluster
// is gone, or whose address now belongs to somebody else, finds nothing.
func Find(ctx context.Context, stateDir string) (Info, bool, error) {
	info, ok, err := ReadInfo(stateDir)
	if err != nil || !ok {
		return Info{}, false, err
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, info.Endpoint+StatusPath, nil)
	if err != nil {
		return Info{}, false, fmt.Errorf("ask cluster: %w", err)
	}
	req.Header.Set("Authorization", "Bearer "+info.Token)
	resp, err := loopback.Do(req)
	if err != nil {
		return Info{}, false, nil
	}
	defer resp.Body.Close()
	return info, resp.StatusCode == http.StatusOK, nil
}

// loopback asks the cluster itself, never a proxy.
var loopback = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}

// StatusPath answers 200 to whoever has the token of a running cluster.
const StatusPath = "/_slipway/status"

// Stop asks the cluster to end in good order and waits until its process is
// gone, or until ctx ends.
func Stop(ctx context.Context, info Info) error {
	proc, err := os.FindProcess(info.PID)
	if err != nil {
		return fmt.Errorf("find cluster process %d: %w", info.PID, err)
	}
	if err := proc.Signal(syscall.SIGTERM); err != nil {
		if errors.Is(err, os.ErrProcessDone) {
			return nil
		}
		return fmt.Errorf("stop cluster process %d: %w", info.PID, err)
	}
	if err := procs.Gone(ctx, info.PID, 20*time.Millisecond); err != nil {
		return fmt.Errorf("wait for cluster process %d: %w", info.PID, err)
	}
	return nil
}

// BuildID returns a short hash of an executable, by which a running cluster
// can be told from a newer build.
func BuildID(program string) (string, error) {
	f, err := os.Open(program)
	if err != nil {
		return "", fmt.Errorf("read program: %w", err)
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", fmt.Errorf("read program: %w", err)
	}
	return hex.EncodeToString(h.Sum(nil)[:8]), nil
}
