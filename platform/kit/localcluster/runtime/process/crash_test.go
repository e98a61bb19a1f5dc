package process

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/slipway-dev/slipway/platform/kit/localcluster/task"
)

// playCluster is a cluster that starts tasks until it is killed: stubborn ones,
// and ones that leave children behind.
func playCluster() {
	images, err := newFolder(os.Getenv("ROOTFS"))
	if err != nil {
		panic(err)
	}
	r, err := New(Config{
		Dir: os.Getenv("DIR"), Images: images, Secrets: secrets{}, Logs: &logs{streams: map[string]*bytes.Buffer{}},
		Report: func(r task.Report) {
			if r.Containers[0].Status == task.StatusRunning {
				fmt.Println("running")
			}
		},
	})
	if err != nil {
		panic(err)
	}
	for i := range 100 {
		role := []string{"stubborn", "parent"}[i%2]
		if err := r.Start(context.Background(), spec(fmt.Sprintf("task%d", i), define("app", role, func(d *types.ContainerDefinition) {
			d.LogConfiguration = nil
		}))); err != nil {
			panic(err)
		}
	}
	select {}
}

// TestNothingOutlivesACluster kills clusters while they start many tasks. On
// Linux what they started dies with them, but for grandchildren; after Sweep
// nothing of them runs anywhere.
func TestNothingOutlivesACluster(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	random := rand.New(rand.NewPCG(3, 4))
	for round := range 6 {
		base := t.TempDir()
		for at := base; at != "/" && at != os.TempDir(); at = filepath.Dir(at) {
			if err := os.Chmod(at, 0o755); err != nil {
				t.Fatal(err)
			}
		}
		dir := filepath.Join(base, "state")
		cluster := exec.Command(self)
		cluster.Env = []string{"ROLE=cluster", "DIR=" + dir, "ROOTFS=" + filepath.Join(base, "rootfs")}
		cluster.Stderr = os.Stderr
		out, err := cluster.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cluster.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		for range 1 + random.IntN(40) {
			if !lines.Scan() {
				t.Fatal("the cluster ended by itself")
			}
		}
		direct, err := ledger{filepath.Join(dir, "processes")}.alive()
		if err != nil || len(direct) == 0 {
			t.Fatalf("running tasks on record: %v, %v", direct, err)
		}
		if err := cluster.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = cluster.Wait() // it was killed
		if runtime.GOOS == "linux" {
			poll(t, func() bool { return !anyRuns(direct) })
		}
		n, err := Sweep(t.Context(), dir)
		if err != nil {
			t.Fatal(err)
		}
		left, err := marked(markVariable + "=" + dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, pid := range left {
			if _, runs := startTime(pid); runs {
				t.Errorf("round %d: process %d outlived its cluster and Sweep, which killed %d", round, pid, n)
			}
		}
		if files, _ := filepath.Glob(filepath.Join(dir, "*", "*")); len(files) > 0 {
			t.Errorf("records were left: %v", files)
		}
	}
}

func anyRuns(pids map[int]string) bool {
	for pid, started := range pids {
		if now, ok := startTime(pid); ok && now == started {
			return true
		}
	}
	return false
}

// TestSweepKnowsAProcessByItsStart: a number that another process got since is
// left alone.
func TestSweepKnowsAProcessByItsStart(t *testing.T) {
	dir := t.TempDir()
	l, err := openLedger(dir)
	if err != nil {
		t.Fatal(err)
	}
	innocent := exec.Command("sleep", "60")
	innocent.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := innocent.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- innocent.Wait() }()
	raw := fmt.Sprintf(`{"pid":%d,"started":"another time"}`, innocent.Process.Pid)
	if err := os.WriteFile(filepath.Join(l.dir, "x.json"), []byte(raw), 0o600); err != nil {
		t.Fatal(err)
	}
	if n, err := Sweep(t.Context(), dir); n != 0 || err != nil {
		t.Fatalf("swept %d, %v", n, err)
	}
	if _, runs := startTime(innocent.Process.Pid); !runs {
		t.Fatal("an innocent process was killed")
	}
	// The same number with its true start is a leftover.
	if err := l.add("x", innocent.Process.Pid, "arn"); err != nil {
		t.Fatal(err)
	}
	if n, err := Sweep(t.Context(), dir); n != 1 || err != nil {
		t.Fatalf("swept %d, %v", n, err)
	}
	<-ended
	if n, err := Sweep(t.Context(), filepath.Join(dir, "none")); n != 0 || err != nil {
		t.Fatalf("a folder that is not there: %d, %v", n, err)
	}
}

// TestRecover: a runtime ends what an earlier one left and adopts nothing.
func TestRecover(t *testing.T) {
	b := setup(t, nil)
	left := exec.Command("sleep", "60")
	left.Env = []string{markVariable + "=" + b.cfg.Dir}
	if err := left.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- left.Wait() }()
	adopted, err := b.Recover(t.Context())
	if err != nil || len(adopted) != 0 {
		t.Fatalf("recover: %v, %v", adopted, err)
	}
	<-ended
}

// BenchmarkStart is the time from Start to RUNNING and the first line of a task
// whose image is unpacked.
func BenchmarkStart(b *testing.B) {
	dir := b.TempDir()
	images, err := newFolder(filepath.Join(dir, "rootfs"))
	if err != nil {
		b.Fatal(err)
	}
	images.image.Config.User = ""
	for at := dir; at != "/" && at != os.TempDir(); at = filepath.Dir(at) {
		if err := os.Chmod(at, 0o755); err != nil {
			b.Fatal(err)
		}
	}
	running := make(chan struct{}, 1)
	r, err := New(Config{
		Dir: dir, Images: images, Secrets: secrets{}, Logs: &logs{streams: map[string]*bytes.Buffer{}},
		Report: func(r task.Report) {
			if r.Containers[0].Status == task.StatusRunning {
				running <- struct{}{}
			}
		},
	})
	if err != nil {
		b.Fatal(err)
	}
	for i := 0; b.Loop(); i++ {
		if err := r.Start(b.Context(), spec(fmt.Sprintf("t%d", i), define("app", "wait"))); err != nil {
			b.Fatal(err)
		}
		<-running
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if err := r.Close(ctx); err != nil {
		b.Fatal(err)
	}
}
