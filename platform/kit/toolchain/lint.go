package toolchain

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
)

// Lint runs every linter and reports all of what they find: golangci-lint on
// each module, buf on the protos, actionlint on the workflows.
func Lint(ctx context.Context, o Options) error {
	commands, err := o.linters(ctx)
	if err != nil {
		return err
	}
	var errs []error
	for _, cmd := range commands {
		if err := cmd.Run(ctx); err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			errs = append(errs, err)
		}
	}
	if len(errs) > 0 {
		return fmt.Errorf("lint: %w", errors.Join(errs...))
	}
	return nil
}

func (o Options) linters(ctx context.Context) ([]Command, error) {
	modules, err := o.modules()
	if err != nil {
		return nil, err
	}
	proto := filepath.Join(o.Root, "proto")
	var commands []Command
	add := func(dir, module, name string, args ...string) {
		cmd, toolErr := o.tool(dir, module, name, args...)
		err = errors.Join(err, toolErr)
		commands = append(commands, cmd)
	}
	for _, dir := range modules {
		add(dir, "lint", "golangci-lint", "run", "--build-tags", "e2e,"+terraformTag, "--config", filepath.Join(o.Root, ".golangci.yml"), "./...")
	}
	add(proto, "buf", "buf", "lint")
	add(proto, "buf", "buf", "format", "--diff", "--exit-code", "--path", "slipway")
	if o.onMain(ctx) {
		add(proto, "buf", "buf", "breaking", "--against", "../.git#branch=main,subdir=proto")
	}
	add(filepath.Join(o.Root, filepath.FromSlash(Tools)), ".", "actionlint") // finds the workflows from any folder
	return commands, err
}

// onMain reports whether there is a branch main that has protos, against which
// breaking changes can be told.
func (o Options) onMain(ctx context.Context) bool {
	cmd := o.command("git", "ls-tree", "--name-only", "main", "proto/buf.yaml")
	cmd.Stderr = nil
	out, err := cmd.Output(ctx)
	return err == nil && strings.TrimSpace(out) != ""
}
