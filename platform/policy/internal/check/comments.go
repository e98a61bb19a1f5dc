package check

import (
	"fmt"
	"go/ast"
	"maps"
	"path"
	"slices"
	"strings"
)

// PackageComments wants exactly one package comment in every package, in the
// form that go doc shows well: "Package name ..." or "Command name ...".
// Packages that are wholly generated, or hold only tests, need none.
func PackageComments(t *Tree) []Finding {
	packages := map[string][]*GoFile{}
	for _, f := range t.Go {
		if f.Test || f.Generated || f.ImportPath == "" {
			continue
		}
		key := f.Dir() + " " + f.AST.Name.Name
		packages[key] = append(packages[key], f)
	}
	var found []Finding
	for _, key := range slices.Sorted(maps.Keys(packages)) {
		found = append(found, packageComment(packages[key])...)
	}
	return sorted(found)
}

func packageComment(files []*GoFile) []Finding {
	start := commentStart(files[0])
	var found []Finding
	var with []string
	for _, f := range files {
		if f.AST.Doc == nil {
			continue
		}
		with = append(with, path.Base(f.Path))
		if text := f.AST.Doc.Text(); !strings.HasPrefix(text, start) {
			first, _, _ := strings.Cut(text, "\n")
			found = append(found, Finding{
				File: f.Path,
				Line: 1,
				What: fmt.Sprintf("the package comment begins %q", first),
				Mend: fmt.Sprintf("begin it with %q, then say what the package is for and what it is not", start),
			})
		}
	}
	switch len(with) {
	case 1:
		return found
	case 0:
		return []Finding{{
			File: files[0].Dir(),
			What: fmt.Sprintf("package %s has no package comment", files[0].AST.Name.Name),
			Mend: fmt.Sprintf("put one on doc.go or the main file; it begins %q", start),
		}}
	default:
		return append(found, Finding{
			File: files[0].Dir(),
			What: fmt.Sprintf("package %s has %d package comments, in %s", files[0].AST.Name.Name, len(with), strings.Join(with, ", ")),
			Mend: "keep one",
		})
	}
}

// commentStart is how a package's comment begins. A command is known by its
// folder, since its package is always called main.
func commentStart(f *GoFile) string {
	if f.AST.Name.Name == "main" {
		return "Command " + path.Base(f.Dir()) + " "
	}
	return "Package " + f.AST.Name.Name + " "
}

// functions lists the functions and methods declared in a file.
func functions(f *GoFile) []*ast.FuncDecl {
	var funcs []*ast.FuncDecl
	for _, d := range f.AST.Decls {
		if fn, ok := d.(*ast.FuncDecl); ok {
			funcs = append(funcs, fn)
		}
	}
	return funcs
}
