// Command once builds and pushes the measured service a single time; the
// benchmark runs it to count what a process of its own costs. It prints its
// largest resident set in bytes.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/slipway-dev/slipway/platform/kit/bench/subject"
	"github.com/slipway-dev/slipway/platform/kit/release"
)

func main() {
	if len(os.Args) != 4 {
		fmt.Fprintln(os.Stderr, "usage: once ROOT REGISTRY CACHE")
		os.Exit(2)
	}
	_, _, err := release.Build(context.Background(), subject.Settings(os.Args[1], os.Args[2], os.Args[3]))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(subject.OwnPeak())
}
