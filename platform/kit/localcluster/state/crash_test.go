package state_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/slipway-dev/slipway/platform/kit/localcluster/state"
)

// role makes the test binary play another process: see TestMain.
const role = "SLIPWAY_STATE_TEST_ROLE"

func TestMain(m *testing.M) {
	switch os.Getenv(role) {
	case "":
		os.Exit(m.Run())
	case "write":
		writeForever(os.Args[1])
		os.Exit(1)
	case "open":
		openOnce(os.Args[1])
	case "fill":
		fillUntilFull(os.Args[1])
	}
}

// writeForever acknowledges each write on stdout once Update has returned. It
// ends when one fails.
func writeForever(dir string) {
	store, err := state.Open(dir)
	if err != nil {
		fmt.Fprintln(os.Stdout, "error", err)
		return
	}
	next := 0
	_ = store.View(func(tx *state.Tx) error {
		return tx.List("n", "", func(string, []byte) error { next++; return nil })
	})
	for ; ; next++ {
		err := store.Update(func(tx *state.Tx) error {
			return tx.Put("n", fmt.Sprintf("%08d", next), strings.Repeat("x", next%3000))
		})
		if err != nil {
			return
		}
		fmt.Fprintln(os.Stdout, next)
	}
}

func openOnce(dir string) {
	store, err := state.Open(dir)
	if err == nil {
		err = store.Close()
	}
	describe(err)
}

// fillUntilFull writes under a file size limit, which stops root too, and
// then checks that the store still reads and that what was there is there.
func fillUntilFull(dir string) {
	limit := syscall.Rlimit{Cur: 1 << 20, Max: 1 << 20}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		describe(err)
		return
	}
	store, err := state.Open(dir)
	if err != nil {
		describe(err)
		return
	}
	written := 0
	for err == nil {
		err = store.Update(func(tx *state.Tx) error {
			return tx.Put("n", fmt.Sprintf("%08d", written), strings.Repeat("x", 3000))
		})
		if err == nil {
			written++
		}
	}
	seen := 0
	readErr := store.View(func(tx *state.Tx) error {
		return tx.List("n", "", func(string, []byte) error { seen++; return nil })
	})
	if readErr != nil || seen != written || written == 0 {
		fmt.Fprintf(os.Stdout, "wrote %d, read %d, %v\n", written, seen, readErr)
	}
	describe(err)
}

func describe(err error) {
	if storage, ok := errors.AsType[*state.StorageError](err); ok {
		fmt.Fprintf(os.Stdout, "full=%t readonly=%t\n", storage.Full(), storage.ReadOnly())
	}
	fmt.Fprintln(os.Stdout, "error:", err)
}

func child(t *testing.T, exe, as, dir string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(context.Background(), exe, dir)
	cmd.Env = append(os.Environ(), role+"="+as)
	cmd.Stderr = os.Stderr
	return cmd
}

func self(t *testing.T) string {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return exe
}

// TestKill kills a writer after a random number of acknowledged writes, again
// and again on the same store; all that it acknowledged must be there.
func TestKill(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for range 10 {
		cmd := child(t, self(t), "write", dir)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		stopAfter := 1 + rand.IntN(60)
		lines := bufio.NewScanner(out)
		for range stopAfter {
			lines.Scan()
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		last := lines.Text()
		for lines.Scan() {
			last = lines.Text()
		}
		_ = cmd.Wait()

		var acknowledged int
		if _, err := fmt.Sscan(last, &acknowledged); err != nil {
			t.Fatalf("the writer said %q", last)
		}
		store := open(t, dir)
		err = store.View(func(tx *state.Tx) error {
			for i := range acknowledged + 1 {
				var v string
				if found, err := tx.Get("n", fmt.Sprintf("%08d", i), &v); !found || err != nil || len(v) != i%3000 {
					return fmt.Errorf("write %d of %d: %t, %w", i, acknowledged, found, err)
				}
			}
			return nil
		})
		if err = errors.Join(err, store.Close()); err != nil {
			t.Fatal(err)
		}
	}
}

func TestLockedByAnotherProcess(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cmd := child(t, self(t), "write", dir)
	out, err := cmd.StdoutPipe()
	if err = errors.Join(err, cmd.Start()); err != nil {
		t.Fatal(err)
	}
	bufio.NewScanner(out).Scan() // it has the store
	drained := make(chan struct{})
	go func() { _, _ = io.Copy(io.Discard, out); close(drained) }()
	_, err = state.Open(dir)
	var locked *state.LockedError
	if !errors.As(err, &locked) || locked.PID != cmd.Process.Pid {
		t.Errorf("got %v, want a lock by process %d", err, cmd.Process.Pid)
	}
	if _, err := state.Hold(dir); !errors.As(err, &locked) {
		t.Errorf("hold: got %v, want a lock", err)
	}
	if pid := state.Holder(dir); pid != cmd.Process.Pid {
		t.Errorf("holder = %d, want %d", pid, cmd.Process.Pid)
	}
	_ = cmd.Process.Kill()
	<-drained
	_ = cmd.Wait()
	if pid := state.Holder(dir); pid != 0 {
		t.Errorf("holder = %d after its end, want none", pid)
	}
	release, err := state.Hold(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := state.Open(dir); !errors.As(err, &locked) {
		t.Errorf("open while held: got %v, want a lock", err)
	}
	release()
	open(t, dir).Close()
}

func TestFull(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	out, err := child(t, self(t), "fill", dir).Output()
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(string(out), "full=true") || !strings.Contains(string(out), "next: df -h "+dir) {
		t.Errorf("got %s", out)
	}
	open(t, dir).Close()
}

// TestReadOnlyFolder runs as an ordinary user, whom permissions bind, also
// when the tests run as root.
func TestReadOnlyFolder(t *testing.T) {
	t.Parallel()
	base, err := os.MkdirTemp("", "state") //nolint:usetesting // only the tests' user may enter what TempDir makes
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(base) })
	exe, dir := filepath.Join(base, "test"), filepath.Join(base, "state")
	binary, err := os.ReadFile(self(t))
	if err = errors.Join(err, os.Chmod(base, 0o755), os.WriteFile(exe, binary, 0o755), os.Mkdir(dir, 0o555)); err != nil {
		t.Fatal(err)
	}
	cmd := child(t, exe, "open", dir)
	if os.Getuid() == 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	}
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(string(out), "full=false readonly=true") || !strings.Contains(string(out), "next: ls -ld "+dir) {
		t.Errorf("got %s", out)
	}
}
