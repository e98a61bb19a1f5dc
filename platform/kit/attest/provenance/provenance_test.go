package provenance_test

import (
	"bytes"
	"encoding/json"
	"runtime/debug"
	"strings"
	"testing"

	slsa "github.com/in-toto/attestation/go/predicates/provenance/v1"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/slipway-dev/slipway/platform/kit/attest/provenance"
)

func tiny() provenance.Release {
	info := &debug.BuildInfo{
		GoVersion: "go1.26.8", Path: "example.com/tiny/cmd/tiny",
		Deps: []*debug.Module{
			{Path: "github.com/z/z", Version: "v1.0.0"},
			{Path: "github.com/a/b", Version: "v1.2.3", Sum: "h1:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="},
			{Path: "example.com/beside", Replace: &debug.Module{Path: "../beside", Version: "(devel)"}},
		},
		Settings: []debug.BuildSetting{{Key: "-trimpath", Value: "true"}},
	}
	return provenance.Release{
		Service: "tiny", Version: "v0-0123456789ab", Commit: strings.Repeat("c0", 20), Dirty: true,
		Inputs: "sha256:" + strings.Repeat("1f", 32), URL: "https://git.example.com/team/tiny", Builder: provenance.BuilderLocal,
		Bill:     "sha256:" + strings.Repeat("b1", 32),
		Binaries: []provenance.Binary{{Platform: "linux/amd64", Info: info}, {Platform: "linux/arm64", Info: info}},
	}
}

func TestProvenance(t *testing.T) {
	r := tiny()
	text, err := provenance.Write(r)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := provenance.Write(r); err != nil || !bytes.Equal(again, text) {
		t.Errorf("written again it differs (%v)", err)
	}
	got, err := provenance.Read(text)
	want := provenance.Origin{
		Service: r.Service, Version: r.Version, Commit: r.Commit, Dirty: true, Inputs: r.Inputs, URL: r.URL,
		Builder: r.Builder, Go: "go1.26.8", Bill: r.Bill,
	}
	if err != nil || got != want {
		t.Errorf("read = %+v, %v, want %+v", got, err, want)
	}
	var known slsa.Provenance
	if err := protojson.Unmarshal(text, &known); err != nil || known.Validate() != nil {
		t.Fatalf("in-toto's own reader: %v, %v", err, known.Validate())
	}
	var names []string
	for _, d := range known.GetBuildDefinition().GetResolvedDependencies() {
		names = append(names, d.GetName()+d.GetUri())
		if err := d.Validate(); err != nil {
			t.Errorf("dependency %s: %v", d, err)
		}
	}
	wantNames := "source" + "git+" + r.URL + "@" + r.Commit + " inputs pkg:golang/github.com/a/b@v1.2.3 pkg:golang/github.com/z/z@v1.0.0 pkg:golang/std@1.26.8"
	if strings.Join(names, " ") != wantNames {
		t.Errorf("dependencies = %s\nwant %s", strings.Join(names, " "), wantNames)
	}
}

func TestASourceWithoutACommit(t *testing.T) {
	r := tiny()
	r.Commit, r.URL, r.Dirty = "", "", false
	text, err := provenance.Write(r)
	if err != nil {
		t.Fatal(err)
	}
	got, err := provenance.Read(text)
	if err != nil || got.Commit != "" || got.URL != "" || got.Inputs != r.Inputs || strings.Contains(string(text), "gitCommit") {
		t.Errorf("read = %+v, %v\n%s", got, err, text)
	}
}

func TestWhatIsNoProvenance(t *testing.T) {
	for name, text := range map[string]string{"no JSON": "{", "another build": `{"buildDefinition":{"buildType":"x"}}`, "nothing": "{}"} {
		if got, err := provenance.Read(json.RawMessage(text)); err == nil {
			t.Errorf("%s: %+v", name, got)
		}
	}
	r := tiny()
	r.Binaries[0].Info = nil
	if _, err := provenance.Write(r); err == nil {
		t.Error("a binary without build information was taken")
	}
}
