package policy

import (
	"errors"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/slipway-dev/slipway/platform/policy/internal/check"
)

var update = flag.Bool("update", false, "write the golden files instead of comparing with them")

// TestTargets holds the list of commands against a golden file: a target that
// is renamed, lost or left without help is a change for every user.
func TestTargets(t *testing.T) {
	dir, err := root()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "go", "tool", "mage", "-l")
	cmd.Dir = dir
	cmd.Env = check.WorkspaceEnv(dir)
	got, err := cmd.Output()
	if exit := new(exec.ExitError); errors.As(err, &exit) {
		t.Fatalf("go tool mage -l: %v\n%s", err, exit.Stderr)
	} else if err != nil {
		t.Fatalf("go tool mage -l: %v", err)
	}
	golden := filepath.Join("testdata", "targets.golden")
	if *update {
		if err := os.WriteFile(golden, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != string(want) {
		t.Errorf("the targets have changed\n got:\n%s\nwant:\n%s\n\tmend: if the change is meant, go -C platform/policy test -run TestTargets -update", got, want)
	}
}
