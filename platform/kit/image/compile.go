package image

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// goGrace is how long an interrupted go command may take to clean up its
// temporary folder before it is killed.
const goGrace = 3 * time.Second

// goCommand prepares a go command that dies with ctx, children included.
func goCommand(ctx context.Context, dir string, env []string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGINT) }
	cmd.WaitDelay = goGrace
	return cmd
}

// compileEnv fixes everything that would let the environment into the binary.
// GOFLAGS must not be empty: an empty one would fall back to the user's
// `go env -w`. The module's own requirements decide, not the workspace's.
func compileEnv(p Platform) []string {
	return []string{
		"CGO_ENABLED=0", "GOWORK=off", "GOFLAGS=-buildvcs=false",
		"GOOS=" + p.OS, "GOARCH=" + p.Arch, "GOAMD64=v1", "GOARM64=v8.0",
	}
}

// compile runs go build. It writes to the same path each time, so that the go
// command links only if something changed.
func (b *builder) compile(ctx context.Context, p Platform, binary string) error {
	if err := os.MkdirAll(filepath.Dir(binary), 0o750); err != nil {
		return fmt.Errorf("make cache folder: %w", err)
	}
	var output bytes.Buffer
	cmd := goCommand(ctx, b.dir, compileEnv(p),
		"build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-o", binary, b.Package)
	cmd.Stdout, cmd.Stderr = &output, &output
	err := cmd.Run()
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return compileFailure(b.Service, b.dir, p, output.String(), err)
}

// goDocument names where to get Go.
const goDocument = "install Go from https://go.dev/dl/"

// compileFailure sorts what the go command said into the reasons a user can do
// something about. The compiler's own words are kept as they are.
func compileFailure(service, dir string, p Platform, output string, err error) error {
	failure := &Error{
		Kind:   KindCompile,
		What:   fmt.Sprintf("build %s for %s", service, p),
		Output: strings.TrimRight(output, "\n"),
		Err:    err,
	}
	says := func(phrases ...string) bool {
		for _, phrase := range phrases {
			if strings.Contains(output, phrase) {
				return true
			}
		}
		return false
	}
	switch {
	case errors.Is(err, exec.ErrNotFound):
		failure.Kind, failure.Output = KindToolchain, ""
		failure.Why, failure.NextStep = "there is no go command on PATH", goDocument
	case errors.Is(err, os.ErrNotExist):
		failure.Why, failure.NextStep = "folder "+dir+" cannot be entered", "ls "+dir
	case says("toolchain not available", "GOTOOLCHAIN=local)"):
		failure.Kind = KindToolchain
		failure.Why, failure.NextStep = "the module asks for a newer Go than this one", "GOTOOLCHAIN=auto go version, or "+goDocument
	case says("missing go.sum entry", "updates to go.mod needed", "no required module provides package"):
		failure.Kind = KindModule
		failure.Why, failure.NextStep = "go.mod and go.sum do not list everything the code imports", "GOWORK=off go -C "+dir+" mod tidy"
	case says("dial tcp", "Forbidden", "i/o timeout", "no such host", "reading https://", "module lookup disabled", "unrecognized import path", "verifying module"):
		failure.Kind = KindModule
		failure.Why, failure.NextStep = "a module could not be downloaded", "GOWORK=off go -C "+dir+" mod download (the proxy in use: go env GOPROXY)"
	case says("no space left on device"):
		failure.Kind = KindDisk
		failure.Why, failure.NextStep = "the disk is full", "go clean -cache"
	default:
		failure.Why, failure.NextStep = "the compiler reported errors", "go -C "+dir+" vet ./..."
	}
	return failure
}

// zone is one file of the time zone database.
type zone struct {
	name    string // for example Europe/Berlin
	content []byte
}

// timeZones reads the database that comes with the toolchain the module uses,
// so that base layer and binary change together, and only with the toolchain.
func timeZones(ctx context.Context, dir string) ([]zone, error) {
	cmd := goCommand(ctx, dir, []string{"GOWORK=off"}, "env", "GOROOT")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, compileFailure(filepath.Base(dir), dir, Host(), stderr.String(), err)
	}
	path := filepath.Join(strings.TrimSpace(string(out)), "lib", "time", "zoneinfo.zip")
	archive, err := zip.OpenReader(path)
	if err != nil {
		return nil, &Error{
			Kind: KindToolchain, What: "read time zones", Why: err.Error(), Err: err,
			NextStep: goDocument + " (this installation lacks lib/time/zoneinfo.zip)",
		}
	}
	defer func() { _ = archive.Close() }()
	zones := make([]zone, 0, len(archive.File))
	for _, file := range archive.File {
		if strings.HasSuffix(file.Name, "/") {
			continue
		}
		content, err := readZipped(file)
		if err != nil {
			return nil, fmt.Errorf("read time zone %s: %w", file.Name, err)
		}
		zones = append(zones, zone{name: file.Name, content: content})
	}
	return zones, nil
}
