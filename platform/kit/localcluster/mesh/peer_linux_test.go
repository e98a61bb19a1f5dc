package mesh_test

import (
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"

	"google.golang.org/grpc/codes"

	"github.com/slipway-dev/slipway/platform/kit/localcluster/mesh"
)

// started lists the processes that a test has started as tasks.
type started struct {
	mu   sync.Mutex
	list []mesh.Process
}

func (s *started) processes() []mesh.Process {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.list
}

// run starts a process as a task of a service, "" for none, and returns what it
// prints. A grandchild is one that the task itself has started.
func (s *started) run(t *testing.T, service, address string, grandchild bool) string {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), program)
	if grandchild {
		cmd = exec.CommandContext(t.Context(), "/bin/sh", "-c", program+"; true")
	}
	cmd.Env = append(os.Environ(), callVariable+"="+address)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if service != "" {
		s.mu.Lock()
		s.list = append(s.list, mesh.Process{PID: cmd.Process.Pid, Family: "slipway-local-" + service, Service: service})
		s.mu.Unlock()
	}
	_, _ = in.Write([]byte("x"))
	if err := cmd.Wait(); err != nil {
		t.Fatalf("%v: %s", err, out.String())
	}
	return out.String()
}

func TestOnlyTasksOfTheCallerMayCall(t *testing.T) {
	tasks := &started{}
	b := setup(t, tasks.processes)
	b.task("a")
	address := b.link()
	for name, tc := range map[string]struct {
		service    string
		grandchild bool
		want       []string
	}{
		"the caller":              {"orders", false, []string{"OK"}},
		"a child of the caller's": {"orders", true, []string{"OK"}},
		"another service": {"inventory", false, []string{
			codes.PermissionDenied.String(), "add catalog to calls in services/inventory/service.yaml", "CALL_NOT_DECLARED catalog",
		}},
		"no task at all": {"", false, []string{codes.PermissionDenied.String(), "the caller is a process that is no task", "CALL_NOT_DECLARED catalog"}},
	} {
		got := tasks.run(t, tc.service, address, tc.grandchild)
		for _, want := range tc.want {
			if !strings.Contains(got, want) {
				t.Errorf("%s got %q, want %q in it", name, got, want)
			}
		}
	}
	res, err := http.Get("http://" + address + "/")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, _ := io.ReadAll(res.Body)
	if res.StatusCode != http.StatusForbidden || !strings.Contains(string(text), mesh.Reason) {
		t.Errorf("curl got %d %s", res.StatusCode, text)
	}
	http.DefaultClient.CloseIdleConnections()
}
