package check

import (
	"fmt"
	"go/ast"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// CallRule forbids calls of some functions.
type CallRule struct {
	Name string
	// Package is the import path of the functions, or a pattern as in
	// [ImportRule]. When it is empty the functions are methods, and Receivers
	// names the variables they are called on.
	Package   string
	Receivers []string
	// Functions are the forbidden names.
	Functions []string
	// In chooses the files that the rule binds; nil means every file.
	In func(*GoFile) bool
	// Excuses are the files that may break it.
	Excuses []Excuse
	// Mend says what to call instead, and why.
	Mend string
}

// Calls reports the forbidden calls outside generated files, and the excuses
// that nothing needs. It goes by the names in the source: it does not see a
// function stored in a variable first.
func Calls(t *Tree, rules []CallRule) []Finding {
	var found []Finding
	for _, r := range rules {
		excused := newExcuses(r.Name, r.Excuses)
		for _, f := range t.Go {
			if f.Generated || (r.In != nil && !r.In(f)) {
				continue
			}
			hits := r.hits(t, f)
			if len(hits) > 0 && !excused.cover(f.Path) {
				found = append(found, hits...)
			}
		}
		found = append(found, excused.stale()...)
	}
	return sorted(found)
}

func (r CallRule) hits(t *Tree, f *GoFile) []Finding {
	locals := r.locals(f)
	if len(locals) == 0 {
		return nil
	}
	var found []Finding
	ast.Inspect(f.AST, func(n ast.Node) bool {
		sel, ok := n.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		x, ok := sel.X.(*ast.Ident)
		if ok && slices.Contains(locals, x.Name) && slices.Contains(r.Functions, sel.Sel.Name) {
			found = append(found, Finding{
				File: f.Path, Line: t.Line(sel.Pos()),
				What: fmt.Sprintf("uses %s.%s (rule %q)", x.Name, sel.Sel.Name, r.Name),
				Mend: r.Mend,
			})
		}
		return true
	})
	return found
}

// locals lists the names by which a file may refer to the rule's functions.
func (r CallRule) locals(f *GoFile) []string {
	if r.Package == "" {
		return r.Receivers
	}
	var names []string
	for _, spec := range f.AST.Imports {
		p, err := strconv.Unquote(spec.Path.Value)
		if err != nil || !match(r.Package, p) {
			continue
		}
		if spec.Name != nil {
			names = append(names, spec.Name.Name)
		} else {
			names = append(names, path.Base(majorVersion.ReplaceAllString(p, "")))
		}
	}
	return names
}

var majorVersion = regexp.MustCompile(`/v[0-9]+$`)

// Inits reports init functions outside generated files: importing a package
// must not do anything.
func Inits(t *Tree) []Finding {
	var found []Finding
	for _, f := range t.Go {
		if f.Generated {
			continue
		}
		for _, fn := range functions(f) {
			if fn.Recv == nil && fn.Name.Name == "init" {
				found = append(found, Finding{
					File: f.Path, Line: t.Line(fn.Pos()),
					What: "declares an init function",
					Mend: "build the value in a constructor, or give the variable its initial value where it is declared",
				})
			}
		}
	}
	return sorted(found)
}

// Below reports whether a file lies in one of the folders or below it.
func (f *GoFile) Below(dirs ...string) bool {
	return slices.ContainsFunc(dirs, func(d string) bool { return strings.HasPrefix(f.Path, d+"/") })
}

// InFolderNamed reports whether any folder above the file has this name.
func (f *GoFile) InFolderNamed(name string) bool {
	return slices.Contains(strings.Split(f.Dir(), "/"), name)
}
