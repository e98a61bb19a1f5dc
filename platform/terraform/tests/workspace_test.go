//go:build terraform

package tests

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/hashicorp/terraform-exec/tfexec"
)

// root is the checkout.
const root = "../../.."

// modulesDir holds the modules, each in a folder of its own.
const modulesDir = "../modules"

// moduleNames lists the modules.
func moduleNames(t *testing.T) []string {
	t.Helper()
	entries, err := os.ReadDir(modulesDir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, entry := range entries {
		if entry.IsDir() {
			names = append(names, entry.Name())
		}
	}
	if len(names) == 0 {
		t.Fatal("there are no modules")
	}
	return names
}

// terraform prepares a copy of a folder, so that nothing is written into the
// checkout, and initialises it.
func terraform(t *testing.T, dir string) *tfexec.Terraform {
	t.Helper()
	work := filepath.Join(t.TempDir(), "modules", filepath.Base(dir))
	if err := os.CopyFS(filepath.Dir(work), os.DirFS(filepath.Dir(dir))); err != nil {
		t.Fatal(err)
	}
	return initialised(t, work)
}

func initialised(t *testing.T, work string) *tfexec.Terraform {
	t.Helper()
	binary, err := exec.LookPath("terraform")
	if err != nil {
		t.Fatalf("%v\nnext: install Terraform 1.11 or later, or run the tests without the tag terraform", err)
	}
	tf, err := tfexec.NewTerraform(work, binary)
	if err != nil {
		t.Fatal(err)
	}
	if err := tf.SetEnv(environment(t)); err != nil {
		t.Fatal(err)
	}
	if err := tf.Init(t.Context(), tfexec.Backend(false)); err != nil {
		t.Fatalf("init %s: %v", filepath.Base(work), err)
	}
	return tf
}

// formatted reports the files that `terraform fmt` would change.
func formatted(ctx context.Context, dir string) ([]string, error) {
	tf, err := tfexec.NewTerraform(dir, "terraform")
	if err != nil {
		return nil, err
	}
	_, files, err := tf.FormatCheck(ctx, tfexec.Recursive(true))
	return files, err
}
