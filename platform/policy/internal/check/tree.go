package check

import (
	"bytes"
	"context"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"slices"
	"strings"

	"golang.org/x/mod/modfile"
)

// Tree is a source tree read into memory: every file that belongs to the
// repository, its Go files parsed whatever their build constraints say, and
// its modules.
type Tree struct {
	// Files holds the content by slash-separated path.
	Files map[string][]byte
	// Go holds the parsed Go files in path order, without testdata folders.
	Go []*GoFile
	// Modules holds the go.mod files in path order.
	Modules []Module

	fset *token.FileSet
}

// Module is one go.mod file.
type Module struct {
	// Dir is the folder of the file, "." at the root of the tree.
	Dir  string
	File *modfile.File
}

// Path is the module's import path prefix.
func (m Module) Path() string { return m.File.Module.Mod.Path }

// GoFile is one parsed Go file.
type GoFile struct {
	Path string
	// ImportPath is that of the package in the file's folder; it is empty for
	// a file outside every module.
	ImportPath string
	Test       bool
	Generated  bool
	// Lines counts the lines as an editor does.
	Lines int
	AST   *ast.File
}

// Dir is the folder of the file.
func (f *GoFile) Dir() string { return path.Dir(f.Path) }

// Paths lists the files of the tree in order.
func (t *Tree) Paths() []string {
	paths := make([]string, 0, len(t.Files))
	for p := range t.Files {
		paths = append(paths, p)
	}
	slices.Sort(paths)
	return paths
}

// Line gives the line of a position in one of the tree's Go files.
func (t *Tree) Line(p token.Pos) int { return t.fset.Position(p).Line }

// Repository reads the checkout at root: the files git tracks and those it
// would track, so that a broken rule shows before the commit.
func Repository(ctx context.Context, root string) (*Tree, error) {
	cmd := exec.CommandContext(ctx, "git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	cmd.Dir = root
	var complaint bytes.Buffer
	cmd.Stderr = &complaint
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("list files of %s with git: %w: %s", root, err, bytes.TrimSpace(complaint.Bytes()))
	}
	files := map[string][]byte{}
	for name := range strings.SplitSeq(strings.TrimSuffix(string(out), "\x00"), "\x00") {
		info, err := os.Lstat(path.Join(root, name))
		if err != nil || !info.Mode().IsRegular() {
			continue // deleted but not yet committed, or a link
		}
		data, err := os.ReadFile(path.Join(root, name))
		if err != nil {
			return nil, fmt.Errorf("read repository: %w", err)
		}
		files[name] = data
	}
	return NewTree(files)
}

// NewTree parses the files of a tree held in memory.
func NewTree(files map[string][]byte) (*Tree, error) {
	t := &Tree{Files: files, fset: token.NewFileSet()}
	for _, p := range t.Paths() {
		if path.Base(p) != "go.mod" || inTestdata(p) {
			continue
		}
		file, err := modfile.Parse(p, files[p], nil)
		if err != nil {
			return nil, fmt.Errorf("parse module file: %w", err)
		}
		if file.Module == nil {
			return nil, fmt.Errorf("parse module file %s: it has no module line", p)
		}
		t.Modules = append(t.Modules, Module{Dir: path.Dir(p), File: file})
	}
	for _, p := range t.Paths() {
		if path.Ext(p) != ".go" || inTestdata(p) {
			continue
		}
		file, err := t.parse(p)
		if err != nil {
			return nil, err
		}
		t.Go = append(t.Go, file)
	}
	return t, nil
}

func (t *Tree) parse(p string) (*GoFile, error) {
	src := t.Files[p]
	file, err := parser.ParseFile(t.fset, p, src, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return nil, fmt.Errorf("parse Go file: %w", err)
	}
	return &GoFile{
		Path:       p,
		ImportPath: t.importPath(path.Dir(p)),
		Test:       strings.HasSuffix(p, "_test.go"),
		Generated:  ast.IsGenerated(file),
		Lines:      countLines(src),
		AST:        file,
	}, nil
}

// importPath finds the module that a folder belongs to: the nearest one above.
func (t *Tree) importPath(dir string) string {
	best, importPath := -1, ""
	for _, m := range t.Modules {
		rel, ok := within(m.Dir, dir)
		if ok && len(m.Dir) > best {
			best, importPath = len(m.Dir), path.Join(m.Path(), rel)
		}
	}
	return importPath
}

// within gives the path of dir relative to parent when it lies inside.
func within(parent, dir string) (string, bool) {
	if parent == "." || parent == dir {
		return strings.TrimPrefix(strings.TrimPrefix(dir, parent), "/"), true
	}
	return strings.CutPrefix(dir, parent+"/")
}

func inTestdata(p string) bool {
	return slices.Contains(strings.Split(p, "/"), "testdata")
}

func countLines(src []byte) int {
	n := strings.Count(string(src), "\n")
	if len(src) > 0 && src[len(src)-1] != '\n' {
		n++
	}
	return n
}

// exists reports whether p is a file or a folder of the tree.
func (t *Tree) exists(p string) bool {
	if p == "." {
		return true
	}
	if _, ok := t.Files[p]; ok || !fs.ValidPath(p) {
		return ok
	}
	for name := range t.Files {
		if strings.HasPrefix(name, p+"/") {
			return true
		}
	}
	return false
}
