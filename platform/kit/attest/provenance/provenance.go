// Package provenance writes and reads where a release came from, as the SLSA
// provenance predicate (https://slsa.dev/spec/v1.0/provenance): the commit and
// the files it was built from, how, by what, and of which modules. The same
// release gives the same bytes.
package provenance

import (
	"cmp"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"runtime/debug"
	"slices"
	"strings"

	"golang.org/x/mod/modfile"
)

// BuildType says what the parameters of a build mean; they are those of this
// module's package image, and described in its documentation.
const BuildType = "https://github.com/slipway-dev/slipway/platform/kit/image/v1"

// The builders. The embedded cluster's releases are built by whoever sits at
// the machine; a pipeline's in AWS CodeBuild. Of a release that was signed
// later nobody knows any more.
const (
	BuilderLocal     = "https://github.com/slipway-dev/slipway/builder/local"
	BuilderCodeBuild = "https://github.com/slipway-dev/slipway/builder/codebuild"
	BuilderUnknown   = "https://github.com/slipway-dev/slipway/builder/unknown"
)

// Release is what provenance is written of.
type Release struct {
	Service, Version string
	Commit           string // empty when there is none
	Dirty            bool
	Inputs           string // digest of the files that went in: sha256:...
	URL              string // of the source repository; may be empty
	Builder          string // one of the builders
	Bill             string // digest of the bill of materials: sha256:...
	Binaries         []Binary
}

// Binary is the build of one platform.
type Binary struct {
	Platform string
	Info     *debug.BuildInfo
}

// The predicate, as the specification names its fields.
type (
	predicate struct {
		BuildDefinition definition `json:"buildDefinition"`
		RunDetails      run        `json:"runDetails"`
	}
	definition struct {
		BuildType            string     `json:"buildType"`
		ExternalParameters   external   `json:"externalParameters"`
		InternalParameters   internal   `json:"internalParameters"`
		ResolvedDependencies []resource `json:"resolvedDependencies"`
	}
	external struct {
		Service   string   `json:"service"`
		Version   string   `json:"version"`
		Package   string   `json:"package"`
		Platforms []string `json:"platforms"`
		Source    source   `json:"source"`
	}
	source struct {
		URI    string `json:"uri,omitempty"`
		Commit string `json:"commit,omitempty"`
		Dirty  bool   `json:"dirty"`
		Inputs string `json:"inputs"`
	}
	internal struct {
		Go       string                       `json:"go"`
		Settings map[string]map[string]string `json:"settings"` // by platform
	}
	run struct {
		Builder    builder    `json:"builder"`
		Byproducts []resource `json:"byproducts,omitempty"`
	}
	builder struct {
		ID string `json:"id"`
	}
	resource struct {
		Name        string            `json:"name,omitempty"`
		URI         string            `json:"uri,omitempty"`
		Digest      map[string]string `json:"digest,omitempty"`
		MediaType   string            `json:"mediaType,omitempty"`
		Annotations map[string]any    `json:"annotations,omitempty"`
	}
)

const algorithm = "sha256"

// Write returns the predicate.
func Write(r Release) (json.RawMessage, error) {
	if len(r.Binaries) == 0 || slices.ContainsFunc(r.Binaries, func(b Binary) bool { return b.Info == nil }) {
		return nil, fmt.Errorf("write provenance of %s: a binary has no build information", r.Service)
	}
	p := predicate{
		BuildDefinition: definition{
			BuildType: BuildType,
			ExternalParameters: external{
				Service: r.Service, Version: r.Version, Package: r.Binaries[0].Info.Path,
				Source: source{URI: gitURI(r.URL), Commit: r.Commit, Dirty: r.Dirty, Inputs: r.Inputs},
			},
			InternalParameters:   internal{Go: r.Binaries[0].Info.GoVersion, Settings: map[string]map[string]string{}},
			ResolvedDependencies: dependencies(r),
		},
		RunDetails: run{Builder: builder{ID: r.Builder}},
	}
	for _, b := range r.Binaries {
		p.BuildDefinition.ExternalParameters.Platforms = append(p.BuildDefinition.ExternalParameters.Platforms, b.Platform)
		flags := map[string]string{}
		for _, s := range b.Info.Settings {
			flags[s.Key] = s.Value
		}
		p.BuildDefinition.InternalParameters.Settings[b.Platform] = flags
	}
	if hex, ok := strings.CutPrefix(r.Bill, algorithm+":"); ok {
		p.RunDetails.Byproducts = []resource{{Name: "sbom", MediaType: "application/vnd.cyclonedx+json", Digest: map[string]string{algorithm: hex}}}
	}
	text, err := json.Marshal(p)
	if err != nil {
		return nil, fmt.Errorf("encode provenance: %w", err)
	}
	return text, nil
}

// gitURI is a repository's address as SPDX download locations write it.
func gitURI(url string) string {
	if url == "" {
		return ""
	}
	return "git+" + url
}

// dependencies lists what went into the build: the commit, the files as they
// were, the toolchain, and the modules of any of the binaries.
func dependencies(r Release) []resource {
	var list []resource
	if r.Commit != "" {
		c := resource{Name: "source", Digest: map[string]string{"gitCommit": r.Commit}, Annotations: map[string]any{"dirty": r.Dirty}}
		if r.URL != "" {
			c.URI = gitURI(r.URL) + "@" + r.Commit
		}
		list = append(list, c)
	}
	if hex, ok := strings.CutPrefix(r.Inputs, algorithm+":"); ok {
		list = append(list, resource{Name: "inputs", Digest: map[string]string{algorithm: hex}})
	}
	seen := map[string]resource{}
	for _, b := range r.Binaries {
		std := "pkg:golang/std@" + strings.TrimPrefix(b.Info.GoVersion, "go")
		seen[std] = resource{URI: std}
		for _, m := range b.Info.Deps {
			if m.Replace != nil && modfile.IsDirectoryPath(m.Replace.Path) {
				continue // a folder of the same source
			}
			m = cmp.Or(m.Replace, m)
			one := resource{URI: "pkg:golang/" + m.Path + "@" + strings.ReplaceAll(m.Version, "+", "%2B")}
			if raw, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(m.Sum, "h1:")); err == nil && len(raw) > 0 {
				// in-toto's DigestSet calls Go's h1 so, in hexadecimal.
				one.Digest = map[string]string{"dirHash": hex.EncodeToString(raw)}
			}
			seen[one.URI] = one
		}
	}
	modules := make([]resource, 0, len(seen))
	for _, one := range seen {
		modules = append(modules, one)
	}
	slices.SortFunc(modules, func(a, b resource) int { return strings.Compare(a.URI, b.URI) })
	return append(list, modules...)
}

// Origin is what provenance says of a release's source.
type Origin struct {
	Service, Version string
	Commit           string
	Dirty            bool
	Inputs           string
	URL              string
	Builder          string
	Go               string
	Bill             string // digest of the bill of materials
}

// Read returns what a predicate says; an error when it is not of BuildType.
func Read(text json.RawMessage) (Origin, error) {
	var p predicate
	if err := json.Unmarshal(text, &p); err != nil {
		return Origin{}, fmt.Errorf("decode provenance: %w", err)
	}
	if p.BuildDefinition.BuildType != BuildType {
		return Origin{}, fmt.Errorf("read provenance: it is of build type %q", p.BuildDefinition.BuildType)
	}
	e := p.BuildDefinition.ExternalParameters
	o := Origin{
		Service: e.Service, Version: e.Version, Commit: e.Source.Commit, Dirty: e.Source.Dirty, Inputs: e.Source.Inputs,
		URL: strings.TrimPrefix(e.Source.URI, "git+"), Builder: p.RunDetails.Builder.ID, Go: p.BuildDefinition.InternalParameters.Go,
	}
	for _, b := range p.RunDetails.Byproducts {
		if b.Name == "sbom" {
			o.Bill = algorithm + ":" + b.Digest[algorithm]
		}
	}
	return o, nil
}
