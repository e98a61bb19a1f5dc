// Package build measures what the kit adds to a bare go build: building and
// pushing a service after a one-line change, and after none.
//
// The figures come in pairs taken in turn within one run, because a machine is
// faster one minute and slower the next: ratios hold where seconds do not.
// Nothing outside a temporary folder is written, save Go's build cache.
package build

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/jonboulle/clockwork"

	"github.com/slipway-dev/slipway/platform/kit/bench/subject"
	"github.com/slipway-dev/slipway/platform/kit/image"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/registry"
	"github.com/slipway-dev/slipway/platform/kit/release"
)

// defaultRuns is the number of pairs if the caller names none.
const defaultRuns = 7

// What is measured, and the password of the registry that lives as long.
const (
	service  = subject.Service
	password = subject.Password
)

// Build measures with the given number of pairs and prints a table to w. root
// is the checkout. It ends early, leaving nothing behind, when ctx is done.
func Build(ctx context.Context, w io.Writer, root string, runs int) error {
	return measureIn(ctx, w, root, filepath.Join(root, "platform", "kit"), runs)
}

// measureIn is Build with the kit's own module in a folder of its own.
func measureIn(ctx context.Context, w io.Writer, root, kit string, runs int) error {
	if runs <= 0 {
		runs = defaultRuns
	}
	temp, err := os.MkdirTemp("", "slipway-bench-")
	if err != nil {
		return fmt.Errorf("make folder: %w", err)
	}
	defer func() { _ = os.RemoveAll(temp) }()
	// The users that tasks and PostgreSQL run as when started by root walk through.
	if err := os.Chmod(temp, 0o755); err != nil { //nolint:gosec // see above
		return fmt.Errorf("open folder: %w", err)
	}
	b := &bench{temp: temp, clock: clockwork.NewRealClock()}
	if err := b.prepare(ctx, root, kit); err != nil {
		return err
	}
	stop, err := b.serve(ctx)
	if err != nil {
		return err
	}
	defer stop()
	fmt.Fprintf(w, "%s for %s, %d pairs; registry on disk, over loopback\n", service, image.Host(), runs)
	for _, c := range []struct {
		name   string
		change bool
		goal   float64
	}{{"one-line change", true, 1.25}, {"no change", false, 1.3}} {
		rows, err := b.measure(ctx, runs, c.change)
		if err != nil {
			return err
		}
		table(w, c.name, c.goal, rows)
	}
	if err := b.size(ctx, w); err != nil {
		return err
	}
	return b.starts(ctx, w, 3*runs)
}

// bench is a copy of the checkout's relevant folders and a registry.
type bench struct {
	temp   string
	root   string // of the copy
	once   string // the kit's build as a program
	host   string // of the registry
	clock  clockwork.Clock
	serial int
}

// prepare copies the service's modules, so that no interrupted run can leave a
// changed file in the checkout, and compiles the program of package once.
func (b *bench) prepare(ctx context.Context, root, kit string) error {
	b.root = filepath.Join(b.temp, "checkout")
	folders, err := release.Folders(filepath.Join(root, "services", service))
	if err != nil {
		return fmt.Errorf("find service %s: %w", service, err)
	}
	for _, folder := range folders {
		name, err := filepath.Rel(root, folder)
		if err != nil || strings.HasPrefix(name, "..") {
			return fmt.Errorf("copy %s: it is outside of %s", folder, root)
		}
		if err := os.CopyFS(filepath.Join(b.root, name), os.DirFS(folder)); err != nil {
			return fmt.Errorf("copy %s: %w", folder, err)
		}
	}
	// A commit of its own, so that asking git costs what it costs in a checkout.
	for _, args := range [][]string{{"init", "-q"}, {"add", "."}, {"commit", "-q", "-m", "copy"}} {
		args = append([]string{"-C", b.root, "-c", "user.name=bench", "-c", "user.email=bench@localhost"}, args...)
		if _, err := b.run(ctx, b.root, "git", args...); err != nil && !errors.Is(err, exec.ErrNotFound) {
			return err
		}
	}
	b.once = filepath.Join(b.temp, "once")
	_, err = b.run(ctx, kit, "go", "build", "-o", b.once, "./bench/build/once")
	return err
}

func (b *bench) serve(ctx context.Context) (stop func(), err error) {
	r, err := registry.New(registry.Config{
		Dir:       filepath.Join(b.temp, "registry"),
		Authorize: registry.Basic("AWS", func(p string) bool { return p == password }),
	})
	if err != nil {
		return nil, err
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen for registry: %w", err)
	}
	server := &http.Server{Handler: r, ReadHeaderTimeout: time.Minute}
	go func() { _ = server.Serve(listener) }()
	b.host = listener.Addr().String()
	return func() { _ = server.Close() }, nil
}

// usage is what a process and the processes it waited for took.
type usage struct {
	cpu  time.Duration
	peak int64 // bytes, of the largest of them
	own  int64 // bytes, of the kit's process alone
}

func (b *bench) run(ctx context.Context, dir, name string, args ...string) (usage, error) {
	var own int64
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off", "GOFLAGS=-buildvcs=false")
	out, err := cmd.CombinedOutput()
	if ctx.Err() != nil {
		return usage{}, ctx.Err()
	}
	if err != nil {
		return usage{}, fmt.Errorf("run %s: %w\n%s", name, err, out)
	}
	if name == b.once {
		_, _ = fmt.Sscan(string(out), &own)
	}
	state := cmd.ProcessState
	return usage{cpu: state.UserTime() + state.SystemTime(), peak: subject.PeakBytes(state.SysUsage()), own: own}, nil
}

func (b *bench) module() string { return filepath.Join(b.root, "services", service) }

// floor is the bare go build everything is compared with.
func (b *bench) floor(ctx context.Context) (usage, error) {
	return b.run(ctx, b.module(), "go", "build", "-trimpath", "-ldflags=-s -w",
		"-o", filepath.Join(b.temp, "floor"), "./cmd/"+service)
}

func (b *bench) inProcess(ctx context.Context) (usage, error) {
	_, _, err := release.Build(ctx, subject.Settings(b.root, b.host, filepath.Join(b.temp, "cache-in")))
	return usage{}, err
}

func (b *bench) process(ctx context.Context) (usage, error) {
	return b.run(ctx, b.root, b.once, b.root, b.host, filepath.Join(b.temp, "cache-once"))
}

// change edits one line of the program. The linker cannot drop the text: only
// running the program could tell that it is never printed.
func (b *bench) change() error {
	b.serial++
	code := fmt.Sprintf("package main\n\nimport \"os\"\n\nfunc init() {\n\tif len(os.Args) > 9999 {\n\t\tprintln(%q)\n\t}\n}\n",
		fmt.Sprintf("change %08d", b.serial))
	path := filepath.Join(b.module(), "cmd", service, "change.go")
	if err := os.WriteFile(path, []byte(code), 0o600); err != nil {
		return fmt.Errorf("change program: %w", err)
	}
	return nil
}
