package toolchain

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// tree writes files below a temporary root.
func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, content := range files {
		write(t, filepath.Join(root, name), content)
	}
	return root
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestModulesAreThoseOfTheWorkspace(t *testing.T) {
	root := tree(t, map[string]string{"go.work": "go 1.26.0\n\nuse (\n\t./services/b\n\t./a\n)\n"})
	got, err := Modules(root)
	want := []string{filepath.Join(root, "a"), filepath.Join(root, "services/b")}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("Modules = %v, %v; want %v", got, err, want)
	}
	if _, err := Modules(t.TempDir()); err == nil {
		t.Error("a folder without go.work has modules")
	}
}

func TestOneModuleIsMeant(t *testing.T) {
	root := tree(t, map[string]string{"go.work": "go 1.26.0\n\nuse (\n\t./services/b\n\t./a\n)\n"})
	got, err := Options{Root: root, Only: "services/b"}.modules()
	if err != nil || !slices.Equal(got, []string{filepath.Join(root, "services/b")}) {
		t.Errorf("modules = %v, %v", got, err)
	}
	var unknown *ModuleError
	if _, err := (Options{Root: root, Only: "services"}).modules(); !errors.As(err, &unknown) || unknown.ExitCode() != 2 {
		t.Errorf("a folder that is no module: %v", err)
	}
}

func TestRunTellsTheExitCode(t *testing.T) {
	err := Command{Dir: t.TempDir(), Args: []string{"sh", "-c", "exit 7"}}.Run(t.Context())
	var exit *ExitError
	if !errors.As(err, &exit) || exit.Code != 7 || !strings.Contains(err.Error(), "exit 7") {
		t.Errorf("Run = %v, want an ExitError of 7 that names the command", err)
	}
	if err := (Command{Dir: t.TempDir(), Args: []string{"no-such-program"}}).Run(t.Context()); err == nil || errors.As(err, &exit) {
		t.Errorf("a program that does not exist = %v", err)
	}
}

func TestRunEndsTheChildWithItsContext(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	err := Command{Dir: t.TempDir(), Args: []string{"sh", "-c", "exec sleep 60"}}.Run(ctx)
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Run = %v, want the context's error", err)
	}
}

func TestStaleFilesAreNamedAndPutBack(t *testing.T) {
	files := map[string]string{
		"proto/slipway/a/v1/a.pb.go":      "old",
		"proto/slipway/a/v1/same.pb.go":   "same",
		"services/a/store/db/gone.go":     "to go",
		"services/a/store/db/hand.go":     "by hand",
		"platform/serve/internal/pb/a.go": "same",
		"platform/not/generated/here.go":  "untouched",
	}
	root := tree(t, files)
	err := compare(Options{Root: root}, func() error {
		write(t, filepath.Join(root, "proto/slipway/a/v1/a.pb.go"), "new")
		write(t, filepath.Join(root, "services/a/store/db/added.go"), "added")
		return os.Remove(filepath.Join(root, "services/a/store/db/gone.go"))
	})
	var stale *StaleError
	want := []string{"proto/slipway/a/v1/a.pb.go", "services/a/store/db/added.go", "services/a/store/db/gone.go"}
	if !errors.As(err, &stale) || !slices.Equal(stale.Files, want) {
		t.Fatalf("compare = %v, want %v to be stale", err, want)
	}
	if !strings.Contains(stale.Next(), "mage gen") {
		t.Errorf("next = %q", stale.Next())
	}
	for name, content := range files {
		if got, err := os.ReadFile(filepath.Join(root, name)); err != nil || string(got) != content {
			t.Errorf("%s = %q, %v; want it as it was: %q", name, got, err, content)
		}
	}
	if _, err := os.Stat(filepath.Join(root, "services/a/store/db/added.go")); err == nil {
		t.Error("what was generated beside was left")
	}
	if err := compare(Options{Root: root}, func() error { return nil }); err != nil {
		t.Errorf("nothing changed, and yet: %v", err)
	}
}
