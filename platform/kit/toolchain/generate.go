package toolchain

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// tool returns the command line of a pinned tool, to be run in a folder at the
// given depth below the root. The tool's version comes from its module in
// platform/tools, the working folder stays the caller's.
func (o Options) tool(dir, module, name string, args ...string) (Command, error) {
	mod, err := filepath.Rel(dir, filepath.Join(o.Root, filepath.FromSlash(Tools), module, "go.mod"))
	if err != nil {
		return Command{}, fmt.Errorf("find tool %s: %w", name, err)
	}
	cmd := o.command(append([]string{"go", "tool", "-modfile=" + mod, name}, args...)...)
	cmd.Dir, cmd.Env = dir, []string{"GOWORK=off"}
	return cmd, nil
}

// Generate writes all generated code afresh: protos, gateways and OpenAPI by
// buf, each service's queries by sqlc, and what go:generate lines say.
func Generate(ctx context.Context, o Options) error {
	if err := Protos(ctx, o); err != nil {
		return err
	}
	configs, err := filepath.Glob(filepath.Join(o.Root, "services", "*", "sqlc.yaml"))
	if err != nil {
		return fmt.Errorf("find sqlc configurations: %w", err)
	}
	for _, config := range configs {
		if err := Queries(ctx, o, filepath.Dir(config)); err != nil {
			return err
		}
	}
	if err := o.command("go", "generate", "work").Run(ctx); err != nil {
		return fmt.Errorf("run go:generate lines: %w", err)
	}
	return nil
}

// Protos generates messages, gRPC, gateways and OpenAPI documents.
func Protos(ctx context.Context, o Options) error {
	buf, err := o.tool(filepath.Join(o.Root, "proto"), "buf", "buf", "generate")
	if err != nil {
		return err
	}
	if err := buf.Run(ctx); err != nil {
		return fmt.Errorf("generate from protos: %w", err)
	}
	return nil
}

// Queries generates the typed queries of one service, whose folder is dir.
func Queries(ctx context.Context, o Options, dir string) error {
	sqlc, err := o.tool(dir, "sqlc", "sqlc", "generate")
	if err != nil {
		return err
	}
	if err := sqlc.Run(ctx); err != nil {
		return fmt.Errorf("generate queries: %w", err)
	}
	return nil
}

// generated are the trees in which Generate writes.
var generated = []string{"proto/slipway", "services", "platform/serve/internal"}

// StaleError lists generated files that differ from what would be generated.
type StaleError struct{ Files []string }

// Error names the files.
func (e *StaleError) Error() string {
	return "generated files are out of date: " + strings.Join(e.Files, ", ")
}

// Next is the command that mends it.
func (e *StaleError) Next() string { return "go tool mage gen && git add -A proto services platform" }

// CheckGenerated generates and compares. What differs is put back as it was
// and reported as a *StaleError.
func CheckGenerated(ctx context.Context, o Options) error {
	return compare(o, func() error { return Generate(ctx, o) })
}

// compare reports what generate changes, and undoes it.
func compare(o Options, generate func() error) error {
	before, err := snapshot(o.Root, generated)
	if err != nil {
		return err
	}
	genErr := generate()
	after, err := snapshot(o.Root, generated)
	if err != nil {
		return errors.Join(genErr, err)
	}
	stale := &StaleError{}
	for path := range after {
		if _, ok := before[path]; !ok {
			stale.Files = append(stale.Files, path)
			err = errors.Join(err, os.Remove(filepath.Join(o.Root, path)))
		}
	}
	for path, content := range before {
		if now, ok := after[path]; !ok || !bytes.Equal(now, content) {
			stale.Files = append(stale.Files, path)
			err = errors.Join(err, os.WriteFile(filepath.Join(o.Root, path), content, 0o644)) //nolint:gosec // source files
		}
	}
	if err := errors.Join(genErr, err); err != nil {
		return err
	}
	if len(stale.Files) > 0 {
		slices.Sort(stale.Files)
		return stale
	}
	return nil
}

// snapshot reads the files of the trees, by their path relative to root.
func snapshot(root string, trees []string) (map[string][]byte, error) {
	files := map[string][]byte{}
	for _, tree := range trees {
		all := os.DirFS(root)
		err := fs.WalkDir(all, filepath.ToSlash(tree), func(path string, d fs.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() {
				return err
			}
			files[filepath.FromSlash(path)], err = fs.ReadFile(all, path)
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", tree, err)
		}
	}
	return files, nil
}
