package place

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestStateIsOnePerCheckout(t *testing.T) {
	t.Setenv(StateVariable, "")
	a, b := t.TempDir(), t.TempDir()
	sa, err := State(a)
	if err != nil {
		t.Fatal(err)
	}
	sb, err := State(b)
	if err != nil {
		t.Fatal(err)
	}
	if sa == sb {
		t.Errorf("two checkouts share the state folder %s", sa)
	}
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(a, link); err != nil {
		t.Fatal(err)
	}
	if sl, err := State(link); err != nil || sl != sa {
		t.Errorf("State(link) = %q, %v; want the checkout's own %q", sl, err, sa)
	}
}

func TestOverrides(t *testing.T) {
	dir := t.TempDir()
	t.Setenv(StateVariable, dir)
	t.Setenv(CacheVariable, dir)
	if got, err := State("/nowhere"); err != nil || got != dir {
		t.Errorf("State = %q, %v; want %q", got, err, dir)
	}
	if got, err := Cache(); err != nil || got != dir {
		t.Errorf("Cache = %q, %v; want %q", got, err, dir)
	}
}

func TestPrepareNamesTheFolder(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	err := Prepare(filepath.Join(file, "below"))
	if err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("Prepare below a file = %v, want an error that names %s", err, file)
	}
	dir := filepath.Join(t.TempDir(), "a", "b")
	if err := Prepare(dir); err != nil {
		t.Fatal(err)
	}
	if left, _ := os.ReadDir(dir); len(left) != 0 {
		t.Errorf("Prepare left %v", left)
	}
}

func TestPrepareLetsTheUsersOfTasksIn(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "cache")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := Prepare(dir); err != nil {
		t.Fatal(err)
	}
	st, err := os.Stat(dir)
	if err != nil {
		t.Fatal(err)
	}
	want := os.FileMode(0o700) // an ordinary user's tasks are that user's own
	if os.Geteuid() == 0 {
		want = 0o755
	}
	if st.Mode().Perm() != want {
		t.Errorf("mode %o, want %o", st.Mode().Perm(), want)
	}
}
