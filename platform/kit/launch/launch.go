// Package launch makes one command of the checkout's targets: it finds the
// checkout, compiles its targets and becomes the compiled program. It knows
// Mage only as a function that compiles.
package launch

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// ErrCompile says that the targets did not compile; the compiler has told why.
var ErrCompile = errors.New("the targets do not compile")

// Become compiles the targets of the checkout at root and becomes the program
// that runs them, so that every signal reaches it and its exit code is ours. It
// returns only with an error. cache is where compiled targets are kept; compile
// writes the program to a file and returns Mage's exit code.
//
// Mage compiles by way of a file in the checkout, which two at once would
// remove from under one another. So it is done under a lock, which ends with
// this program: when the other has taken its place.
func Become(root, cache string, args []string, compile func(program string) int) error {
	dir := programDir(cache, root)
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
	program := filepath.Join(dir, programFile)
	if err := refresh(dir, stampOf(root, os.Environ()), func() int { return compile(program) }); err != nil {
		return err
	}
	if err := syscall.Exec(program, append([]string{program}, args...), os.Environ()); err != nil {
		return fmt.Errorf("run %s: %w", program, err)
	}
	return nil
}

// refresh compiles unless the program in dir is of the stamp already. What is
// changed while it compiles makes another stamp, and is compiled next time.
func refresh(dir, stamp string, compile func() int) error {
	if isFresh(dir, stamp) {
		return nil
	}
	if err := keep(dir, ""); err != nil {
		return err
	}
	if compile() != 0 {
		return ErrCompile
	}
	return keep(dir, stamp)
}

// programDir is where the compiled targets of a checkout are kept.
func programDir(cache, root string) string {
	sum := sha256.Sum256([]byte(root))
	return filepath.Join(cache, filepath.Base(root)+"-"+hex.EncodeToString(sum[:4]))
}

// SingleDash turns --name=value into -name=value, the only form that Mage
// reads behind a target. Arguments after a bare "--" stay as they are.
func SingleDash(args []string) []string {
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

// optional are the targets whose last argument, behind the environment, can be
// left out, with the option that Mage wants for it.
func optional() map[string]string {
	return map[string]string{"traces": "-id=", "check:invariants": "-service="}
}

// valued are the targets whose options are often written apart from their
// values, as in "token --scope catalog.read".
func valued() map[string][]string {
	return map[string][]string{
		"token":    {"-scope", "-subject", "-audience", "-expires"},
		"deploy":   {"-release", "-busy"},
		"rollback": {"-to"},
	}
}

// Optional brings arguments into the forms that Mage reads: a last argument
// that a target can do without becomes an option, "traces local 4bf9" is
// "traces local -id=4bf9", and an option's value that stands apart is joined to
// it.
func Optional(args []string) []string {
	if len(args) == 0 {
		return args
	}
	const place = 2
	out := slices.Clone(args)
	if option, ok := optional()[args[0]]; ok && len(args) > place && !strings.HasPrefix(args[place], "-") {
		out[place] = option + out[place]
	}
	joined := out[:1]
	for i := 1; i < len(out); i++ {
		word := out[i]
		if slices.Contains(valued()[args[0]], word) && i+1 < len(out) && !strings.HasPrefix(out[i+1], "-") {
			i++
			word += "=" + out[i]
		}
		joined = append(joined, word)
	}
	return joined
}

// Root walks up from the working directory to the folder with magefile.go
// and go.work.
func Root() (string, bool) {
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
