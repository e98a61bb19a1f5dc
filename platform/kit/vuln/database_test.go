package vuln_test

import (
	"archive/zip"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// written is when the tests' database says it was written.
var written = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

// advisory is an entry of a database that a test writes.
type advisory struct {
	id, cve, module string
	introduced      string // "" is the beginning
	fixed           string // "" is not yet
	pkg             string // "" is every package
	symbols         []string
	withdrawn       bool
}

// textAdvisory is about a function of golang.org/x/text/language.
var textAdvisory = advisory{
	id: "GO-2021-0113", cve: "CVE-2021-38561", module: "golang.org/x/text", fixed: "0.3.7",
	pkg: "golang.org/x/text/language", symbols: []string{"ParseAcceptLanguage"},
}

// stdAdvisory is about a function that every tiny binary has.
var stdAdvisory = advisory{
	id: "GO-2026-9001", cve: "CVE-2026-90001", module: "stdlib", fixed: "1.99.1", pkg: "strconv", symbols: []string{"Quote"},
}

func (a advisory) osv() map[string]any {
	events := []map[string]string{{"introduced": "0"}}
	if a.introduced != "" {
		events[0]["introduced"] = a.introduced
	}
	if a.fixed != "" {
		events = append(events, map[string]string{"fixed": a.fixed})
	}
	specific := map[string]any{}
	if a.pkg != "" {
		imported := map[string]any{"path": a.pkg}
		if a.symbols != nil {
			imported["symbols"] = a.symbols
		}
		specific["imports"] = []any{imported}
	}
	entry := map[string]any{
		"schema_version": "1.3.1", "id": a.id, "modified": written, "published": written,
		"aliases": []string{a.cve}, "summary": "Trouble in " + a.module, "details": "It is bad.",
		"affected": []any{map[string]any{
			"package": map[string]string{"name": a.module, "ecosystem": "Go"},
			"ranges":  []any{map[string]any{"type": "SEMVER", "events": events}}, "ecosystem_specific": specific,
		}},
	}
	if a.withdrawn {
		entry["withdrawn"] = written
	}
	return entry
}

// files are the files of a database with these entries, as vuln.go.dev lays
// them out.
func files(t *testing.T, modified time.Time, list ...advisory) map[string]string {
	t.Helper()
	type listed struct {
		ID       string    `json:"id"`
		Modified time.Time `json:"modified"`
		Fixed    string    `json:"fixed,omitempty"`
	}
	modules := map[string][]listed{}
	vulns := []map[string]any{}
	content := map[string]string{"index/db.json": encode(t, map[string]time.Time{"modified": modified})}
	for _, a := range list {
		modules[a.module] = append(modules[a.module], listed{a.id, written, a.fixed})
		vulns = append(vulns, map[string]any{"id": a.id, "modified": written, "aliases": []string{a.cve}})
		content["ID/"+a.id+".json"] = encode(t, a.osv())
	}
	index := []map[string]any{}
	for path, vulns := range modules {
		index = append(index, map[string]any{"path": path, "vulns": vulns})
	}
	content["index/modules.json"] = encode(t, index)
	content["index/vulns.json"] = encode(t, vulns)
	return content
}

func encode(t *testing.T, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// folder writes files into a new folder.
func folder(t *testing.T, content map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range content {
		write(t, filepath.Join(dir, name), text)
	}
	return dir
}

// zipped writes files into a new zip file.
func zipped(t *testing.T, content map[string]string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "vulndb.zip")
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	archive := zip.NewWriter(file)
	for name, text := range content {
		w, err := archive.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	if err := archive.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
