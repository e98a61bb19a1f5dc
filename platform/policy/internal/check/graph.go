package check

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
)

// Graph says which package imports which. Packages of the tree are read from
// their sources, so that files for another system or build tag count too;
// packages from elsewhere come from the go command.
type Graph struct {
	imports map[string][]string
	tests   map[string][]string // imports of test files
	own     []string            // packages of the tree, sorted
}

// NewGraph builds the graph of a tree. others holds the imports of packages
// from outside it; a package that is in neither is a leaf.
func NewGraph(t *Tree, others map[string][]string) *Graph {
	g := &Graph{imports: maps.Clone(others), tests: map[string][]string{}}
	if g.imports == nil {
		g.imports = map[string][]string{}
	}
	own := map[string][]string{}
	for _, f := range t.Go {
		from := f.ImportPath
		if from == "" {
			from = f.Path
		}
		if _, ok := own[from]; !ok {
			own[from] = nil
		}
		for _, spec := range f.AST.Imports {
			to, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				continue // the parser has already refused such a file
			}
			if f.Test {
				g.tests[from] = append(g.tests[from], to)
			} else {
				own[from] = append(own[from], to)
			}
		}
	}
	maps.Copy(g.imports, own)
	g.own = slices.Sorted(maps.Keys(own))
	for _, edges := range []map[string][]string{g.imports, g.tests} {
		for from, to := range edges {
			edges[from] = slices.Compact(slices.Sorted(slices.Values(to)))
		}
	}
	return g
}

// Children lists the names directly below an import path that hold packages
// of the tree, themselves or deeper.
func (g *Graph) Children(prefix string) []string {
	var names []string
	for _, p := range g.own {
		if rest, ok := strings.CutPrefix(p, prefix+"/"); ok {
			name, _, _ := strings.Cut(rest, "/")
			names = append(names, name)
		}
	}
	return slices.Compact(names)
}

// Others asks the go command, once, for the imports of every package that the
// workspace at root needs. A package that does not compile is listed as far as
// it can be read: saying why it does not is the compiler's part.
func Others(ctx context.Context, root string) (map[string][]string, error) {
	cmd := exec.CommandContext(ctx, "go", "list", "-e", "-deps", "-json=ImportPath,Imports,Standard", "work")
	cmd.Dir = root
	cmd.Env = WorkspaceEnv(root)
	var complaint bytes.Buffer
	cmd.Stderr = &complaint
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("list packages: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("list packages: %w", err)
	}
	others, err := decodeList(out)
	if err := errors.Join(err, cmd.Wait()); err != nil {
		return nil, fmt.Errorf("list packages with `go list -e -deps work`: %w: %s", err, bytes.TrimSpace(complaint.Bytes()))
	}
	return others, nil
}

func decodeList(r io.Reader) (map[string][]string, error) {
	others := map[string][]string{}
	for dec := json.NewDecoder(r); ; {
		var p struct {
			ImportPath string   `json:"ImportPath"`
			Imports    []string `json:"Imports"`
			Standard   bool     `json:"Standard"`
		}
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return others, nil
		} else if err != nil {
			return nil, fmt.Errorf("decode package list: %w", err)
		}
		if !p.Standard {
			others[p.ImportPath] = p.Imports
		}
	}
}

// WorkspaceEnv is the environment for a go command that has to see the whole
// workspace, whoever started the test: a caller may have switched the
// workspace off, or be a mage target that left its own settings behind.
func WorkspaceEnv(root string) []string {
	env := slices.DeleteFunc(os.Environ(), func(kv string) bool {
		return strings.HasPrefix(kv, "MAGEFILE_") || strings.HasPrefix(kv, "GOFLAGS=")
	})
	return append(env, "GOWORK="+root+"/go.work", "PWD="+root)
}
