package ship

import (
	"testing"

	"github.com/slipway-dev/slipway/platform/kit/image"
	"github.com/slipway-dev/slipway/platform/kit/manifest"
)

func TestPlatformsComeFromTheEnvironmentElseTheService(t *testing.T) {
	service := manifest.Service{Name: "orders", Size: manifest.Size{Arch: manifest.ARM64}}
	tests := map[string]struct {
		listed []string
		want   image.Platforms
	}{
		"the machine at hand":       {[]string{"host"}, image.Platforms{image.Host()}},
		"what the file lists":       {[]string{"linux/amd64", "linux/arm64"}, image.Platforms{{OS: "linux", Arch: "amd64"}, {OS: "linux", Arch: "arm64"}}},
		"what the service needs":    {nil, image.Platforms{{OS: "linux", Arch: "arm64"}}},
		"a platform is listed once": {[]string{"linux/arm64", "linux/arm64"}, image.Platforms{{OS: "linux", Arch: "arm64"}}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := platformsOf(manifest.Environment{Name: "e", Platforms: tc.listed}, service)
			if err != nil || got.String() != tc.want.String() {
				t.Errorf("platformsOf = %v, %v; want %v", got, err, tc.want)
			}
		})
	}
	if _, err := platformsOf(manifest.Environment{Name: "e", Platforms: []string{"plan9"}}, service); err == nil {
		t.Error("a platform that is none was taken")
	}
}

func TestTheHostIsListedOnce(t *testing.T) {
	got, err := platformsOf(manifest.Environment{Platforms: []string{image.Host().String(), "host"}}, manifest.Service{})
	if err != nil || len(got) != 1 {
		t.Errorf("platformsOf = %v, %v; want the host once", got, err)
	}
}
