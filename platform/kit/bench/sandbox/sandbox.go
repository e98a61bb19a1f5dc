// Package sandbox is a place of their own for measurements that need a running
// cluster: a copy of the checkout with its own state folder and free ports, as a
// second person on the same machine would have. The cluster of the checkout and
// its data stay as they are. Go's build cache and the cache folder that all
// checkouts share are used as always.
package sandbox

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/slipway-dev/slipway/platform/kit/localcluster/daemon"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/place"
	"github.com/slipway-dev/slipway/platform/kit/manifest"
)

// Config says what to copy.
type Config struct {
	// Root is the checkout; what git tracks or would track in it is copied.
	Root string
	// Progress hears what happens; nil discards.
	Progress io.Writer
}

// Sandbox is a copy of a checkout and its cluster.
type Sandbox struct {
	// Dir is the copy, State its cluster's state folder.
	Dir, State string

	base     string
	env      []string
	progress io.Writer
}

// New makes the copy; nothing runs yet. Call Close when done.
func New(ctx context.Context, cfg Config) (*Sandbox, error) {
	if cfg.Progress == nil {
		cfg.Progress = io.Discard
	}
	base, err := os.MkdirTemp("", "slipway-bench-")
	if err != nil {
		return nil, fmt.Errorf("make folder: %w", err)
	}
	// The users that tasks and PostgreSQL run as when started by root walk through.
	if err := os.Chmod(base, 0o755); err != nil { //nolint:gosec // see above
		return nil, fmt.Errorf("open folder: %w", err)
	}
	s := &Sandbox{Dir: filepath.Join(base, "slipway"), State: filepath.Join(base, "bench-state"), base: base, progress: cfg.Progress}
	s.env = append(os.Environ(), place.StateVariable+"="+s.State, "GOWORK=")
	fmt.Fprintf(s.progress, "copy the checkout to %s\n", s.Dir)
	if err := s.prepare(ctx, cfg.Root); err != nil {
		_ = os.RemoveAll(base)
		return nil, err
	}
	return s, nil
}

func (s *Sandbox) prepare(ctx context.Context, root string) error {
	if err := s.copy(ctx, root); err != nil {
		return err
	}
	if err := s.choosePorts(ctx); err != nil {
		return err
	}
	// A commit of its own, so that asking git costs what it costs in a checkout.
	for _, args := range [][]string{{"init", "-q"}, {"add", "-A"}, {
		"-c", "user.name=bench", "-c", "user.email=bench@localhost", "commit", "-q", "-m", "copy",
	}} {
		if err := s.Git(ctx, args...); err != nil {
			return err
		}
	}
	return nil
}

// Git runs git in the copy.
func (s *Sandbox) Git(ctx context.Context, args ...string) error {
	cmd := exec.CommandContext(ctx, "git", args...)
	cmd.Dir = s.Dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("git %s: %w\n%s", args[0], err, out)
	}
	return nil
}

func (s *Sandbox) copy(ctx context.Context, root string) error {
	list := exec.CommandContext(ctx, "git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	list.Dir = root
	out, err := list.Output()
	if err != nil {
		return fmt.Errorf("list files of %s: %w\nnext: git -C %s status", root, err, root)
	}
	for name := range strings.SplitSeq(strings.TrimRight(string(out), "\x00"), "\x00") {
		from := filepath.Join(root, name)
		info, err := os.Stat(from)
		if errors.Is(err, os.ErrNotExist) || err == nil && !info.Mode().IsRegular() {
			continue // deleted, but not yet committed so
		}
		if err != nil {
			return fmt.Errorf("copy %s: %w", name, err)
		}
		content, err := os.ReadFile(from)
		if err != nil {
			return fmt.Errorf("copy %s: %w", name, err)
		}
		if err := s.write(name, content, info.Mode().Perm()|0o644); err != nil {
			return err
		}
	}
	return nil
}

func (s *Sandbox) path(name string) string { return filepath.Join(s.Dir, filepath.FromSlash(name)) }

func (s *Sandbox) write(name string, content []byte, mode os.FileMode) error {
	path := s.path(name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil { //nolint:gosec // source
		return fmt.Errorf("make folder of %s: %w", name, err)
	}
	if err := os.WriteFile(path, content, mode); err != nil { //nolint:gosec // below a folder of our own
		return fmt.Errorf("write %s: %w", name, err)
	}
	return nil
}

// Write writes a file of the copy; name is relative to it, with slashes.
func (s *Sandbox) Write(name, content string) error { return s.write(name, []byte(content), 0o644) }

// Replace replaces what matches in a file of the copy. Nothing that matches is
// an error: the file is not what the measurement was written for.
func (s *Sandbox) Replace(name, pattern, with string) error {
	content, err := os.ReadFile(s.path(name))
	if err != nil {
		return fmt.Errorf("change %s: %w", name, err)
	}
	re := regexp.MustCompile(pattern)
	if !re.Match(content) {
		return fmt.Errorf("change %s: it does not have %q", name, pattern)
	}
	return s.write(name, re.ReplaceAll(content, []byte(with)), 0o644)
}

// local is the environment file with the cluster's ports.
const local = "platform/environments/local.yaml"

// choosePorts writes free ports into the copy's environment file.
func (s *Sandbox) choosePorts(ctx context.Context) error {
	for _, name := range []string{"gateway", "aws", "postgres"} {
		port, err := freePort(ctx)
		if err != nil {
			return err
		}
		if err := s.Replace(local, `\b`+name+`: [0-9]+`, fmt.Sprintf("%s: %d", name, port)); err != nil {
			return err
		}
	}
	return nil
}

// freePort finds a port that nobody listens on, below the ranges from which the
// system and the task runtime take theirs: it stays free until the cluster is up.
func freePort(ctx context.Context) (int, error) {
	for range 1000 {
		port := 20000 + rand.IntN(8000) //nolint:gosec // no secret
		l, err := new(net.ListenConfig).Listen(ctx, "tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			return port, l.Close()
		}
	}
	return 0, errors.New("find a free port between 20000 and 28000: there is none")
}

// Up builds and starts everything in the copy.
func (s *Sandbox) Up(ctx context.Context) error {
	fmt.Fprintln(s.progress, "start the cluster of the copy, every service with it; the kit is compiled first")
	r, err := s.Mage(ctx, nil, "up")
	if err == nil && r.Code != 0 {
		err = r.failure("up")
	}
	return err
}

// Info tells of the running cluster.
func (s *Sandbox) Info(ctx context.Context) (daemon.Info, error) {
	info, ok, err := daemon.Find(ctx, s.State)
	if err == nil && !ok {
		err = errors.New("the cluster of the copy does not run")
	}
	return info, err
}

// Workspace reads the manifests of the copy as they are now, and the environment
// of its running cluster.
func (s *Sandbox) Workspace(ctx context.Context) (*manifest.Workspace, manifest.Environment, error) {
	work, err := manifest.Load(s.Dir)
	if err != nil {
		return nil, manifest.Environment{}, err
	}
	env, err := work.Environment(manifest.Local)
	if err != nil {
		return nil, env, err
	}
	info, err := s.Info(ctx)
	env.Endpoint = info.Endpoint
	return work, env, err
}

// Close ends the cluster and removes the copy with all that it kept. It does so
// even when ctx is done.
func (s *Sandbox) Close(ctx context.Context) error {
	fmt.Fprintln(s.progress, "stop the cluster of the copy and remove it")
	ctx = context.WithoutCancel(ctx)
	r, err := s.Mage(ctx, nil, "down", "--purge")
	if err == nil && r.Code != 0 {
		err = r.failure("down")
	}
	return errors.Join(err, os.RemoveAll(s.base))
}
