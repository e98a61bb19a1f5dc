// Command mage is the repository's pinned Mage. It adds to
// github.com/magefile/mage that it can be called from any folder of the
// checkout, by several people or programs at once, and takes a target's options
// with two dashes as well as with one.
package main

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/magefile/mage/mage"
	"github.com/magefile/mage/mg"
)

func main() {
	args := singleDash(os.Args[1:])
	root, ok := findRoot()
	if ok {
		if err := os.Chdir(root); err != nil {
			fail(fmt.Errorf("enter %s: %w", root, err))
		}
	}
	if !ok || len(args) > 0 && strings.HasPrefix(args[0], "-") {
		os.Exit(mage.ParseAndRun(os.Stdout, os.Stderr, os.Stdin, args)) // Mage's own options
	}
	fail(become(root, args))
}

func fail(err error) {
	os.Stderr.WriteString("mage: " + err.Error() + "\n")
	os.Exit(1)
}

// become compiles the targets of the checkout at root and becomes the program
// that runs them, so that every signal reaches it and its exit code is ours.
//
// Mage compiles by way of a file in the checkout, which two at once would
// remove from under one another. So it is done under a lock, which ends with
// this program: when the other has taken its place.
func become(root string, args []string) error {
	dir := programDir(root)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make folder for the compiled targets: %w", err)
	}
	lock, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("compile the targets: %w", err)
	}
	defer lock.Close()
	for {
		if err = syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); !errors.Is(err, syscall.EINTR) {
			break
		}
	}
	if err != nil {
		return fmt.Errorf("lock %s: %w", lock.Name(), err)
	}
	program := filepath.Join(dir, "mage")
	code := mage.Invoke(mage.Invocation{Dir: ".", CompileOut: program, Stdout: os.Stdout, Stderr: os.Stderr, Stdin: os.Stdin})
	if code != 0 {
		os.Exit(code) // Mage has said why
	}
	if err := syscall.Exec(program, append([]string{program}, args...), os.Environ()); err != nil { //nolint:gosec // our own program
		return fmt.Errorf("run %s: %w", program, err)
	}
	return nil
}

// programDir is where the compiled targets of a checkout are kept.
func programDir(root string) string {
	sum := sha256.Sum256([]byte(root))
	return filepath.Join(mg.CacheDir(), filepath.Base(root)+"-"+hex.EncodeToString(sum[:4]))
}

// singleDash turns --name=value into -name=value, the only form that Mage
// reads behind a target. Arguments after a bare "--" stay as they are.
func singleDash(args []string) []string {
	out := make([]string, len(args))
	rest := false
	for i, a := range args {
		rest = rest || a == "--"
		if !rest && strings.HasPrefix(a, "--") {
			a = a[1:]
		}
		out[i] = a
	}
	return out
}

// findRoot walks up from the working directory to the folder with magefile.go
// and go.work.
func findRoot() (string, bool) {
	dir, err := os.Getwd()
	if err != nil {
		return "", false
	}
	for {
		if isFile(filepath.Join(dir, "magefile.go")) && isFile(filepath.Join(dir, "go.work")) {
			return dir, true
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", false
		}
		dir = parent
	}
}

func isFile(path string) bool {
	st, err := os.Stat(path)
	return err == nil && st.Mode().IsRegular()
}
