package build_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/slipway-dev/slipway/platform/kit/bench/build"
)

// tiny is a service as small as one can be.
const tiny = `package main

import (
	"net/http"
	"os"
)

func main() {
	if len(os.Args) > 1 && os.Args[1] == "migrate" {
		return
	}
	http.HandleFunc("/healthz", func(http.ResponseWriter, *http.Request) {})
	if err := http.ListenAndServe("127.0.0.1:"+os.Getenv("HTTP_PORT"), nil); err != nil {
		panic(err)
	}
}
`

// The measurement must run to its end and leave the checkout and the temporary
// folder as they were. What it measures is not judged here.
func TestBuildMeasuresInACopy(t *testing.T) {
	temp, err := os.MkdirTemp("", "bench-test-") //nolint:usetesting // t.TempDir is closed to other users
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(temp) })
	// PostgreSQL and tasks run as other users when started by root.
	if err := os.Chmod(temp, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("TMPDIR", temp)
	kit, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	root := t.TempDir()
	program := filepath.Join(root, "services/catalog/cmd/catalog")
	if err := os.MkdirAll(program, 0o755); err != nil {
		t.Fatal(err)
	}
	for path, content := range map[string]string{
		filepath.Join(root, "services/catalog/go.mod"): "module example.com/catalog\n\ngo 1.26.0\n",
		filepath.Join(program, "main.go"):              tiny,
	} {
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	before := names(t, program)
	var out bytes.Buffer
	if err := build.MeasureIn(t.Context(), &out, root, kit, 1); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"one-line change", "no change", "whole process", "ratio", "MiB", "seen by the gateway"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the table lacks %q:\n%s", want, out.String())
		}
	}
	if after := names(t, program); after != before {
		t.Errorf("the checkout has %s, had %s", after, before)
	}
	if left := names(t, temp); strings.Contains(left, "slipway-bench") {
		t.Errorf("left behind: %s", left)
	}
}

func names(t *testing.T, dir string) string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, e := range entries {
		all = append(all, e.Name())
	}
	return strings.Join(all, " ")
}
