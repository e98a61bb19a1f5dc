//go:build e2e

package e2e

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestDocker runs the three services as containers: they work together as they
// do as processes, a hostile one gets nowhere, a deployment fails no request,
// neither the cluster's death nor the engine's restart does harm, and in the end nothing
// is left in the engine.
func TestDocker(t *testing.T) {
	e := newEngine(t)
	c := newCheckout(t)
	c.env = append(c.env, "DOCKER_HOST="+e.host())
	d := &docker{strategies: &strategies{checkout: c}, engine: e}
	d.strategies.edit(t, server, "\treturn toProto(p), nil\n}\n\n// UpdateProduct", "\treturn titled(toProto(p)), nil\n}\n\n// UpdateProduct")
	d.code(t, "one", "")
	for _, part := range []struct {
		name string
		run  func(*testing.T)
	}{
		{"no engine", d.refused},
		{"up", d.up},
		{"an order through three services", d.order},
		{"what containers may do", d.limits},
		{"a change without a failed request", d.change},
		{"a hostile service", d.hostile},
		{"a service that wants too much memory", d.greedy},
		{"the cluster is killed", d.killed},
		{"the engine is restarted", d.engineRestarted},
		{"back to processes", d.back},
		{"down", d.down},
	} {
		if !t.Run(part.name, func(t *testing.T) { part.run(t) }) {
			t.Fatalf("it ends at %q: what follows builds on it", part.name)
		}
	}
}

type docker struct {
	*strategies
	engine *engine
}

// refused wants a plain word where there is no engine, or no such runtime.
func (d *docker) refused(t *testing.T) {
	for name, c := range map[string]struct {
		host, runtime string
		code          int
		shows         []string
	}{
		"no socket":       {"unix:///nowhere/docker.sock", "docker", 1, []string{"no Docker engine runs here", "/nowhere/docker.sock", "--runtime=process"}},
		"another machine": {"tcp://192.0.2.1:2375", "docker", 1, []string{"one of this machine is needed"}},
		"no such runtime": {d.engine.host(), "podman", 2, []string{`no runtime "podman"`}},
	} {
		t.Run(name, func(t *testing.T) {
			r := d.with("DOCKER_HOST="+c.host).mage(t, "up", "--runtime="+c.runtime)
			if r.Code != c.code {
				t.Errorf("exit code %d, want %d", r.Code, c.code)
			}
			wantIn(t, "the error", r.Stderr, append(c.shows, "next: ")...)
			d.wantNothing(t)
		})
	}
}

func (d *docker) up(t *testing.T) {
	d.checkout.up(t, "--runtime=docker")
	d.product = d.checkout.rest(t, http.StatusOK, "POST", "/v1/products", map[string]any{
		"title": "Contained", "sku": "CONTAINED", "price": price("1", 0),
	}).text("name")
	d.serves(t, "one")
	if left := taskProcesses(t, d.State); len(left) > 0 {
		t.Errorf("tasks run as plain processes:\n%s", describe(left))
	}
}

func (d *docker) order(t *testing.T) {
	s := &shop{checkout: d.checkout, stock: map[string]int32{}}
	product := s.offer(t, "anchor", 10)
	placed := s.buy(t, requestID(), product, 3)
	eventually(t, 30*time.Second, "the order is confirmed", func() error {
		o := readOrder(t, s.rest(t, http.StatusOK, "GET", "/v1/"+placed.Name, nil).Raw)
		if o.State != "CONFIRMED" {
			return fmt.Errorf("it is %s %s", o.State, o.Reason)
		}
		return nil
	})
}

// limits wants of every container what the engine was asked for.
func (d *docker) limits(t *testing.T) {
	all := d.engine.containers(t, "slipway-local-")
	if len(all) != 12 {
		t.Fatalf("%d containers run, want two tasks of three services with a ferry each", len(all))
	}
	for _, c := range all {
		h, ferry := c.HostConfig, strings.HasSuffix(c.Name, "-ferry")
		cpu, memory := int64(250_000_000), int64(512<<20) // 256 units and 512 MiB
		if strings.HasSuffix(c.Name, "-orders") {
			cpu, memory = 2*cpu, 2*memory
		}
		ok := c.State.Running && h.ReadonlyRootfs && !h.Privileged && len(h.CapAdd) == 0 && slices.Equal(h.CapDrop, []string{"ALL"}) &&
			slices.Contains(h.SecurityOpt, "no-new-privileges:true") && h.PidsLimit > 0 && len(h.PortBindings) == 0 &&
			h.Memory > 0 && h.MemorySwap == h.Memory && c.Config.User == "65532:65532"
		if ferry {
			ok = ok && h.NetworkMode == "none"
		} else {
			ok = ok && strings.HasPrefix(h.NetworkMode, "container:") && h.NanoCpus == cpu && h.Memory == memory
		}
		if !ok {
			t.Errorf("%s: %+v", c.Name, c)
		}
	}
	if len(d.engine.containers(t, "-ferry")) != 6 {
		t.Error("not every task has its ferry")
	}
}

func (d *docker) change(t *testing.T) {
	d.code(t, "two", "")
	stop := d.readers()
	r := d.mage(t, "deploy", "local", "catalog")
	seen := stop()
	if r.Code != 0 {
		t.Fatalf("exit %d\n%s%s", r.Code, r.Stdout, r.Stderr)
	}
	if got := slices.Sorted(maps.Keys(seen)); !slices.Equal(got, []string{"one", "two"}) {
		t.Errorf("answers %v, want those of one and two alone", seen)
	}
	t.Logf("answers: %v", seen)
	d.serves(t, "two")
}

// probes is what a hostile build tries when it starts. Every line says what
// came of it.
const probes = `package rpc

import (
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"
	"time"
)

func init() {
	say := func(what string, err error) { fmt.Fprintf(os.Stderr, "probe %%s: %%v;\n", what, err) }
	for _, path := range []string{"/owned", "/app/owned", "/tmp/owned", "/etc/passwd", "/run/ferry/owned"} {
		say("write "+path, os.WriteFile(path, nil, 0o600))
	}
	say("mount", syscall.Mount("none", "/", "tmpfs", 0, ""))
	say("become root", syscall.Setuid(0))
	say("listen to packets", func() error { _, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_RAW, 1); return err }())
	for _, address := range []string{%s} {
		c, err := net.DialTimeout("tcp", address, 2*time.Second)
		if err == nil {
			c.SetDeadline(time.Now().Add(2 * time.Second))
			_, err = c.Read(make([]byte, 1))
			if ne, ok := err.(net.Error); ok && ne.Timeout() { // it waits for us to speak
				err = nil
			}
		}
		say("connect "+address, err)
	}
	_, err := net.LookupHost("example.com")
	say("resolve", err)
	faces, _ := net.Interfaces()
	for _, f := range faces {
		say("interface "+f.Name, nil)
	}
	status, _ := os.ReadFile("/proc/self/status")
	for line := range strings.Lines(string(status)) {
		if strings.HasPrefix(line, "Cap") || strings.HasPrefix(line, "NoNewPrivs") || strings.HasPrefix(line, "Uid") {
			say(strings.Join(strings.Fields(line), " "), nil)
		}
	}
}
`

// hostile wants a service that tries to get out to get nowhere, and yet to reach
// what it needs.
func (d *docker) hostile(t *testing.T) {
	own, err := net.Listen("tcp", "127.0.0.1:0") // a secret of this machine's loopback
	if err != nil {
		t.Fatal(err)
	}
	defer own.Close()
	forbidden := []string{
		own.Addr().String(), fmt.Sprintf("127.0.0.1:%d", d.Gateway), "192.0.2.1:80", "1.1.1.1:53", "169.254.169.254:80", "172.17.0.1:80", "[2606:4700:4700::1111]:53",
	}
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range addresses {
		if ip, ok := a.(*net.IPNet); ok && !ip.IP.IsLoopback() && ip.IP.To4() != nil {
			forbidden = append(forbidden, net.JoinHostPort(ip.IP.String(), fmt.Sprint(d.Endpoint)))
		}
	}
	allowed := []string{fmt.Sprintf("127.0.0.1:%d", d.Endpoint), fmt.Sprintf("127.0.0.1:%d", d.Postgres)}
	var list []string
	for _, a := range append(slices.Clone(forbidden), allowed...) {
		list = append(list, fmt.Sprintf("%q", a))
	}
	const file = "services/catalog/internal/rpc/hostile.go"
	d.write(t, file, fmt.Sprintf(probes, strings.Join(list, ", ")))
	d.mustMage(t, "deploy", "local", "catalog")
	log := d.mustMage(t, "logs", "local", "catalog", "--since=5m").Stdout
	for _, a := range allowed {
		wantIn(t, "the log", log, "probe connect "+a+": <nil>;")
	}
	wantIn(t, "the log", log, "probe interface lo: <nil>;", "probe CapEff: 0000000000000000: <nil>;", "probe CapBnd: 0000000000000000: <nil>;",
		"probe NoNewPrivs: 1: <nil>;", "probe Uid: 65532 65532 65532 65532: <nil>;", "probe write /app/owned: open /app/owned: read-only file system;")
	for line := range strings.Lines(log) {
		_, probe, ok := strings.Cut(line, "probe ")
		if !ok || !strings.Contains(probe, ": <nil>;") {
			continue
		}
		what := strings.TrimSuffix(strings.TrimSpace(probe), ": <nil>;")
		known := what == "interface lo" || strings.HasPrefix(what, "Cap") || strings.HasPrefix(what, "NoNewPrivs") || strings.HasPrefix(what, "Uid")
		if !known && !slices.Contains(allowed, strings.TrimPrefix(what, "connect ")) {
			t.Errorf("the service could %s", what)
		}
	}
	d.remove(t, file)
}

// greedy wants a release that uses more memory than its task has to end with
// ECS's reason, and the one before to serve on.
func (d *docker) greedy(t *testing.T) {
	const file = "services/catalog/internal/rpc/greedy.go"
	d.write(t, file, "package rpc\n\nvar kept [][]byte\n\nfunc init() {\n\tfor range 200 {\n\t\tb := make([]byte, 8<<20)\n"+
		"\t\tfor i := 0; i < len(b); i += 4096 {\n\t\t\tb[i] = 1\n\t\t}\n\t\tkept = append(kept, b)\n\t}\n}\n")
	stop := d.readers()
	r := d.mage(t, "deploy", "local", "catalog")
	seen := stop()
	if r.Code == 0 {
		t.Error("the deployment succeeded")
	}
	wantIn(t, "the verdict", r.Stdout+r.Stderr, "OutOfMemoryError: Container killed due to memory usage", "next:")
	if len(seen) != 1 || seen["two"] == 0 {
		t.Errorf("answers %v, want those of two alone", seen)
	}
	d.remove(t, file)
}

func (d *docker) remove(t *testing.T, file string) {
	t.Helper()
	d.run(t, d.Dir, "rm", filepath.FromSlash(file))
}

// killed wants the tasks of a cluster that died to be replaced, and its data to
// be there.
func (d *docker) killed(t *testing.T) {
	pid, err := d.clusterProcess()
	if err != nil {
		t.Fatal(err)
	}
	before := d.engine.containers(t, "slipway-local-")
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	eventually(t, 20*time.Second, "ferries end with their cluster", func() error {
		for _, c := range d.engine.containers(t, "-ferry") {
			if c.State.Running {
				return fmt.Errorf("%s runs", c.Name)
			}
		}
		return nil
	})
	d.mustMage(t, "up") // as containers: it was remembered
	d.serves(t, "two")
	for _, c := range d.engine.containers(t, "slipway-local-") {
		if slices.ContainsFunc(before, func(b inspected) bool { return b.Name == c.Name }) {
			t.Errorf("container %s of the dead cluster is still there", c.Name)
		}
	}
}

// engineRestarted wants everything back once the engine is, which ends every
// container when it is stopped.
func (d *docker) engineRestarted(t *testing.T) {
	d.engine.end(syscall.SIGTERM)
	d.engine.start(t)
	eventually(t, time.Minute, "the services answer again", func() error {
		a, err := d.try("GET", "/v1/"+d.product, nil)
		if err != nil || a.Status != http.StatusOK {
			return errors.Join(err, fmt.Errorf("status %d", a.Status))
		}
		return nil
	})
	d.mustMage(t, "up")
	d.serves(t, "two")
}

func (d *docker) back(t *testing.T) {
	d.mustMage(t, "up", "--runtime=process")
	d.serves(t, "two")
	d.engine.wantEmpty(t)
	if len(taskProcesses(t, d.State)) == 0 {
		t.Error("no task runs as a process")
	}
	d.mustMage(t, "up", "--runtime=docker")
	d.serves(t, "two")
	if left := taskProcesses(t, d.State); len(left) > 0 {
		t.Errorf("tasks still run as processes:\n%s", describe(left))
	}
}

func (d *docker) down(t *testing.T) {
	d.mustMage(t, "down")
	d.wantNothing(t)
	d.engine.wantEmpty(t)
}
