//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"
)

// kills is how often the cluster is killed, unless SLIPWAY_E2E_KILLS says
// otherwise: as often as fits into a check of every change.
const kills = 6

// TestKilledCluster kills the cluster at random moments of a deployment, so
// that nothing of it can end in good order. Each time `up` must bring back a
// system that serves one release wholly and has lost nothing.
func TestKilledCluster(t *testing.T) {
	w := &walk{checkout: newCheckout(t)}
	w.checkout.up(t)
	w.product = w.checkout.rest(t, http.StatusOK, "POST", "/v1/products", map[string]any{
		"title": "Survivor", "sku": "SURVIVOR", "price": price("1", 0),
	}).text("name")
	w.mark(t, "warm")
	span := w.mustMage(t, "deploy", "local", "catalog").Took
	times := kills
	if given, err := strconv.Atoi(os.Getenv("SLIPWAY_E2E_KILLS")); err == nil {
		times = given
	}
	for i := range times {
		moment := time.Duration(rand.Int64N(int64(span)))
		t.Run(fmt.Sprintf("kill %d at %dms", i+1, moment.Milliseconds()), func(t *testing.T) { w.kill(t, i, moment) })
		if t.Failed() {
			t.FailNow()
		}
	}
	w.mustMage(t, "down")
	w.wantNothing(t)
}

func (w *walk) kill(t *testing.T, i int, moment time.Duration) {
	w.mark(t, fmt.Sprintf("kill-%d", i))
	deploy := exec.Command("go", "tool", "mage", "deploy", "local", "catalog", "--timeout=20s")
	deploy.Dir, deploy.Env = w.Dir, w.env
	if err := deploy.Start(); err != nil {
		t.Fatal(err)
	}
	timer := time.NewTimer(moment)
	<-timer.C
	if err := syscall.Kill(w.clusterPID(t), syscall.SIGKILL); err != nil {
		t.Fatalf("kill the cluster: %v", err)
	}
	// Whatever the deployment makes of it, it ends.
	ended := make(chan error, 1)
	go func() { ended <- deploy.Wait() }()
	select {
	case err := <-ended:
		t.Logf("the deployment ended: %v", err)
	case <-time.After(time.Minute):
		_ = deploy.Process.Kill()
		t.Fatal("the deployment hangs after the cluster died")
	}
	eventually(t, 5*time.Second, "no task outlives the cluster", func() error {
		if left := taskProcesses(t, w.State); len(left) > 0 {
			return fmt.Errorf("left:\n%s", describe(left))
		}
		return nil
	})
	up := w.mustMage(t, "up")
	t.Logf("up again took %.1fs", up.Took.Seconds())
	got := w.checkout.rest(t, http.StatusOK, "GET", "/v1/"+w.product, nil)
	if got.text("title") != "Survivor" {
		t.Errorf("the product is %s", got.Raw)
	}
	w.wantOneRelease(t)
}

func (w *walk) clusterPID(t *testing.T) int {
	t.Helper()
	pid, err := w.clusterProcess()
	if err != nil {
		t.Fatal(err)
	}
	return pid
}

// clusterProcess is the process id of the cluster that runs.
func (c *checkout) clusterProcess() (int, error) {
	raw, err := os.ReadFile(filepath.Join(c.State, "cluster.json"))
	if err != nil {
		return 0, err
	}
	var info struct {
		PID int `json:"pid"`
	}
	if err := json.Unmarshal(raw, &info); err != nil || info.PID == 0 {
		return 0, fmt.Errorf("read cluster.json: %w: %s", err, raw)
	}
	return info.PID, nil
}

// wantOneRelease waits until two tasks run, and wants them to be of one build.
func (w *walk) wantOneRelease(t *testing.T) {
	t.Helper()
	eventually(t, 30*time.Second, "two tasks of one build run", func() error {
		tasks := tasksOf(t, w.State, "catalog")
		if len(tasks) != 2 {
			return fmt.Errorf("%d task processes:\n%s", len(tasks), describe(tasks))
		}
		if tasks[0].exe != tasks[1].exe {
			return fmt.Errorf("two builds: %s and %s", tasks[0].exe, tasks[1].exe)
		}
		return nil
	})
}

// wantNothing wants no process left and every port free.
func (c *checkout) wantNothing(t *testing.T) {
	t.Helper()
	if left := processesOf(t, c.State); len(left) > 0 {
		t.Errorf("left processes:\n%s", describe(left))
	}
	for _, port := range []int{c.Gateway, c.Endpoint, c.Postgres} {
		if conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port)); err == nil {
			_ = conn.Close()
			t.Errorf("something still listens on port %d", port)
		}
	}
}
