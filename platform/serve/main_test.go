package serve_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/slipway-dev/slipway/platform/serve"
	"github.com/slipway-dev/slipway/platform/serve/servetest"
)

// child is the echo service as a process of its own.
type child struct {
	cmd    *exec.Cmd
	stderr *bytes.Buffer
	lines  chan map[string]any
	http   string
}

// spawn starts this test binary as the echo service and waits until it serves.
func spawn(t *testing.T, env ...string) *child {
	t.Helper()
	c := &child{cmd: exec.CommandContext(t.Context(), os.Args[0]), stderr: &bytes.Buffer{}, lines: make(chan map[string]any, 1000)}
	c.cmd.Env = append([]string{childVariable + "=echo", "HTTP_PORT=0", "GRPC_PORT=0", "INTERNAL_PORT=0"}, env...)
	c.cmd.Stderr = c.stderr
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(c.lines)
		for scan := bufio.NewScanner(out); scan.Scan(); {
			var line map[string]any
			if json.Unmarshal(scan.Bytes(), &line) == nil {
				c.lines <- line
			}
		}
	}()
	c.http = c.await(t, "serving")["http"].(string)
	return c
}

// await reads the log up to the message.
func (c *child) await(t *testing.T, message string) map[string]any {
	t.Helper()
	for line := range c.lines {
		if line["msg"] == message {
			return line
		}
	}
	t.Fatalf("the process ended without logging %q: %s", message, c.stderr)
	return nil
}

// wait gives the exit code.
func (c *child) wait(t *testing.T) int {
	t.Helper()
	for range c.lines { // until the process closes its output
	}
	_ = c.cmd.Wait()
	return c.cmd.ProcessState.ExitCode()
}

func TestSignalsDrainTheProcess(t *testing.T) {
	t.Parallel()
	for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		t.Run(signal.String(), func(t *testing.T) {
			t.Parallel()
			c := spawn(t, "DRAIN_DELAY=0s")
			if code := probe(&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}, "http://"+c.http); code != http.StatusOK {
				t.Errorf("not ready: %d", code)
			}
			if err := c.cmd.Process.Signal(signal); err != nil {
				t.Fatal(err)
			}
			if code := c.wait(t); code != 0 {
				t.Errorf("exit code %d: %s", code, c.stderr)
			}
		})
	}
}

func TestSecondSignalKills(t *testing.T) {
	t.Parallel()
	c := spawn(t, "DRAIN_DELAY=1h", "SHUTDOWN_TIMEOUT=2h")
	if err := c.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	c.await(t, "draining")
	if err := c.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if code := c.wait(t); code != -1 {
		t.Errorf("exit code %d, want death by signal", code)
	}
}

func TestHealthcheckCommand(t *testing.T) {
	t.Parallel()
	r := start(t, newEcho().service(), map[string]string{"DRAIN_DELAY": "0s"})
	port := "HTTP_PORT=" + r.web[strings.LastIndex(r.web, ":")+1:]
	until(t, "ready", func() bool {
		code, _, _ := command(t, newEcho().service(), []string{"healthcheck"}, port, "BIND_ADDRESS=0.0.0.0")
		return code == 0
	})
	r.cancel()
	if err := <-r.done; err != nil {
		t.Fatal(err)
	}
	if code, _, stderr := command(t, newEcho().service(), []string{"healthcheck"}, port); code != 1 || !strings.Contains(stderr, "check health") {
		t.Errorf("exit code %d: %s", code, stderr)
	}
}

func TestCommands(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		args []string
		env  string
		code int
		want string // in stdout or stderr
	}{
		"version":          {[]string{"version"}, "SERVICE_VERSION=r7", 0, `"version":"r7"`},
		"help":             {[]string{"help"}, "", 0, "usage: echo"},
		"unknown":          {[]string{"fly"}, "", 2, `there is no command "fly"`},
		"too many words":   {[]string{"migrate", "now"}, "", 2, `takes no argument "now"`},
		"nothing to do":    {[]string{"migrate"}, "", 0, "echo has no migrations"},
		"bad config":       {[]string{"serve"}, "HTTP_PORT=x", 2, "HTTP_PORT: must be a whole number"},
		"bad config check": {[]string{"healthcheck"}, "HTTP_PORT=x", 2, "HTTP_PORT: must be a whole number"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			code, stdout, stderr := command(t, newEcho().service(), tc.args, tc.env)
			if code != tc.code || !strings.Contains(stdout+stderr, tc.want) {
				t.Errorf("exit code %d, stdout %q, stderr %q", code, stdout, stderr)
			}
		})
	}
}

func TestMigrateCommand(t *testing.T) {
	t.Parallel()
	env := "DATABASE_URL=" + servetest.Postgres(t)
	svc := newEcho().withDatabase()
	code, stdout, stderr := command(t, svc, []string{"migrate"}, env)
	if code != 0 || !strings.Contains(stdout, "applied 00001_init.sql") || !strings.Contains(stdout, "version 1") {
		t.Errorf("first: %d %q %q", code, stdout, stderr)
	}
	code, stdout, stderr = command(t, svc, []string{"migrate"}, env)
	if code != 0 || stdout != "the database is at version 1; nothing to apply\n" {
		t.Errorf("second: %d %q %q", code, stdout, stderr)
	}
	code, _, stderr = command(t, svc, []string{"migrate"}, "DATABASE_URL=postgres://u:hunter2@127.0.0.1:1/x")
	if code != 1 || strings.Contains(stderr, "hunter2") {
		t.Errorf("no database: %d %q", code, stderr)
	}
	code, _, stderr = command(t, svc, []string{"migrate"})
	if code != 2 || !strings.Contains(stderr, "DATABASE_SECRET: is required") {
		t.Errorf("no configuration: %d %q", code, stderr)
	}
}

// TestReadyOnlyWhenTheDatabaseAnswers starts without a database.
func TestReadyOnlyWhenTheDatabaseAnswers(t *testing.T) {
	t.Parallel()
	up := servetest.Start(t, newEcho().withDatabase())
	if web, body := up.Do(t, http.MethodGet, "/healthz", ""); web.StatusCode != http.StatusOK {
		t.Errorf("with a database: %s %s", web.Status, body)
	}
	down := servetest.Start(t, newEcho().withDatabase(), servetest.Options{Database: "postgres://user:hunter2@127.0.0.1:1/x"})
	web, body := down.Do(t, http.MethodGet, "/healthz", "")
	if web.StatusCode != http.StatusServiceUnavailable || strings.TrimSpace(body) != `{"status":"unready","checks":{"database":"does not answer"}}` {
		t.Errorf("without a database: %s %s", web.Status, body)
	}
	if web, body := down.Do(t, http.MethodGet, "/livez", ""); web.StatusCode != http.StatusOK {
		t.Errorf("without a database it is still alive: %s %s", web.Status, body)
	}
	if strings.Contains(down.Logs(), "hunter2") {
		t.Error("the password is logged")
	}
}

// command runs a subcommand in this process.
func command(t *testing.T, svc serve.Service, args []string, env ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errOut bytes.Buffer
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	code = serve.Command{Args: args, Environ: env, Stdout: io.Writer(&out), Stderr: &errOut}.Run(ctx, svc)
	return code, out.String(), errOut.String()
}
