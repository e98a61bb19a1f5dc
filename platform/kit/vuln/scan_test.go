package vuln_test

import (
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/slipway-dev/slipway/platform/kit/vuln"
)

// goVersion is of the toolchain that builds the programs, the tests' own.
var goVersion = runtime.Version()

func open(t *testing.T, location string) *vuln.Database {
	t.Helper()
	db, err := vuln.Open(t.Context(), vuln.Source{Location: location, CacheDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	return db
}

func scanned(t *testing.T, location string, p *program) []vuln.Finding {
	t.Helper()
	findings, err := open(t, location).Scan(t.Context(), opened(t, p.build(t)))
	if err != nil {
		t.Fatal(err)
	}
	return findings
}

// textFinding is what the text advisory makes of a program with v0.3.5.
func textFinding(level vuln.Level) vuln.Finding {
	f := vuln.Finding{
		ID: textAdvisory.id, Aliases: []string{textAdvisory.cve}, Summary: "Trouble in golang.org/x/text", Level: level,
		Module: "golang.org/x/text", Found: "v0.3.5", Fixed: "v0.3.7",
	}
	if level != vuln.Required {
		f.Packages = []string{"golang.org/x/text/language"}
	}
	if level == vuln.Called {
		f.Functions = []string{"golang.org/x/text/language.ParseAcceptLanguage"}
	}
	return f
}

func TestScanTellsHowMuchIsInTheBinary(t *testing.T) {
	t.Parallel()
	dir := folder(t, files(t, written, textAdvisory))
	cases := map[string]struct {
		program *program
		want    []vuln.Finding
	}{
		"function":          {called, []vuln.Finding{textFinding(vuln.Called)}},
		"package":           {imported, []vuln.Finding{textFinding(vuln.Imported)}},
		"module":            {required, []vuln.Finding{textFinding(vuln.Required)}},
		"fixed":             {fixed, nil},
		"for another arch":  {onARM, []vuln.Finding{textFinding(vuln.Called)}},
		"for a Mac":         {onMac, []vuln.Finding{textFinding(vuln.Called)}},
		"with symbol table": {whole, []vuln.Finding{textFinding(vuln.Called)}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(tc.want, scanned(t, dir, tc.program)); diff != "" {
				t.Errorf("findings (-want +got):\n%s", diff)
			}
		})
	}
}

func TestScanJudgesTheStandardLibraryByTheToolchain(t *testing.T) {
	t.Parallel()
	current := strings.TrimPrefix(goVersion, "go")
	mended := stdAdvisory
	mended.id, mended.fixed = "GO-2026-9002", current
	absent := stdAdvisory
	absent.id, absent.pkg, absent.symbols = "GO-2026-9003", "net/http", []string{"Get"}
	candidate := stdAdvisory
	candidate.id, candidate.fixed = "GO-2026-9004", "1.98.0-rc.2"
	got := scanned(t, folder(t, files(t, written, stdAdvisory, mended, absent, candidate)), called)
	want := []vuln.Finding{
		{
			ID: stdAdvisory.id, Aliases: []string{stdAdvisory.cve}, Summary: "Trouble in stdlib", Level: vuln.Called, Module: "stdlib",
			Found: goVersion, Fixed: "go1.99.1", Packages: []string{"strconv"}, Functions: []string{"strconv.Quote"},
		},
		{
			ID: candidate.id, Aliases: []string{stdAdvisory.cve}, Summary: "Trouble in stdlib", Level: vuln.Called, Module: "stdlib",
			Found: goVersion, Fixed: "go1.98rc2", Packages: []string{"strconv"}, Functions: []string{"strconv.Quote"},
		},
		{
			ID: absent.id, Aliases: []string{stdAdvisory.cve}, Summary: "Trouble in stdlib", Level: vuln.Required, Module: "stdlib",
			Found: goVersion, Fixed: "go1.99.1",
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("findings (-want +got):\n%s", diff)
	}
}

func TestScanOfUnusualEntries(t *testing.T) {
	t.Parallel()
	everything, unfixed, later, withdrawn := textAdvisory, textAdvisory, textAdvisory, textAdvisory
	everything.pkg, everything.symbols = "", nil
	unfixed.fixed = ""
	later.introduced, later.fixed = "0.3.6", "0.3.8"
	withdrawn.withdrawn = true
	whole := textAdvisory
	whole.symbols = nil
	absent := stdAdvisory // no function of the binary is in any package that entries are about
	absent.pkg, absent.symbols = "net/http", []string{"Get"}
	cases := map[string]struct {
		entry   advisory
		program *program
		level   vuln.Level
		fixed   string
	}{
		"every package":           {everything, required, vuln.Called, "v0.3.7"},
		"every function":          {whole, imported, vuln.Called, "v0.3.7"},
		"no fix":                  {unfixed, called, vuln.Called, ""},
		"introduced later":        {later, called, "", ""},
		"introduced later, fixed": {later, fixed, vuln.Called, "v0.3.8"},
		"withdrawn":               {withdrawn, called, "", ""},
		"nothing of it there":     {absent, called, vuln.Required, "go1.99.1"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := scanned(t, folder(t, files(t, written, tc.entry)), tc.program)
			if tc.level == "" {
				if len(got) != 0 {
					t.Errorf("found %v; want nothing", got)
				}
				return
			}
			if len(got) != 1 || got[0].Level != tc.level || got[0].Fixed != tc.fixed {
				t.Errorf("found %+v; want one %s, fixed in %q", got, tc.level, tc.fixed)
			}
		})
	}
}

func TestDatabasesOfAllKindsTellTheSame(t *testing.T) {
	t.Parallel()
	content := files(t, written, textAdvisory, stdAdvisory)
	dir := folder(t, content)
	web := httptest.NewServer(http.FileServer(http.Dir(dir)))
	t.Cleanup(web.Close)
	want := scanned(t, dir, called)
	if len(want) != 2 {
		t.Fatalf("found %v; want both entries", want)
	}
	for _, location := range []string{zipped(t, content), "file://" + dir, web.URL, web.URL + "/"} {
		if diff := cmp.Diff(want, scanned(t, location, called)); diff != "" {
			t.Errorf("%s tells otherwise (-folder +this):\n%s", location, diff)
		}
	}
}

// TestOnlyWhatMayConcernIsRead: a database behind a URL has thousands of
// entries.
func TestOnlyWhatMayConcernIsRead(t *testing.T) {
	t.Parallel()
	other, old := textAdvisory, textAdvisory
	other.id, other.module = "GO-2026-0001", "example.com/other"
	old.id, old.fixed = "GO-2020-0001", "0.3.3"
	dir := folder(t, files(t, written, textAdvisory, other, old))
	var mu sync.Mutex
	var asked []string
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		asked = append(asked, r.URL.Path)
		mu.Unlock()
		http.FileServer(http.Dir(dir)).ServeHTTP(w, r)
	}))
	t.Cleanup(web.Close)
	db := open(t, web.URL)
	for _, p := range []*program{called, fixed} {
		if _, err := db.Scan(t.Context(), opened(t, p.build(t))); err != nil {
			t.Fatal(err)
		}
	}
	slices.Sort(asked)
	if diff := cmp.Diff([]string{"/ID/GO-2021-0113.json", "/index/db.json", "/index/modules.json"}, asked); diff != "" {
		t.Errorf("asked for (-want +got):\n%s", diff)
	}
}
