package check

import (
	"fmt"
	"go/ast"
	"path"
	"strings"
)

// Limits are the sizes that code has to stay under. Generated files have none.
type Limits struct {
	// FileLines bounds every Go file, tests included.
	FileLines int
	// FunctionLines bounds every function outside tests, from the line of its
	// func keyword to that of its closing brace. Tests are exempt because a
	// table of cases is long and yet easy to read.
	FunctionLines int
	// PackageFiles bounds the files of a package, tests not counted.
	PackageFiles int
}

// Oversize excuses one file or function from its limit, at the size it has.
type Oversize struct {
	// Name is the path of a file, "path:Function" or "path:Type.Method" for a
	// function, or a folder for a package.
	Name string
	// Size is its present size exactly: an entry follows the code down.
	Size int
	// Reason says why it is not split.
	Reason string
}

// sizes collects what is over a limit and settles it with the allow-list.
type sizes struct {
	allow map[string]Oversize
	seen  map[string]bool
	found []Finding
}

// Sizes reports everything that is not under its limit and not in the
// allow-list, and every entry of the allow-list that is no longer exact.
func Sizes(t *Tree, limits Limits, allow []Oversize) []Finding {
	s := sizes{allow: map[string]Oversize{}, seen: map[string]bool{}}
	for _, a := range allow {
		s.allow[a.Name] = a
	}
	packages := map[string]int{}
	for _, f := range t.Go {
		if f.Generated {
			continue
		}
		s.measure(f.Path, f.Path, 0, f.Lines, limits.FileLines, "lines", "split the file by concern")
		if f.Test {
			continue
		}
		packages[f.Dir()]++
		for _, fn := range functions(f) {
			first, last := t.Line(fn.Pos()), t.Line(fn.End())
			s.measure(f.Path+":"+funcName(fn), f.Path, first, last-first+1, limits.FunctionLines,
				"lines in function "+funcName(fn), "move its steps into functions of their own")
		}
	}
	for dir, n := range packages {
		s.measure(dir, dir, 0, n, limits.PackageFiles, "files in the package", "split the package by concern")
	}
	for name, a := range s.allow {
		if !s.seen[name] {
			s.found = append(s.found, Finding{
				File: name,
				What: fmt.Sprintf("is in the size allow-list with %d, and is gone or under its limit", a.Size),
				Mend: "delete the entry",
			})
		}
	}
	return sorted(s.found)
}

func (s *sizes) measure(name, file string, line, size, limit int, unit, mend string) {
	if size < limit {
		return
	}
	a, ok := s.allow[name]
	s.seen[name] = ok
	switch {
	case !ok:
		s.found = append(s.found, Finding{
			File: file, Line: line,
			What: fmt.Sprintf("%d %s; the limit is under %d", size, unit, limit),
			Mend: mend,
		})
	case size > a.Size:
		s.found = append(s.found, Finding{
			File: file, Line: line,
			What: fmt.Sprintf("%d %s; its allowance is %d and may only shrink", size, unit, a.Size),
			Mend: mend,
		})
	case size < a.Size:
		s.found = append(s.found, Finding{
			File: file, Line: line,
			What: fmt.Sprintf("%d %s, down from an allowance of %d", size, unit, a.Size),
			Mend: fmt.Sprintf("lower the entry to %d, so that it cannot grow back", size),
		})
	}
}

// funcName gives Function or Type.Method.
func funcName(fn *ast.FuncDecl) string {
	if fn.Recv == nil || len(fn.Recv.List) == 0 {
		return fn.Name.Name
	}
	typ := fn.Recv.List[0].Type
	for {
		switch x := typ.(type) {
		case *ast.StarExpr:
			typ = x.X
		case *ast.IndexExpr:
			typ = x.X
		case *ast.IndexListExpr:
			typ = x.X
		case *ast.Ident:
			return x.Name + "." + fn.Name.Name
		default:
			return fn.Name.Name
		}
	}
}

// Mains wants the main file of every command, and the magefile, to do nothing
// but start something: main lines at most for a command, mage lines at most
// for the magefile, which declares no function.
func Mains(t *Tree, mainLines, mageLines int) []Finding {
	var found []Finding
	for _, f := range t.Go {
		var limit int
		switch {
		case f.Path == "magefile.go":
			limit = mageLines
			for _, fn := range functions(f) {
				found = append(found, Finding{
					File: f.Path, Line: t.Line(fn.Pos()),
					What: "declares function " + fn.Name.Name,
					Mend: "declare targets in the targets package, where they are tested",
				})
			}
		case path.Base(f.Path) == "main.go" && strings.Contains("/"+f.Path, "/cmd/"):
			limit = mainLines
		default:
			continue
		}
		if f.Lines > limit {
			found = append(found, Finding{
				File: f.Path,
				What: fmt.Sprintf("%d lines; the limit is %d", f.Lines, limit),
				Mend: "move the work into a package that a test can call",
			})
		}
	}
	return sorted(found)
}
