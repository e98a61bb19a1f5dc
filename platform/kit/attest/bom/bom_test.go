package bom_test

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"testing"

	"github.com/slipway-dev/slipway/platform/kit/attest/bom"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func info(arch string, deps ...*debug.Module) *debug.BuildInfo {
	return &debug.BuildInfo{
		GoVersion: "go1.26.8", Path: "example.com/tiny/cmd/tiny", Main: debug.Module{Path: "example.com/tiny", Version: "(devel)"},
		Deps: deps,
		Settings: []debug.BuildSetting{
			{Key: "-trimpath", Value: "true"}, {Key: "GOOS", Value: "linux"}, {Key: "GOARCH", Value: arch}, {Key: "vcs.time", Value: "2026-11-23T05:00:00Z"},
		},
	}
}

func tiny() bom.Release {
	plain := &debug.Module{Path: "github.com/a/b", Version: "v1.2.3+incompatible", Sum: "h1:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="}
	beside := &debug.Module{Path: "example.com/beside", Version: "v0.0.0", Replace: &debug.Module{Path: "../beside", Version: "(devel)"}}
	fork := &debug.Module{Path: "github.com/c/d", Version: "v1.0.0", Replace: &debug.Module{Path: "github.com/fork/d", Version: "v1.0.1", Sum: "h1:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="}}
	return bom.Release{
		Service: "tiny", Version: "v0-0123456789ab", Repository: "slipway/tiny", Digest: "sha256:" + strings.Repeat("ab", 32),
		Binaries: []bom.Binary{
			{Platform: "linux/amd64", Digest: "sha256:" + strings.Repeat("01", 32), Info: info("amd64", plain, beside)},
			{Platform: "linux/arm64", Digest: "sha256:" + strings.Repeat("02", 32), Info: info("arm64", plain, beside, fork)},
		},
	}
}

func TestBill(t *testing.T) {
	got, err := bom.Write(tiny())
	if err != nil {
		t.Fatal(err)
	}
	golden := filepath.Join("testdata", "tiny.cdx.json")
	if *update {
		if err := os.WriteFile(golden, append(bytes.Clone(got), '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil || string(got)+"\n" != string(want) {
		t.Errorf("bill is\n%s\nwant\n%s(%v)", got, want, err)
	}
	again, err := bom.Write(tiny())
	if err != nil || !bytes.Equal(got, again) {
		t.Errorf("written again it differs (%v)", err)
	}
	s, err := bom.Read(got)
	if err != nil || s != (bom.Summary{Service: "tiny", Version: "v0-0123456789ab", Digest: tiny().Digest, Main: "example.com/tiny", Modules: 4}) {
		t.Errorf("summary = %+v, %v", s, err)
	}
}

func TestWhatIsNoBill(t *testing.T) {
	for name, text := range map[string]string{
		"empty": "", "no JSON": "{", "another document": `{"spdxVersion":"SPDX-2.3"}`, "of nothing": `{"bomFormat":"CycloneDX","specVersion":"1.6","version":1}`,
	} {
		if s, err := bom.Read([]byte(text)); err == nil {
			t.Errorf("%s: %+v", name, s)
		}
	}
	r := tiny()
	r.Binaries[1].Info = nil
	if _, err := bom.Write(r); err == nil || !strings.Contains(err.Error(), "linux/arm64") {
		t.Errorf("a binary without build information: %v", err)
	}
}
