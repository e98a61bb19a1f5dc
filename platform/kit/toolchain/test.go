package toolchain

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Options are common to the runs over the workspace.
type Options struct {
	// Root is the checkout.
	Root string
	// Only is the folder of one module, relative to Root; all of them if empty.
	// Test and Lint look at it.
	Only string
	// Stdout and Stderr take what the tools print.
	Stdout, Stderr io.Writer
}

func (o Options) command(args ...string) Command {
	return Command{Dir: o.Root, Args: args, Stdout: o.Stdout, Stderr: o.Stderr}
}

// modules are those that a run is about.
func (o Options) modules() ([]string, error) {
	all, err := Modules(o.Root)
	if err != nil || o.Only == "" {
		return all, err
	}
	dir := filepath.Join(o.Root, filepath.FromSlash(o.Only))
	if !slices.Contains(all, dir) {
		return nil, &ModuleError{Dir: o.Only}
	}
	return []string{dir}, nil
}

// ModuleError says that a folder is no module of the workspace.
type ModuleError struct{ Dir string }

// Error names the folder.
func (e *ModuleError) Error() string { return e.Dir + " is no module of the workspace" }

// Next lists those there are.
func (*ModuleError) Next() string { return "go work edit -json   # lists them under Use" }

// ExitCode is that of a wrong argument.
func (*ModuleError) ExitCode() int { return 2 }

// Test runs the tests of every module of the workspace, those of the Terraform
// where [MirrorVariable] is set. With race, the race detector watches, which
// needs a C compiler.
func Test(ctx context.Context, o Options, race bool) error {
	args := []string{"go", "test"}
	if race {
		args = append(args, "-race")
	}
	if o.Only == "" {
		if err := o.command(append(args, "work")...).Run(ctx); err != nil || !withTerraform(o.Stderr) {
			return err
		}
		return o.command("go", "test", "-tags="+terraformTag, "./platform/terraform/tests/...").Run(ctx)
	}
	modules, err := o.modules()
	if err != nil {
		return err
	}
	cmd := o.command(append(args, "./...")...)
	cmd.Dir = modules[0]
	return cmd.Run(ctx)
}

// MirrorVariable names the environment variable with the folder that has the
// Terraform providers, laid out as a filesystem mirror, or the word registry to
// take them from Terraform's registry.
const MirrorVariable = "SLIPWAY_TERRAFORM_MIRROR"

// terraformTag is the build tag of tests that need Terraform and its provider.
const terraformTag = "terraform"

// withTerraform reports whether the tests of the Terraform are to run: where
// somebody has said from where the provider comes. Elsewhere it says how.
func withTerraform(stderr io.Writer) bool {
	if os.Getenv(MirrorVariable) != "" {
		return true
	}
	fmt.Fprintf(stderr, "without the tests of platform/terraform: they need Terraform 1.11 and %s, the folder of a mirror with the AWS provider, or registry\n", MirrorVariable)
	return false
}

// platforms are those that the kit and the services run on.
var platforms = []string{"linux/amd64", "linux/arm64", "darwin/amd64", "darwin/arm64"}

// Cross compiles every module, tests included, for each platform that Slipway
// runs on. Nothing is written but the build cache.
func Cross(ctx context.Context, o Options) error {
	var errs []error
	for _, platform := range platforms {
		goos, goarch, _ := strings.Cut(platform, "/")
		fmt.Fprintln(o.Stderr, "compile for", platform)
		cmd := o.command("go", "build", "work")
		cmd.Env = []string{"GOOS=" + goos, "GOARCH=" + goarch, "CGO_ENABLED=0"}
		if err := cmd.Run(ctx); err != nil {
			errs = append(errs, fmt.Errorf("compile for %s: %w", platform, err))
		}
	}
	return errors.Join(errs...)
}

// Alone builds each module without the workspace, as release images are
// built, and proves that its go.mod is tidy.
func Alone(ctx context.Context, o Options) error {
	modules, err := Modules(o.Root)
	if err != nil {
		return err
	}
	var errs []error
	for _, dir := range modules {
		for _, args := range [][]string{{"go", "build", "./..."}, {"go", "mod", "tidy", "-diff"}} {
			cmd := o.command(args...)
			cmd.Dir, cmd.Env = dir, []string{"GOWORK=off"}
			if err := cmd.Run(ctx); err != nil {
				errs = append(errs, err)
			}
		}
	}
	return errors.Join(errs...)
}

// Tidy brings every module's go.mod up to date.
func Tidy(ctx context.Context, o Options) error {
	modules, err := Modules(o.Root)
	if err != nil {
		return err
	}
	for _, dir := range modules {
		if err := TidyModule(ctx, o, dir); err != nil {
			return err
		}
	}
	return nil
}

// TidyModule brings the go.mod in dir up to date.
func TidyModule(ctx context.Context, o Options, dir string) error {
	cmd := o.command("go", "mod", "tidy")
	cmd.Dir, cmd.Env = dir, []string{"GOWORK=off"}
	return cmd.Run(ctx)
}

// Vet compiles the packages of the module in dir, tests included, alone and as
// a member of the workspace, and reports what is suspicious in them.
func Vet(ctx context.Context, o Options, dir string) error {
	cmd := o.command("go", "vet", "./...")
	cmd.Dir, cmd.Env = dir, []string{"GOWORK=off"}
	if err := cmd.Run(ctx); err != nil {
		return err
	}
	cmd.Env = []string{"GOWORK=" + filepath.Join(o.Root, "go.work")}
	return cmd.Run(ctx)
}

// EndToEnd runs the end-to-end tests, or those whose names match run. They are
// never cached, since they test what lies outside the test program.
func EndToEnd(ctx context.Context, o Options, run string) error {
	args := []string{"go", "test", "-tags", "e2e", "-count=1", "-timeout=40m", "-v"}
	if run != "" {
		args = append(args, "-run", run)
	}
	return o.command(append(args, "./platform/e2e/...")...).Run(ctx)
}
