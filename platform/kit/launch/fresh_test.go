package launch

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"
)

const alone = "module github.com/slipway-dev/slipway/platform/kit\n\ngo 1.26.0\n\nrequire example.com/m v1.0.0\n\ntool github.com/slipway-dev/slipway/platform/kit/cmd/mage\n"

// put writes a file with a time of its own, so that a file system with coarse
// times tells it from the one before.
func put(t *testing.T, root, name, content string, at time.Time) {
	t.Helper()
	path := filepath.Join(root, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(path, at, at); err != nil {
		t.Fatal(err)
	}
}

func TestStamp(t *testing.T) {
	at := time.Date(2026, 3, 4, 10, 0, 0, 0, time.UTC)
	later := at.Add(time.Nanosecond)
	env := []string{"GOFLAGS=-v", "LANG=C"}
	for name, tc := range map[string]struct {
		change func(root string)
		env    []string
		same   bool
	}{
		"nothing":                         {func(string) {}, env, true},
		"a file of a service":             {func(root string) { put(t, root, "services/a/a.go", "package b", later) }, env, true},
		"a variable that is none of Go's": {func(string) {}, []string{"LANG=C.UTF-8", "GOFLAGS=-v"}, true},
		"a file's size":                   {func(root string) { put(t, root, "platform/kit/a/a.go", "package aa", at) }, env, false},
		"a file's time":                   {func(root string) { put(t, root, "platform/kit/a/a.go", "package a", later) }, env, false},
		"a new file":                      {func(root string) { put(t, root, "platform/kit/a/page.html", "", at) }, env, false},
		"a file is gone":                  {func(root string) { _ = os.Remove(filepath.Join(root, "platform/kit/a/a.go")) }, env, false},
		"the magefile":                    {func(root string) { put(t, root, "magefile.go", "package main", later) }, env, false},
		"the workspace":                   {func(root string) { put(t, root, "go.work", "go 1.27.0", later) }, env, false},
		"a setting of Go's":               {func(string) {}, []string{"GOFLAGS=", "LANG=C"}, false},
	} {
		root := t.TempDir()
		for file, content := range map[string]string{
			"magefile.go": "package main", "go.work": "go 1.26.0", "platform/kit/go.mod": alone,
			"platform/kit/a/a.go": "package a", "services/a/a.go": "package a",
		} {
			put(t, root, file, content, at)
		}
		before := stampOf(root, env)
		tc.change(root)
		if after := stampOf(root, tc.env); before == "" || (after == before) != tc.same {
			t.Errorf("%s changes: stamp %.8s, then %.8s; want the same: %t", name, before, after, tc.same)
		}
	}
}

func TestStampOfWhatMayNeedMore(t *testing.T) {
	for name, mod := range map[string]string{
		"another module of the checkout": alone + "\nrequire (\n\tgithub.com/slipway-dev/slipway/proto v0.0.0\n)\n",
		"a replaced module":              alone + "\nreplace example.com/m => ../m\n",
		"replaced modules":               alone + "\nreplace (\n\texample.com/m => ../m\n)\n",
		"no module":                      "",
	} {
		root := t.TempDir()
		if mod != "" {
			put(t, root, "platform/kit/go.mod", mod, time.Now())
		}
		if got := stampOf(root, nil); got != "" {
			t.Errorf("%s: stamp %.8s, want none", name, got)
		}
	}
}

func TestRefresh(t *testing.T) {
	dir := t.TempDir()
	compiled := 0
	compile := func() int {
		compiled++
		put(t, dir, programFile, "program", time.Now())
		return 0
	}
	for _, step := range []struct {
		name, stamp string
		compile     func() int
		compiled    int
		err         error
	}{
		{"at first", "one", compile, 1, nil},
		{"the same again", "one", compile, 1, nil},
		{"changed", "two", compile, 2, nil},
		{"back again", "one", compile, 3, nil},
		{"what cannot be told", "", compile, 4, nil},
		{"nor the second time", "", compile, 5, nil},
		{"known again", "one", compile, 6, nil},
		{"it does not compile", "three", func() int { return 1 }, 6, ErrCompile},
		{"it is as it was before that", "one", compile, 7, nil},
	} {
		if err := refresh(dir, step.stamp, step.compile); !errors.Is(err, step.err) || compiled != step.compiled {
			t.Errorf("%s: %v, compiled %d times; want %v and %d", step.name, err, compiled, step.err, step.compiled)
		}
	}
	if err := os.Remove(filepath.Join(dir, programFile)); err != nil {
		t.Fatal(err)
	}
	if err := refresh(dir, "one", compile); err != nil || compiled != 8 {
		t.Errorf("without a program: %v, compiled %d times; want 8", err, compiled)
	}
}
