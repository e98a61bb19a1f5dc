//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// commandTimeout bounds one command; the first one compiles the whole kit.
const commandTimeout = 10 * time.Minute

// checkout is a copy of the repository with a state folder and ports of its
// own, as a second person on the same machine would have.
type checkout struct {
	Dir, State string
	// Gateway, Endpoint and Postgres are the ports in its local.yaml.
	Gateway, Endpoint, Postgres int
	env                         []string
	bearer                      string // the token that requests carry
}

// result is what a command left.
type result struct {
	Code           int
	Stdout, Stderr string
	Took           time.Duration
}

// newCheckout copies what git tracks or would track. The folder is readable
// for the unprivileged users that run tasks and PostgreSQL.
func newCheckout(t *testing.T) *checkout {
	t.Helper()
	base, err := os.MkdirTemp("", "slipway-e2e-*") //nolint:usetesting // t.TempDir is closed to other users
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(base) })
	if err := os.Chmod(base, 0o755); err != nil {
		t.Fatal(err)
	}
	c := &checkout{Dir: filepath.Join(base, "slipway"), State: filepath.Join(base, "state")}
	c.env = append(os.Environ(), "SLIPWAY_STATE_DIR="+c.State)
	c.copyTree(t, repositoryRoot(t))
	c.choosePorts(t)
	for _, args := range [][]string{{"init", "-q", "-b", "main"}, {"add", "-A"}, {
		"-c", "user.name=walker", "-c", "user.email=walker@example.invalid", "commit", "-q", "-m", "all: begin",
	}} {
		c.git(t, args...)
	}
	t.Cleanup(func() { c.mage(t, "down") })
	return c
}

func repositoryRoot(t *testing.T) string {
	t.Helper()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	return root
}

func (c *checkout) copyTree(t *testing.T, from string) {
	t.Helper()
	list := exec.Command("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	list.Dir = from
	out, err := list.Output()
	if err != nil {
		t.Fatalf("list files of %s: %v", from, err)
	}
	for name := range strings.SplitSeq(strings.TrimRight(string(out), "\x00"), "\x00") {
		content, err := os.ReadFile(filepath.Join(from, name))
		if errors.Is(err, os.ErrNotExist) {
			continue // deleted, but not yet committed so
		}
		if err != nil {
			t.Fatal(err)
		}
		c.write(t, name, string(content))
		if st, err := os.Stat(filepath.Join(from, name)); err == nil && st.Mode()&0o100 != 0 {
			if err := os.Chmod(filepath.Join(c.Dir, name), 0o755); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// choosePorts writes free ports into the copy's local.yaml.
func (c *checkout) choosePorts(t *testing.T) {
	t.Helper()
	c.Gateway, c.Endpoint, c.Postgres = freePort(t), freePort(t), freePort(t)
	c.edit(t, "platform/environments/local.yaml",
		"8080", fmt.Sprint(c.Gateway), "4510", fmt.Sprint(c.Endpoint), "54510", fmt.Sprint(c.Postgres))
}

// freePort finds a port that nobody listens on, below the ranges from which
// the system and the task runtime take theirs: it must stay free while a
// cluster is down.
func freePort(t *testing.T) int {
	t.Helper()
	for range 1000 {
		port := 10000 + rand.IntN(10000)
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			_ = l.Close()
			return port
		}
	}
	t.Fatal("no free port between 10000 and 20000")
	return 0
}

func (c *checkout) path(name string) string { return filepath.Join(c.Dir, filepath.FromSlash(name)) }

func (c *checkout) read(t *testing.T, name string) string {
	t.Helper()
	raw, err := os.ReadFile(c.path(name))
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func (c *checkout) write(t *testing.T, name, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(c.path(name)), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(c.path(name), []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

// edit replaces text in a file; what is to be replaced must be there.
func (c *checkout) edit(t *testing.T, name string, oldNew ...string) {
	t.Helper()
	text := c.read(t, name)
	for i := 0; i < len(oldNew); i += 2 {
		if !strings.Contains(text, oldNew[i]) {
			t.Fatalf("%s does not contain %q", name, oldNew[i])
		}
	}
	c.write(t, name, strings.NewReplacer(oldNew...).Replace(text))
}

func (c *checkout) git(t *testing.T, args ...string) {
	t.Helper()
	cmd := exec.Command("git", args...)
	cmd.Dir = c.Dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// mage runs `go tool mage ARGS` and returns how it went.
func (c *checkout) mage(t *testing.T, args ...string) result {
	t.Helper()
	return c.run(t, c.Dir, append([]string{"go", "tool", "mage"}, args...)...)
}

// mustMage is mage for a command that has to work.
func (c *checkout) mustMage(t *testing.T, args ...string) result {
	t.Helper()
	r := c.mage(t, args...)
	if r.Code != 0 {
		t.Fatalf("mage %s: exit %d\n%s%s", strings.Join(args, " "), r.Code, r.Stdout, r.Stderr)
	}
	return r
}

func (c *checkout) run(t *testing.T, dir string, args ...string) result {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), commandTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Dir, cmd.Env = dir, c.env
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	began := time.Now()
	err := cmd.Run()
	r := result{Stdout: stdout.String(), Stderr: stderr.String(), Took: time.Since(began)}
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		r.Code = exit.ExitCode()
	case err != nil:
		t.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, r.Stderr)
	}
	t.Logf("$ %s  -> %d in %.1fs", strings.Join(args, " "), r.Code, r.Took.Seconds())
	return r
}

// wantIn fails unless text contains each of the parts.
func wantIn(t *testing.T, what, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("%s lacks %q:\n%s", what, part, text)
		}
	}
}

// eventually calls check until it returns nil, for at most limit.
func eventually(t *testing.T, limit time.Duration, what string, check func() error) {
	t.Helper()
	deadline := time.Now().Add(limit)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: %v", what, err)
		}
		<-tick.C
	}
}
