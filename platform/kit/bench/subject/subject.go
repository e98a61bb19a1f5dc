// Package subject says what the benchmarks build and how much memory a process
// took. It imports little, since the time that a program needs to start is part
// of what is measured.
package subject

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"

	"github.com/slipway-dev/slipway/platform/kit/image"
	"github.com/slipway-dev/slipway/platform/kit/release"
)

// Service is the one that is measured, Password that of the registry that
// lives as long as the measurement.
const (
	Service  = "catalog"
	Password = "bench"
)

// Settings is what a build needs to know.
func Settings(root, host, cache string) release.Config {
	return release.Config{
		Root: root,
		Image: image.Config{
			Service:    Service,
			Dir:        filepath.Join(root, "services", Service),
			Platforms:  image.Platforms{image.Host()},
			CacheDir:   cache,
			Repository: host + "/slipway/" + Service,
			Credentials: func(context.Context) (string, string, error) {
				return "AWS", Password, nil
			},
		},
	}
}

// PeakBytes is the largest resident set; the unit of ru_maxrss is KiB on Linux
// and bytes on macOS (getrusage(2)).
func PeakBytes(usage any) int64 {
	u, ok := usage.(*syscall.Rusage)
	if !ok {
		return 0
	}
	if runtime.GOOS == "darwin" {
		return u.Maxrss
	}
	return u.Maxrss << 10
}

// OwnPeak is the largest resident set of this process so far, in bytes. Linux
// lets ru_maxrss begin with what the parent had before exec, so VmHWM is asked
// first (proc_pid_status(5)).
func OwnPeak() int64 {
	status, _ := os.ReadFile("/proc/self/status")
	for line := range strings.Lines(string(status)) {
		var kib int64
		if n, _ := fmt.Sscanf(line, "VmHWM: %d kB", &kib); n == 1 {
			return kib << 10
		}
	}
	var self syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &self); err != nil {
		return 0
	}
	return PeakBytes(&self)
}
