package vuln

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestPackagesGoToTheirModule: govulncheck names any module whose path a
// package's path begins with.
func TestPackagesGoToTheirModule(t *testing.T) {
	t.Parallel()
	var got []Finding
	for _, s := range []sighting{
		{id: "GO-1", module: "a.b/c", found: "v2.0.0", fixed: "v2.1.0"},
		{id: "GO-1", module: "a.b/c/d", found: "v1.0.0", fixed: "v1.1.0"},
		{id: "GO-1", module: "stdlib", found: "v1.26.8", fixed: "v1.26.9"},
		{id: "GO-2", module: "fork.example/x", found: "v0.1.0"},
		{id: "GO-1", module: "a.b/c", found: "v2.0.0", pkg: "a.b/c/d/e", function: "T.M"},
		{id: "GO-1", module: "a.b/c/d", found: "v1.0.0", pkg: "a.b/c/e"},
		{id: "GO-1", module: "a.b/c", found: "v2.0.0", pkg: "net/http", function: "Get"},
		{id: "GO-2", module: "x.y/z", found: "v0.1.0", pkg: "x.y/z/p", function: "F"}, // replaced by the fork
	} {
		got = add(got, s)
	}
	want := []Finding{
		{ID: "GO-1", Module: "a.b/c", Found: "v2.0.0", Fixed: "v2.1.0", Level: Imported, Packages: []string{"a.b/c/e"}},
		{ID: "GO-1", Module: "a.b/c/d", Found: "v1.0.0", Fixed: "v1.1.0", Level: Called, Packages: []string{"a.b/c/d/e"}, Functions: []string{"a.b/c/d/e.T.M"}},
		{ID: "GO-1", Module: "stdlib", Found: "go1.26.8", Fixed: "go1.26.9", Level: Called, Packages: []string{"net/http"}, Functions: []string{"net/http.Get"}},
		{ID: "GO-2", Module: "fork.example/x", Found: "v0.1.0", Level: Called, Packages: []string{"x.y/z/p"}, Functions: []string{"x.y/z/p.F"}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("findings (-want +got):\n%s", diff)
	}
}

func TestSemanticVersionOfGo(t *testing.T) {
	t.Parallel()
	for version, want := range map[string]string{
		"go1.26.8": "v1.26.8", "go1.26": "v1.26", "go1.27rc1": "v1.27.0-rc.1", "go1.27beta2": "v1.27.0-beta.2",
		"go1.26.8 X:greenteagc": "v1.26.8", "go1.26.8-vendor": "v1.26.8",
		"devel go1.27-3b8a031569 Mon Nov 23": "", "go1.27-devel_3b8a031569": "", "": "", "gccgo 14": "",
	} {
		got, err := semverOf(version)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%q is %q, %v; want %q", version, got, err, want)
		}
	}
}
