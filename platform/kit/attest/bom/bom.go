// Package bom writes the bill of materials of a release, CycloneDX 1.6 in JSON,
// from what the Go toolchain noted in the release's binaries. One bill covers
// the whole image: the release, its binary for each platform, and the modules
// and the standard library that each binary holds.
//
// The same release gives the same bytes: there is no time in it, and its serial
// number comes from the image's digest.
package bom

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"runtime/debug"
	"slices"
	"strings"

	cyclonedx "github.com/CycloneDX/cyclonedx-go"
	"github.com/google/uuid"
	"golang.org/x/mod/modfile"
)

// MediaType is that of a bill on its own.
const MediaType = "application/vnd.cyclonedx+json"

// Release is what a bill is written of.
type Release struct {
	Service    string
	Version    string
	Repository string // of the image, without host: slipway/catalog
	Digest     string // of the image: sha256:...
	Binaries   []Binary
}

// Binary is a release's binary for one platform.
type Binary struct {
	Platform string // linux/arm64
	Digest   string // of the file: sha256:...
	Info     *debug.BuildInfo
}

// Write returns the bill.
func Write(r Release) ([]byte, error) {
	bill := cyclonedx.NewBOM()
	bill.SpecVersion, bill.JSONSchema = cyclonedx.SpecVersion1_6, "http://cyclonedx.org/schema/bom-1.6.schema.json"
	bill.SerialNumber = uuid.NewSHA1(uuid.NameSpaceURL, []byte(r.Repository+"@"+r.Digest)).URN()
	root := cyclonedx.Component{
		BOMRef: "release", Type: cyclonedx.ComponentTypeContainer, Name: r.Service, Version: r.Version,
		PackageURL: "pkg:oci/" + lastOf(r.Repository) + "@" + strings.ReplaceAll(r.Digest, ":", "%3A"),
		Hashes:     hashes(r.Digest),
	}
	bill.Metadata = &cyclonedx.Metadata{
		Component:  &root,
		Lifecycles: &[]cyclonedx.Lifecycle{{Phase: cyclonedx.LifecyclePhaseBuild}},
		Tools:      &cyclonedx.ToolsChoice{Components: &[]cyclonedx.Component{{Type: cyclonedx.ComponentTypeApplication, Name: "slipway"}}},
	}
	list := inventory{components: map[string]cyclonedx.Component{}, needs: map[string][]string{}}
	for _, b := range r.Binaries {
		if err := list.binary(root.BOMRef, r.Service, r.Version, b); err != nil {
			return nil, err
		}
	}
	components, dependencies := list.sorted()
	bill.Components, bill.Dependencies = &components, &dependencies
	var text bytes.Buffer
	if err := cyclonedx.NewBOMEncoder(&text, cyclonedx.BOMFileFormatJSON).SetPretty(false).Encode(bill); err != nil {
		return nil, fmt.Errorf("encode bill of materials: %w", err)
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, text.Bytes()); err != nil {
		return nil, fmt.Errorf("encode bill of materials: %w", err)
	}
	return compact.Bytes(), nil
}

func lastOf(repository string) string { return repository[strings.LastIndex(repository, "/")+1:] }

// inventory collects components, each once, and who needs whom.
type inventory struct {
	components map[string]cyclonedx.Component
	needs      map[string][]string
}

func (l *inventory) add(c cyclonedx.Component, neededBy string) {
	l.components[c.BOMRef] = c
	if !slices.Contains(l.needs[neededBy], c.BOMRef) {
		l.needs[neededBy] = append(l.needs[neededBy], c.BOMRef)
	}
}

// settings are those notes of the toolchain that tell how a binary was built.
var settings = []string{"-buildmode", "-compiler", "-trimpath", "-tags", "CGO_ENABLED", "GOOS", "GOARCH", "GOAMD64", "GOARM64"} //nolint:gochecknoglobals // a constant that Go cannot express

func (l *inventory) binary(root, service, version string, b Binary) error {
	if b.Info == nil || b.Info.Main.Path == "" {
		return fmt.Errorf("list modules of %s for %s: the binary has no build information", service, b.Platform)
	}
	properties := []cyclonedx.Property{{Name: "platform", Value: b.Platform}, {Name: "go:package", Value: b.Info.Path}}
	for _, s := range b.Info.Settings {
		if slices.Contains(settings, s.Key) {
			properties = append(properties, cyclonedx.Property{Name: "go:build:" + s.Key, Value: s.Value})
		}
	}
	main := cyclonedx.Component{
		BOMRef: "binary:" + b.Platform, Type: cyclonedx.ComponentTypeApplication, Name: b.Info.Main.Path, Version: version,
		PackageURL: purl(b.Info.Main.Path, version), Hashes: hashes(b.Digest), Properties: &properties,
	}
	l.add(main, root)
	toolchain := strings.TrimPrefix(b.Info.GoVersion, "go")
	l.add(module("std", toolchain, "", version), main.BOMRef)
	for _, m := range b.Info.Deps {
		one := *m
		switch r := m.Replace; {
		case r == nil:
		case modfile.IsDirectoryPath(r.Path): // a folder of the same checkout, and so of the same version
			one = debug.Module{Path: m.Path}
		default:
			one = *r
		}
		l.add(module(one.Path, one.Version, one.Sum, version), main.BOMRef)
	}
	return nil
}

// module describes a Go module; one without a version is part of the release's
// own checkout.
func module(path, version, sum, own string) cyclonedx.Component {
	c := cyclonedx.Component{
		Type: cyclonedx.ComponentTypeLibrary, Name: path, Version: cmp.Or(version, own), Scope: cyclonedx.ScopeRequired,
	}
	c.PackageURL = purl(path, c.Version)
	c.BOMRef = c.PackageURL
	// h1 is a SHA-256 over a list of files (golang.org/x/mod/sumdb/dirhash);
	// CycloneDX has no name for it, and others write it so too.
	if raw, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(sum, "h1:")); err == nil && len(raw) > 0 {
		c.Hashes = &[]cyclonedx.Hash{{Algorithm: cyclonedx.HashAlgoSHA256, Value: hex.EncodeToString(raw)}}
	}
	return c
}

// purl is the package URL of a Go module (package-url specification, type golang).
func purl(path, version string) string {
	return "pkg:golang/" + path + "@" + strings.ReplaceAll(version, "+", "%2B")
}

func hashes(digest string) *[]cyclonedx.Hash {
	value, ok := strings.CutPrefix(digest, "sha256:")
	if !ok {
		return nil
	}
	return &[]cyclonedx.Hash{{Algorithm: cyclonedx.HashAlgoSHA256, Value: value}}
}

func (l *inventory) sorted() ([]cyclonedx.Component, []cyclonedx.Dependency) {
	var components []cyclonedx.Component
	for _, ref := range slices.Sorted(maps.Keys(l.components)) {
		components = append(components, l.components[ref])
	}
	var dependencies []cyclonedx.Dependency
	for _, ref := range slices.Sorted(maps.Keys(l.needs)) {
		needs := slices.Sorted(slices.Values(l.needs[ref]))
		dependencies = append(dependencies, cyclonedx.Dependency{Ref: ref, Dependencies: &needs})
	}
	return components, dependencies
}

// Summary is what a reader wants to know of a bill at a glance.
type Summary struct {
	Service string // name of what the bill is of
	Version string
	Digest  string // of the image, sha256:...; empty when the bill has none
	Main    string // Go module of the binaries
	Modules int    // components that are libraries, the standard library among them
}

// Read returns what a bill says; an error when it is no CycloneDX bill.
func Read(text []byte) (Summary, error) {
	var bill cyclonedx.BOM
	if err := cyclonedx.NewBOMDecoder(bytes.NewReader(text), cyclonedx.BOMFileFormatJSON).Decode(&bill); err != nil {
		return Summary{}, fmt.Errorf("decode bill of materials: %w", err)
	}
	if bill.BOMFormat != cyclonedx.BOMFormat || bill.Metadata == nil || bill.Metadata.Component == nil {
		return Summary{}, errors.New("read bill of materials: it does not say what it is of")
	}
	of := bill.Metadata.Component
	s := Summary{Service: of.Name, Version: of.Version}
	if of.Hashes != nil {
		for _, h := range *of.Hashes {
			if h.Algorithm == cyclonedx.HashAlgoSHA256 {
				s.Digest = "sha256:" + h.Value
			}
		}
	}
	if bill.Components == nil {
		return s, nil
	}
	for _, c := range *bill.Components {
		if c.Type == cyclonedx.ComponentTypeApplication {
			s.Main = c.Name
		}
		if c.Type == cyclonedx.ComponentTypeLibrary {
			s.Modules++
		}
	}
	return s, nil
}
