// Package scaffold makes a new service of templates: its API, manifest, code,
// migration and tests, and its lines in the files that all services share. A
// plan says what would be written; applying it generates and compiles the
// service in a copy first, and touches the checkout only when that went well.
// It does not know what the service will be about.
package scaffold

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"go/format"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing/fstest"
	"text/template"

	"github.com/slipway-dev/slipway/platform/kit/manifest"
)

// Config says which service to make.
type Config struct {
	// Root is the checkout.
	Root string
	// Name is the service's name, such as gift-cards.
	Name string
	// Team owns it; the service's name if empty.
	Team string
	// Resource is what it keeps, in the singular, such as gift-card; the
	// singular of the name if empty.
	Resource string
}

// Plan is what a new service consists of.
type Plan struct {
	Service  string `json:"service"`
	Team     string `json:"team"`
	Resource string `json:"resource"`
	Route    string `json:"route"`
	API      string `json:"api"`
	Files    []File `json:"files"`

	root  string
	names names
}

// File is one file that a plan writes.
type File struct {
	// Path is relative to the root of the checkout, with slashes.
	Path string `json:"path"`
	// Edit says that the file exists and gets a line.
	Edit bool `json:"edit,omitempty"`

	content []byte
	before  []byte // of an edited file
}

// NewPlan works out the service. An error says what is wrong with the name, or
// what it would collide with; nothing has been written then.
func NewPlan(c Config) (Plan, error) {
	n, err := nameOf(c)
	if err != nil {
		return Plan{}, err
	}
	if err := n.free(c.Root); err != nil {
		return Plan{}, err
	}
	p := Plan{
		Service: n.Service, Team: n.Team, Resource: n.Human, Route: n.Route(),
		API: "slipway." + n.Package + ".v1." + n.API, root: c.Root, names: n,
	}
	if p.Files, err = render(n); err != nil {
		return Plan{}, err
	}
	shared, err := n.shared(c.Root)
	if err != nil {
		return Plan{}, err
	}
	p.Files = append(p.Files, shared...)
	slices.SortFunc(p.Files, func(a, b File) int { return strings.Compare(a.Path, b.Path) })
	if err := p.fits(); err != nil {
		return Plan{}, err
	}
	return p, nil
}

// fits asks the manifests' own rules whether the service can stand beside the
// others.
func (p Plan) fits() error {
	file := "services/" + p.Service + "/service.yaml"
	i := slices.IndexFunc(p.Files, func(f File) bool { return f.Path == file })
	manifests := fstest.MapFS{file: {Data: p.Files[i].content}}
	for _, pattern := range []string{"services/*/service.yaml", "platform/environments/*.yaml"} {
		found, err := fs.Glob(os.DirFS(p.root), pattern)
		if err != nil {
			return fmt.Errorf("find manifests: %w", err)
		}
		for _, name := range found {
			data, err := os.ReadFile(local(p.root, name))
			if err != nil {
				return fmt.Errorf("read manifests: %w", err)
			}
			manifests[name] = &fstest.MapFile{Data: data}
		}
	}
	_, err := manifest.LoadFS(manifests)
	var invalid *manifest.Error
	if errors.As(err, &invalid) && len(invalid.Problems) > 0 {
		first := invalid.Problems[0]
		return &NameError{Text: fmt.Sprintf("new service %s: %s; %s", p.Service, first.Message, first.Fix), Command: example}
	}
	return err
}

// String lists the files.
func (p Plan) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "service %s of team %s keeps %s: %s at %s\n", p.Service, p.Team, p.names.Humans, p.API, p.Route)
	for _, f := range p.Files {
		verb := "new "
		if f.Edit {
			verb = "edit"
		}
		fmt.Fprintf(&b, "  %s  %s\n", verb, f.Path)
	}
	fmt.Fprintf(&b, "and what the generators make of them: gRPC, REST and OpenAPI in proto/slipway/%s/v1, queries in services/%s/internal/store/db\n",
		p.names.Package, p.Service)
	return b.String()
}

//go:embed template
var templates embed.FS

// layout says where each template goes; NAME, PACKAGE, FILE and TABLE stand for
// the names of the service.
var layout = map[string]string{
	"service.proto":   "proto/slipway/PACKAGE/v1/FILE.proto",
	"openapi.go":      "proto/slipway/PACKAGE/v1/openapi.go",
	"service.yaml":    "services/NAME/service.yaml",
	"sqlc.yaml":       "services/NAME/sqlc.yaml",
	"README.md":       "services/NAME/README.md",
	"main.go":         "services/NAME/cmd/NAME/main.go",
	"service_test.go": "services/NAME/cmd/NAME/service_test.go",
	"replay.json":     "services/NAME/cmd/NAME/testdata/replay.json",
	"domain.go":       "services/NAME/internal/PACKAGE/PACKAGE.go",
	"errors.go":       "services/NAME/internal/PACKAGE/errors.go",
	"keeper.go":       "services/NAME/internal/PACKAGE/keeper.go",
	"domain_test.go":  "services/NAME/internal/PACKAGE/PACKAGE_test.go",
	"rpc.go":          "services/NAME/internal/rpc/server.go",
	"store.go":        "services/NAME/internal/store/store.go",
	"store_test.go":   "services/NAME/internal/store/store_test.go",
	"db.go":           "services/NAME/internal/store/db/doc.go",
	"migration.sql":   "services/NAME/internal/store/migrations/00001_TABLE.sql",
	"query.sql":       "services/NAME/internal/store/query/TABLE.sql",
}

// render fills in the templates. Go files come out formatted, since the order
// of imports depends on the names.
func render(n names) ([]File, error) {
	sources, err := fs.Sub(templates, "template")
	if err != nil {
		return nil, fmt.Errorf("read templates: %w", err)
	}
	all, err := template.New("").Delims("[[", "]]").Option("missingkey=error").ParseFS(sources, "*.tmpl")
	if err != nil {
		return nil, fmt.Errorf("read templates: %w", err)
	}
	to := strings.NewReplacer("NAME", n.Service, "PACKAGE", n.Package, "FILE", n.ProtoFile, "TABLE", n.Table)
	var files []File
	for source, target := range layout {
		var b bytes.Buffer
		if err := all.ExecuteTemplate(&b, source+".tmpl", n); err != nil {
			return nil, fmt.Errorf("render %s: %w", source, err)
		}
		f := File{Path: to.Replace(target), content: b.Bytes()}
		if path.Ext(f.Path) == ".go" {
			if f.content, err = format.Source(f.content); err != nil {
				return nil, fmt.Errorf("format %s: %w", f.Path, err)
			}
		}
		files = append(files, f)
	}
	return files, nil
}

// local turns a path of a plan into one of the file system.
func local(root, name string) string { return filepath.Join(root, filepath.FromSlash(name)) }
