package scaffold

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

	"github.com/slipway-dev/slipway/platform/kit/event"
	"github.com/slipway-dev/slipway/platform/kit/toolchain"
)

// Apply makes the service. It generates, tidies and compiles in a copy of what
// that needs; only what came out well is put into the checkout, all of it or
// nothing. It returns the paths of all files that were written.
func Apply(ctx context.Context, p Plan, emit *event.Emitter) (written []string, err error) {
	stage, err := os.MkdirTemp("", "slipway-new-")
	if err != nil {
		return nil, fmt.Errorf("make a folder to work in: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(stage)) }()
	if err := p.fill(ctx, stage); err != nil {
		return nil, err
	}
	if err := p.finish(ctx, stage, emit); err != nil {
		return nil, err
	}
	files, err := p.collect(stage)
	if err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err //nolint:wrapcheck // the caller knows its own context
	}
	err = emit.Run("write "+p.Service, func(*event.Step) (string, error) {
		return fmt.Sprintf("%d files", len(files)), place(p.root, files)
	})
	if err != nil {
		return nil, err
	}
	for _, f := range files {
		written = append(written, f.Path)
	}
	return written, nil
}

// copied are the trees that generating and compiling a service needs.
var copied = []string{"proto", "services", "platform", "go.work", "go.work.sum"}

// fill copies the checkout's code into the stage and adds the plan's files.
func (p Plan) fill(ctx context.Context, stage string) error {
	all := os.DirFS(p.root)
	for _, tree := range copied {
		err := fs.WalkDir(all, tree, func(path string, d fs.DirEntry, err error) error {
			switch {
			case err != nil:
				return err
			case ctx.Err() != nil:
				return ctx.Err()
			case d.IsDir() && strings.HasPrefix(d.Name(), "."):
				return fs.SkipDir // a tool's own, and maybe large
			case !d.Type().IsRegular():
				return nil
			}
			data, err := fs.ReadFile(all, path)
			if err != nil {
				return err //nolint:wrapcheck // wrapped below
			}
			return write(local(stage, path), data)
		})
		if err != nil && (tree != "go.work.sum" || !errors.Is(err, fs.ErrNotExist)) {
			return fmt.Errorf("copy %s to work on: %w", tree, err)
		}
	}
	for _, f := range p.Files {
		if err := write(local(stage, f.Path), f.content); err != nil {
			return fmt.Errorf("render %s: %w", f.Path, err)
		}
	}
	return nil
}

// finish runs what turns the rendered files into a service, in the stage.
func (p Plan) finish(ctx context.Context, stage string, emit *event.Emitter) error {
	dir := local(stage, "services/"+p.Service)
	for _, step := range []struct {
		title string
		run   func(context.Context, toolchain.Options) error
	}{
		{"generate gRPC, REST and OpenAPI", toolchain.Protos},
		{"generate queries", func(ctx context.Context, o toolchain.Options) error { return toolchain.Queries(ctx, o, dir) }},
		{"settle requirements", func(ctx context.Context, o toolchain.Options) error { return toolchain.TidyModule(ctx, o, dir) }},
		{"compile code and tests", func(ctx context.Context, o toolchain.Options) error { return toolchain.Vet(ctx, o, dir) }},
	} {
		err := emit.Run(step.title, func(*event.Step) (string, error) {
			var said bytes.Buffer
			err := step.run(ctx, toolchain.Options{Root: stage, Stdout: &said, Stderr: &said})
			if err != nil && ctx.Err() == nil && said.Len() > 0 {
				err = fmt.Errorf("%w\n%s", err, bytes.TrimSpace(said.Bytes()))
			}
			return "", err
		})
		if err != nil {
			return fmt.Errorf("%s: %w", step.title, err)
		}
	}
	return nil
}

// collect reads what belongs to the service from the stage: the plan's files as
// the tools left them, and what the tools made beside them.
func (p Plan) collect(stage string) ([]File, error) {
	var files []File
	all := os.DirFS(stage)
	for _, dir := range []string{"services/" + p.Service, "proto/slipway/" + p.names.Package} {
		err := fs.WalkDir(all, dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			data, err := fs.ReadFile(all, path)
			files = append(files, File{Path: path, content: data})
			return err //nolint:wrapcheck // wrapped below
		})
		if err != nil {
			return nil, fmt.Errorf("collect files: %w", err)
		}
	}
	for _, f := range p.Files {
		if f.Edit {
			files = append(files, f)
		}
	}
	slices.SortFunc(files, func(a, b File) int { return strings.Compare(a.Path, b.Path) })
	return files, nil
}

// place writes the files into the checkout. When one cannot be written, those
// before it are taken back. It takes no context: it is over in a moment, and
// half of it is worth nothing.
func place(root string, files []File) (err error) {
	var undo []func() error
	defer func() {
		if err == nil {
			return
		}
		slices.Reverse(undo)
		for _, back := range undo {
			err = errors.Join(err, back())
		}
	}()
	for _, f := range files {
		path := local(root, f.Path)
		if f.Edit {
			now, err := os.ReadFile(path)
			if err != nil {
				return fmt.Errorf("edit %s: %w", f.Path, err)
			}
			if !bytes.Equal(now, f.before) {
				return fmt.Errorf("edit %s: it has changed meanwhile", f.Path)
			}
			undo = append(undo, func() error { return write(path, now) })
			if err := write(path, f.content); err != nil {
				return fmt.Errorf("edit %s: %w", f.Path, err)
			}
			continue
		}
		made, err := create(path, f.content)
		for _, path := range made {
			undo = append(undo, func() error { return os.Remove(path) })
		}
		if err != nil {
			return fmt.Errorf("write %s: %w", f.Path, err)
		}
	}
	return nil
}

// create makes a file that does not exist, and the folders above it. It returns
// what it made, the highest folder first, also when it fails.
func create(path string, data []byte) (made []string, err error) {
	for at := filepath.Dir(path); at != filepath.Dir(at); at = filepath.Dir(at) {
		if _, err := os.Stat(at); err == nil {
			break
		}
		made = append(made, at)
	}
	slices.Reverse(made)
	for _, dir := range made {
		if err := os.Mkdir(dir, 0o755); err != nil { //nolint:gosec // a source folder
			return made[:slices.Index(made, dir)], err //nolint:wrapcheck // it names the path
		}
	}
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644) //nolint:gosec // a source file
	if err != nil {
		return made, err //nolint:wrapcheck // it names the path
	}
	_, err = file.Write(data)
	return append(made, path), errors.Join(err, file.Close())
}

func write(path string, data []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil { //nolint:gosec // a source folder
		return err //nolint:wrapcheck // it names the path, and the caller what for
	}
	return os.WriteFile(path, data, 0o644) //nolint:gosec // a source file
}
