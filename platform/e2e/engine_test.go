//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// engine is a Docker engine of the test's own: it has no bridge and touches no
// packet filter, which tasks do not need.
type engine struct {
	dir    string
	daemon *exec.Cmd
	ended  chan struct{}
	client *http.Client
}

// newEngine starts an engine in a folder of its own.
func newEngine(t *testing.T) *engine {
	t.Helper()
	if _, err := exec.LookPath("dockerd"); err != nil || os.Geteuid() != 0 {
		t.Fatalf("this test starts a Docker engine, which needs root and dockerd (on Debian: apt-get install docker.io): user %d, %v", os.Geteuid(), err)
	}
	dir, err := os.MkdirTemp("", "slipway-docker-*") //nolint:usetesting // a socket's address has to be short
	if err != nil {
		t.Fatal(err)
	}
	e := &engine{dir: dir, client: &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", filepath.Join(dir, "sock"))
		},
	}}}
	e.start(t)
	t.Cleanup(func() {
		e.end(syscall.SIGTERM)
		_ = os.RemoveAll(dir)
	})
	return e
}

func (e *engine) host() string { return "unix://" + filepath.Join(e.dir, "sock") }

// start starts the engine and waits until it answers.
func (e *engine) start(t *testing.T) {
	t.Helper()
	log, err := os.OpenFile(filepath.Join(e.dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	in := func(name string) string { return filepath.Join(e.dir, name) }
	e.daemon = exec.Command("dockerd", "--data-root", in("data"), "--exec-root", in("exec"), "--pidfile", in("pid"), "-H", e.host(),
		"--bridge=none", "--iptables=false", "--ip-forward=false", "--ip-masq=false")
	e.daemon.Stdout, e.daemon.Stderr = log, log
	e.daemon.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := e.daemon.Start(); err != nil {
		t.Fatal(err)
	}
	ended, daemon := make(chan struct{}), e.daemon
	e.ended = ended
	go func() { defer close(ended); _ = daemon.Wait() }()
	eventually(t, time.Minute, "the Docker engine answers", func() error {
		res, err := e.client.Get("http://engine/_ping")
		if err != nil {
			return err
		}
		return res.Body.Close()
	})
}

// end ends the engine and what it started.
func (e *engine) end(signal syscall.Signal) {
	_ = e.daemon.Process.Signal(signal)
	select {
	case <-e.ended:
	case <-time.After(30 * time.Second):
	}
	_ = syscall.Kill(-e.daemon.Process.Pid, syscall.SIGKILL) // its containerd
	<-e.ended
	_ = os.Remove(filepath.Join(e.dir, "pid"))
}

// get asks the engine.
func (e *engine) get(t *testing.T, path string, into any) {
	t.Helper()
	res, err := e.client.Get("http://engine" + path)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if err := json.NewDecoder(res.Body).Decode(into); err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("ask the engine for %s: %s, %v", path, res.Status, err)
	}
}

// inspected is what the tests look at in a container.
type inspected struct {
	Name   string
	State  struct{ Running bool }
	Config struct {
		User string
		Env  []string
	}
	HostConfig struct {
		NetworkMode         string
		ReadonlyRootfs      bool
		Privileged          bool
		CapAdd, CapDrop     []string
		SecurityOpt         []string
		NanoCpus, PidsLimit int64
		Memory, MemorySwap  int64
		PortBindings        map[string]any
	}
}

// containers are all that the engine has whose name contains a text.
func (e *engine) containers(t *testing.T, name string) []inspected {
	t.Helper()
	var list []struct{ Id string }
	e.get(t, "/containers/json?all=1&filters="+url.QueryEscape(fmt.Sprintf(`{"name":[%q]}`, name)), &list)
	out := make([]inspected, len(list))
	for i, c := range list {
		e.get(t, "/containers/"+c.Id+"/json", &out[i])
	}
	return out
}

// wantEmpty wants nothing of anybody in the engine, but for the networks that
// every engine has.
func (e *engine) wantEmpty(t *testing.T) {
	t.Helper()
	for _, c := range e.containers(t, "") {
		t.Errorf("container %s is still there", c.Name)
	}
	var images []struct{ RepoTags []string }
	e.get(t, "/images/json?all=1", &images)
	for _, i := range images {
		t.Errorf("image %s is still there", strings.Join(i.RepoTags, " "))
	}
	var networks []struct{ Name string }
	e.get(t, "/networks", &networks)
	for _, n := range networks {
		if n.Name != "none" && n.Name != "host" {
			t.Errorf("network %s is still there", n.Name)
		}
	}
}
