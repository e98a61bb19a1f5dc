package image

import (
	"fmt"
	"runtime"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// Platform is an operating system and a processor architecture, in Go's words.
type Platform struct{ OS, Arch string }

// Platforms is a list without repetitions.
type Platforms []Platform

// Fargate lists what ECS Fargate runs: Linux on x86-64 and on Graviton.
func Fargate() Platforms {
	return Platforms{{"linux", "amd64"}, {"linux", "arm64"}}
}

// Host is the platform this process runs on; the process runtime starts tasks of it.
func Host() Platform { return Platform{OS: runtime.GOOS, Arch: runtime.GOARCH} }

// ParsePlatform reads OS/ARCH, for example linux/arm64.
func ParsePlatform(s string) (Platform, error) {
	os, arch, _ := strings.Cut(s, "/")
	p := Platform{OS: os, Arch: arch}
	return p, p.validate()
}

// String is OS/ARCH; empty for the zero value.
func (p Platform) String() string {
	if p == (Platform{}) {
		return ""
	}
	return p.OS + "/" + p.Arch
}

// MarshalText writes OS/ARCH.
func (p Platform) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// UnmarshalText reads OS/ARCH.
func (p *Platform) UnmarshalText(text []byte) (err error) {
	*p, err = ParsePlatform(string(text))
	return err
}

func (p Platform) validate() error {
	if (p.OS == "linux" || p.OS == "darwin") && (p.Arch == "amd64" || p.Arch == "arm64") {
		return nil
	}
	return fmt.Errorf("platform %q is not one of linux/amd64, linux/arm64, darwin/amd64, darwin/arm64", p.OS+"/"+p.Arch)
}

// oci is the platform as manifests write it. arm64's variant is v8, which
// containerd and ECS assume when it is absent; naming it would only split caches.
func (p Platform) oci() *v1.Platform {
	return &v1.Platform{OS: p.OS, Architecture: p.Arch}
}

// Contains tells whether p is in the list.
func (ps Platforms) Contains(p Platform) bool { return slices.Contains(ps, p) }

// WithHost adds the platform of this process unless it is there already, so
// that the same image runs on Fargate and in the process runtime of a laptop.
func (ps Platforms) WithHost() Platforms {
	if ps.Contains(Host()) {
		return slices.Clone(ps)
	}
	return append(slices.Clone(ps), Host())
}

// String joins the platforms by commas.
func (ps Platforms) String() string {
	names := make([]string, len(ps))
	for i, p := range ps {
		names[i] = p.String()
	}
	return strings.Join(names, ",")
}
