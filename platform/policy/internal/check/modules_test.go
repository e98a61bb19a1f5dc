package check

import (
	"strings"
	"testing"
)

const healthy = `
-- go.work --
go 1.26.0

use (
	./a
	./b/c
)
-- a/go.mod --
module m/a

go 1.26.0

require (
	host.com/x v1.2.0
	host.com/y v1.0.0 // indirect
)
-- b/c/go.mod --
module m/b/c

go 1.26.0

require (
	host.com/x v1.2.0
	host.com/y v1.1.0
	m/a v0.0.0
)

replace m/a => ../../a
-- tools/go.mod --
module m/tools

go 1.26.9

require host.com/x v1.9.0
`

func TestModules(t *testing.T) {
	for name, c := range map[string]struct {
		old, new string // what to break in the healthy workspace
		want     []string
	}{
		"healthy": {},
		"two go lines": {
			old: "module m/a\n\ngo 1.26.0", new: "module m/a\n\ngo 1.25.0",
			want: []string{"a/go.mod: its go line is 1.25.0, that of go.work 1.26.0"},
		},
		"a toolchain line": {
			old: "module m/a\n\ngo 1.26.0", new: "module m/a\n\ngo 1.26.0\ntoolchain go1.26.8",
			want: []string{"a/go.mod:4: has a toolchain line"},
		},
		"two versions": {
			old: "host.com/x v1.2.0\n\thost.com/y v1.1.0", new: "host.com/x v1.10.0\n\thost.com/y v1.1.0",
			want: []string{"a/go.mod:6: requires host.com/x v1.2.0, and b/c requires v1.10.0"},
		},
		"two versions, the newer one first": {
			old: "require (\n\thost.com/x v1.2.0\n\thost.com/y v1.0.0", new: "require (\n\thost.com/x v1.10.0\n\thost.com/y v1.0.0",
			want: []string{"b/c/go.mod:6: requires host.com/x v1.2.0, and a requires v1.10.0"},
		},
		"a module at the root": {
			old: "-- a/go.mod --", new: "-- go.mod --\nmodule m\n\ngo 1.26.0\n-- a/go.mod --",
			want: []string{"go.mod: is a module at the root"},
		},
		"a module that go.work misses": {
			old: "\t./a\n", new: "",
			want: []string{"a: is a module that go.work does not use"},
		},
		"a tools module in the workspace": {
			old: "\t./a\n", new: "\t./a\n\t./tools\n",
			want: []string{"go.work: uses tools, which stays outside", "tools: is excused from the rule"},
		},
		"a replace line in go.work": {
			old: "\t./b/c\n)\n", new: "\t./b/c\n)\n\nreplace m/a => ./a\n",
			want: []string{"go.work:8: replaces m/a"},
		},
		"a wrong name": {
			old: "module m/tools", new: "module m/tool",
			want: []string{"tools/go.mod: module m/tool"},
		},
		"a replace line missing": {
			old: "replace m/a => ../../a\n", new: "",
			want: []string{"b/c/go.mod:8: requires m/a without a replace line"},
		},
		"a replace line that points elsewhere": {
			old: "=> ../../a", new: "=> ../a",
			want: []string{"b/c/go.mod:11: replaces m/a by ../a"},
		},
		"an absolute replace line": {
			old: "=> ../../a", new: "=> /src/a",
			want: []string{"b/c/go.mod:11: replaces m/a by /src/a"},
		},
		"a replace line for another's module": {
			old: "replace m/a =>", new: "replace host.com/x => ../x\nreplace m/a =>",
			want: []string{"b/c/go.mod:11: replaces host.com/x, which is not ours"},
		},
		"a replace line that nothing requires": {
			old: "\tm/a v0.0.0\n", new: "",
			want: []string{"b/c/go.mod: replaces m/a and does not require it"},
		},
		"no go.work": {
			old: "-- go.work --\ngo 1.26.0", new: "-- go.work --\n",
			want: []string{"go.work: has no go line"},
		},
		"a broken go.work": {
			old: "use (", new: "uses (",
			want: []string{"go.work: go.work:3: unknown block type: uses"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			if strings.Count(healthy, c.old) == 0 {
				t.Fatalf("the fixture does not contain %q", c.old)
			}
			tree := parse(t, strings.Replace(healthy, c.old, c.new, 1))
			outside := []Excuse{{Path: "tools", Reason: "of the test"}}
			expect(t, Modules(tree, Workspace{Prefix: "m", Outside: outside}), c.want...)
		})
	}
}

func TestRelative(t *testing.T) {
	for _, c := range [][3]string{
		{"a", "b", "../b"},
		{"services/x", "platform/serve", "../../platform/serve"},
	} {
		if got := relative(c[0], c[1]); got != c[2] {
			t.Errorf("relative(%q, %q) = %q, want %q", c[0], c[1], got, c[2])
		}
	}
}
