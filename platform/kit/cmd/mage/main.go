// Command mage is the repository's pinned Mage. It adds two things to
// github.com/magefile/mage: it can be called from any folder of the checkout,
// and it takes a target's options with two dashes as well as with one.
package main

import (
	"os"
	"path/filepath"
	"strings"

	"github.com/magefile/mage/mage"
)

func main() {
	if root, ok := findRoot(); ok {
		if err := os.Chdir(root); err != nil {
			os.Stderr.WriteString("mage: enter " + root + ": " + err.Error() + "\n")
			os.Exit(1)
		}
	}
	os.Exit(mage.ParseAndRun(os.Stdout, os.Stderr, os.Stdin, singleDash(os.Args[1:])))
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
