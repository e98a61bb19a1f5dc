package vuln

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"sync"

	"golang.org/x/mod/semver"
	"golang.org/x/sync/errgroup"
	"golang.org/x/vuln/scan"
)

// stdlib stands for the standard library where a module is asked for.
const stdlib = "stdlib"

// readers is how many entries are read at once.
const readers = 8

// Scan returns what the database knows against a binary, the gravest first. Its
// functions are read only when there is something against one of its modules.
func (db *Database) Scan(ctx context.Context, binary io.ReaderAt) ([]Finding, error) {
	inv, err := readModules(binary)
	if err != nil {
		return nil, err
	}
	found, err := db.candidates(ctx, inv)
	if err != nil || len(found.modules) == 0 {
		return nil, err
	}
	if err := inv.readFunctions(binary, found.concern(inv)); err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "slipway-vuln-")
	if err != nil {
		return nil, fmt.Errorf("make folder for the scan: %w", err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if err := db.extract(found, dir); err != nil {
		return nil, err
	}
	blob := filepath.Join(dir, "binary.json")
	if err := writeBlob(blob, inv); err != nil {
		return nil, err
	}
	findings, err := govulncheck(ctx, dir, blob)
	if err != nil {
		return nil, fmt.Errorf("scan %s: %w", inv.Info.Path, err)
	}
	for i := range findings {
		e := found.entries[findings[i].ID]
		if e == nil {
			return nil, fmt.Errorf("scan %s: govulncheck reports %s, which it was not given", inv.Info.Path, findings[i].ID)
		}
		findings[i].Summary, findings[i].Aliases = e.Summary, e.Aliases
	}
	sortFindings(findings)
	return findings, nil
}

// candidates are the entries that may concern a binary.
type candidates struct {
	modules []module
	entries map[string]*entry
}

// candidates picks by the index alone what may concern the modules' versions,
// and reads it. Most binaries need few entries, or none.
func (db *Database) candidates(ctx context.Context, inv *Inventory) (candidates, error) {
	found := candidates{entries: map[string]*entry{}}
	versions, err := inv.versions()
	if err != nil {
		return found, err
	}
	all, err := db.modules(ctx)
	if err != nil {
		return found, err
	}
	var mu sync.Mutex
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(readers)
	for path, version := range versions {
		var concerns []indexed
		for _, v := range all[path] {
			if v.Fixed == "" || !semver.IsValid(version) || semver.Compare(version, "v"+strings.TrimPrefix(v.Fixed, "v")) < 0 {
				concerns = append(concerns, v)
				group.Go(func() error {
					e, err := db.entry(ctx, v.ID)
					mu.Lock()
					defer mu.Unlock()
					found.entries[v.ID] = e
					return err
				})
			}
		}
		if len(concerns) > 0 {
			found.modules = append(found.modules, module{path, concerns})
		}
	}
	slices.SortFunc(found.modules, func(a, b module) int { return strings.Compare(a.Path, b.Path) })
	return found, group.Wait()
}

// versions returns the version of each module in the binary whose version is
// known, and of the standard library.
func (i *Inventory) versions() (map[string]string, error) {
	std, err := semverOf(i.Info.GoVersion)
	if err != nil {
		return nil, err
	}
	versions := map[string]string{stdlib: std}
	for _, m := range append(slices.Clone(i.Info.Deps), &i.Info.Main) {
		if m.Replace != nil {
			m = m.Replace
		}
		if m.Version != "" && m.Version != "(devel)" {
			versions[m.Path] = m.Version
		}
	}
	return versions, nil
}

// semverOf turns a Go version (go1.26.8, go1.27rc1) into a semantic one. That
// of a toolchain between releases says nothing about what is fixed in it.
func semverOf(goVersion string) (string, error) {
	number, _, _ := strings.Cut(strings.TrimPrefix(goVersion, "go"), " ") // "go1.26.8 X:experiment"
	number, _, _ = strings.Cut(number, "-")                               // "go1.26.8-vendor"
	for _, stage := range []string{"beta", "rc"} {
		if base, n, ok := strings.Cut(number, stage); ok {
			number = base + ".0-" + stage + "." + n
		}
	}
	v := "v" + number
	if !strings.HasPrefix(goVersion, "go") || strings.Contains(goVersion, "devel") || !semver.IsValid(v) {
		return "", &toolchainError{version: goVersion}
	}
	return v, nil
}

// toolchainError says that a binary's standard library cannot be judged.
type toolchainError struct{ version string }

func (e *toolchainError) Error() string {
	return fmt.Sprintf("the binary was built by %q, which is no release of Go, so nobody knows what is fixed in its standard library", e.version)
}

// Next returns the command to type next.
func (*toolchainError) Next() string {
	return "go version   # install a release of Go, then build again"
}

// extract writes a database that has the candidates alone.
func (db *Database) extract(found candidates, dir string) error {
	index, err := json.Marshal(found.modules)
	if err != nil {
		return fmt.Errorf("write database for the scan: %w", err)
	}
	about, err := json.Marshal(map[string]any{"modified": db.Modified})
	if err != nil {
		return fmt.Errorf("write database for the scan: %w", err)
	}
	content := map[string][]byte{"index/db.json": about, "index/modules.json": index}
	for id, e := range found.entries {
		content["ID/"+id+".json"] = e.text
	}
	for _, folder := range []string{"index", "ID"} {
		if err := os.Mkdir(filepath.Join(dir, folder), 0o700); err != nil {
			return fmt.Errorf("write database for the scan: %w", err)
		}
	}
	for name, text := range content {
		if err := os.WriteFile(filepath.Join(dir, filepath.FromSlash(name)), text, 0o600); err != nil {
			return fmt.Errorf("write database for the scan: %w", err)
		}
	}
	return nil
}

// blobHeader and blob are what `govulncheck -mode=extract` writes of a binary
// and -mode=binary reads in place of one.
type blobHeader struct {
	Name    string `json:"name"`
	Version string `json:"version"`
}

type blob struct {
	Path       string        `json:"path,omitempty"`
	Main       *blobModule   `json:"main,omitempty"`
	Modules    []*blobModule `json:"modules,omitempty"`
	PkgSymbols []Function    `json:"pkgSymbols,omitempty"`
	GoVersion  string        `json:"goVersion,omitempty"`
	GOOS       string        `json:"goos,omitempty"`
	GOARCH     string        `json:"goarch,omitempty"`
}

type blobModule struct {
	Path, Version string
	Replace       *blobModule
}

func blobModuleOf(m *debug.Module) *blobModule {
	if m == nil || m.Path == "" {
		return nil
	}
	return &blobModule{Path: m.Path, Version: m.Version, Replace: blobModuleOf(m.Replace)}
}

// writeBlob writes what govulncheck needs of a binary.
func writeBlob(path string, inv *Inventory) error {
	b := blob{
		Path: inv.Info.Path, Main: blobModuleOf(&inv.Info.Main), GoVersion: inv.Info.GoVersion,
		GOOS: inv.setting("GOOS"), GOARCH: inv.setting("GOARCH"),
		// Without any function govulncheck takes the names for lost and every
		// vulnerable function for present.
		PkgSymbols: append(inv.Functions, Function{"main", "main"}),
	}
	for _, m := range inv.Info.Deps {
		b.Modules = append(b.Modules, blobModuleOf(m))
	}
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	for _, part := range []any{blobHeader{"govulncheck-extract", "0.1.0"}, b} {
		if err := encoder.Encode(part); err != nil {
			return fmt.Errorf("write contents of the binary: %w", err)
		}
	}
	if err := os.WriteFile(path, text.Bytes(), 0o600); err != nil {
		return fmt.Errorf("write contents of the binary: %w", err)
	}
	return nil
}

// concern tells which packages the candidates can be about: those they name in
// the standard library, and all of the modules.
func (c candidates) concern(inv *Inventory) func(pkg string) bool {
	named, prefixes := map[string]bool{}, []string{}
	concerned := map[string]bool{}
	for _, m := range c.modules {
		concerned[m.Path] = true
	}
	for _, e := range c.entries {
		for _, a := range e.Affected {
			for _, i := range a.Specific.Imports {
				named[i.Path] = true
			}
		}
	}
	for _, m := range append(slices.Clone(inv.Info.Deps), &inv.Info.Main) {
		if concerned[m.Path] || m.Replace != nil && concerned[m.Replace.Path] {
			prefixes = append(prefixes, m.Path)
		}
	}
	return func(pkg string) bool {
		return named[pkg] || slices.ContainsFunc(prefixes, func(p string) bool { return pkg == p || strings.HasPrefix(pkg, p+"/") })
	}
}

// message is the part of govulncheck's output that is used.
type message struct {
	Finding *struct {
		OSV          string `json:"osv"`
		FixedVersion string `json:"fixed_version"`
		Trace        []struct {
			Module, Version, Package, Function, Receiver string
		} `json:"trace"`
	} `json:"finding"`
}

// govulncheck runs the scan in this process and returns a finding for each
// entry and module.
func govulncheck(ctx context.Context, database, binary string) ([]Finding, error) {
	var out, errs bytes.Buffer
	location := url.URL{Scheme: "file", Path: filepath.ToSlash(database)}
	cmd := scan.Command(ctx, "-mode=binary", "-scan=symbol", "-format=json", "-db="+location.String(), binary)
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Start()
	if err == nil {
		err = cmd.Wait()
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("run govulncheck: %w", err), errorOf(&errs))
	}
	var findings []Finding
	for decoder := json.NewDecoder(&out); ; {
		var m message
		err := decoder.Decode(&m)
		if errors.Is(err, io.EOF) {
			return findings, nil
		}
		if err != nil {
			return nil, fmt.Errorf("read output of govulncheck: %w", err)
		}
		if m.Finding != nil && len(m.Finding.Trace) > 0 {
			at := m.Finding.Trace[0]
			name := at.Function
			if at.Receiver != "" {
				name = strings.TrimPrefix(at.Receiver, "*") + "." + name
			}
			findings = add(findings, sighting{
				id: m.Finding.OSV, module: at.Module, found: at.Version, fixed: m.Finding.FixedVersion, pkg: at.Package, function: name,
			})
		}
	}
}

func errorOf(output *bytes.Buffer) error {
	if text := strings.TrimSpace(output.String()); text != "" {
		return errors.New(text)
	}
	return nil
}
