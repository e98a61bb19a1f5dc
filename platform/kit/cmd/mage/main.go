// Command mage is the repository's pinned Mage. It adds to
// github.com/magefile/mage that it can be called from any folder of the
// checkout, by several people or programs at once, and takes a target's options
// with two dashes as well as with one.
package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/magefile/mage/mage"
	"github.com/magefile/mage/mg"

	"github.com/slipway-dev/slipway/platform/kit/launch"
)

func main() {
	args := launch.Optional(launch.SingleDash(os.Args[1:]))
	root, found := launch.Root()
	if found {
		check(os.Chdir(root))
	}
	if !found || len(args) > 0 && strings.HasPrefix(args[0], "-") {
		os.Exit(mage.ParseAndRun(os.Stdout, os.Stderr, os.Stdin, args)) // Mage's own options
	}
	check(launch.Become(root, mg.CacheDir(), args, func(program string) int {
		return mage.Invoke(mage.Invocation{Dir: ".", CompileOut: program, Stdout: os.Stdout, Stderr: os.Stderr, Stdin: os.Stdin})
	}))
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "mage:", err)
		os.Exit(1)
	}
}
