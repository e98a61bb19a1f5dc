package check

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"golang.org/x/mod/modfile"
	"golang.org/x/mod/semver"
)

// Workspace says how the modules of the tree belong together.
type Workspace struct {
	// Prefix begins the path of every module of the tree; a module's path is
	// the prefix and its folder.
	Prefix string
	// Outside are the folders of modules that go.work leaves out on purpose.
	Outside []Excuse
}

// Modules reports what makes the modules disagree: two go versions, two
// versions of one direct dependency, a go.work that misses a module, a replace
// line that points elsewhere, a module at the root.
func Modules(t *Tree, w Workspace) []Finding {
	work, err := modfile.ParseWork("go.work", t.Files["go.work"], nil)
	if err != nil {
		return []Finding{{File: "go.work", What: err.Error(), Mend: "correct the file"}}
	}
	found := slices.Concat(w.members(t, work), w.goLines(t, work), sharedVersions(t, w.outside()))
	for _, m := range t.Modules {
		found = append(found, w.replaces(t, m)...)
	}
	return sorted(found)
}

func (w Workspace) outside() []string {
	var dirs []string
	for _, x := range w.Outside {
		dirs = append(dirs, x.Path)
	}
	return dirs
}

func (w Workspace) members(t *Tree, work *modfile.WorkFile) []Finding {
	var found []Finding
	var used []string
	for _, u := range work.Use {
		used = append(used, path.Clean(u.Path))
	}
	excused := newExcuses("every module is in go.work", w.Outside)
	for _, m := range t.Modules {
		if want := path.Join(w.Prefix, m.Dir); m.Path() != want && m.Dir != "." {
			found = append(found, Finding{File: m.Dir + "/go.mod", What: "module " + m.Path(), Mend: "call it " + want})
		}
		switch {
		case m.Dir == ".":
			found = append(found, Finding{
				File: "go.mod",
				What: "is a module at the root: `go test ./...` there would pass and test nothing",
				Mend: "delete it; go.work holds the modules together",
			})
		case !slices.Contains(used, m.Dir) && !excused.cover(m.Dir):
			found = append(found, Finding{File: m.Dir, What: "is a module that go.work does not use", Mend: "go work use ./" + m.Dir})
		case slices.Contains(used, m.Dir) && slices.Contains(w.outside(), m.Dir):
			found = append(found, Finding{File: "go.work", What: "uses " + m.Dir + ", which stays outside", Mend: "go work edit -dropuse=./" + m.Dir})
		}
	}
	for _, r := range work.Replace {
		found = append(found, Finding{
			File: "go.work", Line: r.Syntax.Start.Line,
			What: "replaces " + r.Old.Path,
			Mend: "put the replace line in each go.mod, so that a build without the workspace does the same",
		})
	}
	return append(found, excused.stale()...)
}

// goLines binds the members of the workspace. A module outside it may have to
// follow the go line of a tool that it pins.
func (w Workspace) goLines(t *Tree, work *modfile.WorkFile) []Finding {
	if work.Go == nil {
		return []Finding{{File: "go.work", What: "has no go line", Mend: "add the version that the modules have"}}
	}
	var found []Finding
	for _, m := range t.Modules {
		if slices.Contains(w.outside(), m.Dir) {
			continue
		}
		version := "none"
		if m.File.Go != nil {
			version = m.File.Go.Version
		}
		if version != work.Go.Version {
			found = append(found, Finding{
				File: m.Dir + "/go.mod",
				What: fmt.Sprintf("its go line is %s, that of go.work %s", version, work.Go.Version),
				Mend: "make them equal: GOWORK=off go -C " + m.Dir + " mod edit -go=" + work.Go.Version,
			})
		}
		if m.File.Toolchain != nil {
			found = append(found, Finding{
				File: m.Dir + "/go.mod", Line: m.File.Toolchain.Syntax.Start.Line,
				What: "has a toolchain line",
				Mend: "go -C " + m.Dir + " mod edit -toolchain=none",
			})
		}
	}
	return found
}

// sharedVersions compares direct dependencies only: the indirect ones follow
// from them. In the workspace the highest version is built with, outside it
// each module's own, so a difference means testing one thing and shipping
// another.
func sharedVersions(t *Tree, outside []string) []Finding {
	type use struct{ version, dir string }
	newest := map[string]use{}
	each := func(fn func(m Module, r *modfile.Require)) {
		for _, m := range t.Modules {
			if slices.Contains(outside, m.Dir) {
				continue
			}
			for _, r := range m.File.Require {
				if !r.Indirect {
					fn(m, r)
				}
			}
		}
	}
	each(func(m Module, r *modfile.Require) {
		if have, ok := newest[r.Mod.Path]; !ok || semver.Compare(r.Mod.Version, have.version) > 0 {
			newest[r.Mod.Path] = use{r.Mod.Version, m.Dir}
		}
	})
	var found []Finding
	each(func(m Module, r *modfile.Require) {
		if best := newest[r.Mod.Path]; best.version != r.Mod.Version {
			found = append(found, Finding{
				File: m.Dir + "/go.mod", Line: r.Syntax.Start.Line,
				What: fmt.Sprintf("requires %s %s, and %s requires %s", r.Mod.Path, r.Mod.Version, best.dir, best.version),
				Mend: fmt.Sprintf("go -C %s get %s@%s", m.Dir, r.Mod.Path, best.version),
			})
		}
	})
	return found
}

func (w Workspace) replaces(t *Tree, m Module) []Finding {
	var found []Finding
	add := func(line int, what, mend string) {
		found = append(found, Finding{File: m.Dir + "/go.mod", Line: line, What: what, Mend: mend})
	}
	replaced := map[string]bool{}
	for _, r := range m.File.Replace {
		line := r.Syntax.Start.Line
		replaced[r.Old.Path] = true
		dir, own := strings.CutPrefix(r.Old.Path, w.Prefix+"/")
		switch {
		case !own:
			add(line, "replaces "+r.Old.Path+", which is not ours", "require the version that is needed")
		case r.New.Version != "" || !strings.HasPrefix(r.New.Path, "."):
			add(line, "replaces "+r.Old.Path+" by "+r.New.Path, "replace it by a relative folder")
		case path.Join(m.Dir, r.New.Path) != dir || !t.exists(dir+"/go.mod"):
			add(line, fmt.Sprintf("replaces %s by %s", r.Old.Path, r.New.Path), "point it at "+relative(m.Dir, dir))
		}
	}
	for _, r := range m.File.Require {
		dir, own := strings.CutPrefix(r.Mod.Path, w.Prefix+"/")
		if own && !replaced[r.Mod.Path] {
			add(r.Syntax.Start.Line, "requires "+r.Mod.Path+" without a replace line",
				fmt.Sprintf("go -C %s mod edit -replace=%s=%s", m.Dir, r.Mod.Path, relative(m.Dir, dir)))
		}
		delete(replaced, r.Mod.Path)
	}
	for p := range replaced {
		if strings.HasPrefix(p, w.Prefix+"/") {
			add(0, "replaces "+p+" and does not require it", fmt.Sprintf("go -C %s mod edit -dropreplace=%s", m.Dir, p))
		}
	}
	return found
}

// relative gives the path from one folder of the tree to another.
func relative(from, to string) string {
	return strings.Repeat("../", strings.Count(from, "/")+1) + to
}
