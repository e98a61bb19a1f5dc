package sandbox

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func TestUsageOf(t *testing.T) {
	t.Parallel()
	const ps = `
    1     0   100 /sbin/init
   10     1  2048 slipway-cluster -state /s
   11    10  4096 /s/images/abc/catalog
   12    10  1024 /s/images/abc/orders migrate
   20    10   512 /usr/lib/postgresql/15/bin/postgres -D /s/postgres/data
   21    20   512 postgres: checkpointer
   22    20   512 postgres: catalog catalog 127.0.0.1(40312) idle
   23    20   512 postgres: orders orders ::1(40313) SELECT waiting
   30     1  9999 /s/images/abc/catalog
  gone
`
	u := usageOf(parseProcesses([]byte(ps)), 10, "/s/images")
	want := Usage{Memory: 2 << 20, TaskMemory: 5 << 20, Processes: 6, Tasks: 2, Connections: 2}
	if u != want {
		t.Errorf("%+v, want %+v", u, want)
	}
}

func TestSizes(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, size := range map[string]int{
		"state.db": 10, "registry/blobs/a": 20, "logs/g/s": 3, "traces/1": 4, "cluster.log": 1, "postgres/data/x": 500,
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, make([]byte, size), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if records, logs, database := sizes(dir); records != 30 || logs != 8 || database != 500 {
		t.Errorf("%d, %d, %d; want 30, 8, 500", records, logs, database)
	}
}

// checkout is a repository with as much as a sandbox needs.
func checkout(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	for name, content := range map[string]string{
		local:                                  "name: local\nports: {gateway: 8080, aws: 4510, postgres: 54510}\n",
		"services/catalog/service.yaml":        "name: catalog\ndeploy: {strategy: rolling, bake: 1m, alarms: [errors, latency]}\nenv: {}\n",
		"services/catalog/cmd/catalog/main.go": "package main\n\nfunc main() {}\n",
		"tool":                                 "#!/bin/sh\n",
		".gitignore":                           "ignored\n",
		"ignored":                              "x",
	} {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		mode := os.FileMode(0o644)
		if name == "tool" {
			mode = 0o755
		}
		if err := os.WriteFile(path, []byte(content), mode); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command("git", "init", "-q")
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return root
}

func TestACopyOfItsOwn(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	root := checkout(t)
	s, err := New(t.Context(), Config{Root: root})
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(s.base)
	for name, want := range map[string]bool{"tool": true, "ignored": false, ".git": true} {
		if _, err := os.Stat(filepath.Join(s.Dir, name)); (err == nil) != want {
			t.Errorf("%s: %v", name, err)
		}
	}
	if st, err := os.Stat(filepath.Join(s.Dir, "tool")); err != nil || st.Mode()&0o100 == 0 {
		t.Errorf("the tool cannot be run: %v", err)
	}
	for _, port := range []string{"gateway: 8080", "aws: 4510", "postgres: 54510"} {
		if strings.Contains(read(t, s.Dir, local), port) {
			t.Errorf("the copy has the port of the checkout: %s", port)
		}
	}
	if err := s.Change(7); err != nil {
		t.Fatal(err)
	}
	if got := read(t, s.Dir, change); !strings.Contains(got, MarkOf(7)) {
		t.Errorf("%s; want its mark", got)
	}
	if err := s.Replace("services/catalog/service.yaml", `(?m)^deploy: \{.*\}$`, "deploy: {strategy: linear}"); err != nil {
		t.Fatal(err)
	}
	if got := read(t, s.Dir, "services/catalog/service.yaml"); got != "name: catalog\ndeploy: {strategy: linear}\nenv: {}\n" {
		t.Errorf("%q", got)
	}
	if err := s.Replace("services/catalog/service.yaml", "strategy: canary", ""); err == nil {
		t.Error("what is not there was replaced")
	}
	if got := read(t, root, "services/catalog/service.yaml"); !strings.Contains(got, "rolling") {
		t.Errorf("the checkout was changed: %s", got)
	}
}

// A broken release is written for the moment's Go, so it must compile.
func TestReleasesCompile(t *testing.T) {
	t.Parallel()
	for name, source := range map[string]string{
		"sound":     strings.ReplaceAll(fill(sound, "MARK", MarkOf(1)), `catalogv1 "github.com/slipway-dev/slipway/proto/slipway/catalog/v1"`, `catalogv1 "m/v1"`),
		"unhealthy": fill(broken, "MARK", MarkOf(1), "HEALTHY", "false", "URL", "http://127.0.0.1:1/"),
		"failing":   fill(broken, "MARK", MarkOf(1), "HEALTHY", "true", "URL", "http://127.0.0.1:1/"),
	} {
		dir := t.TempDir()
		for file, content := range map[string]string{
			"go.mod": "module m\n\ngo 1.26.0\n", "v1/v1.go": "package catalogv1\n\nvar OpenAPI = []byte(\"{}\")\n",
			"main.go": "package main\n\nfunc main() {}\n", "change.go": source,
		} {
			path := filepath.Join(dir, file)
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		cmd := exec.Command("go", "vet", ".")
		cmd.Dir, cmd.Env = dir, append(os.Environ(), "GOWORK=off")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
	}
}

func read(t *testing.T, dir, name string) string {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}
