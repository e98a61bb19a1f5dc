package vuln

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/slipway-dev/slipway/platform/kit/manifest"
)

// Level is how much of a vulnerability is in a binary.
type Level = manifest.FailOn

// The levels, as environment files name them. A binary has no call graph:
// called means that a vulnerable function is in it, which the linker leaves
// out when nothing can reach it.
const (
	Called   = manifest.FailCalled
	Imported = manifest.FailImported
	Required = manifest.FailRequired
)

// rank orders the levels, the gravest first.
func rank(l Level) int { return slices.Index([]Level{Called, Imported, Required}, l) }

// Finding is a known vulnerability of a module in a binary.
type Finding struct {
	ID      string   `json:"id"`                // GO-2026-1234
	Aliases []string `json:"aliases,omitempty"` // CVE-..., GHSA-...
	Summary string   `json:"summary,omitempty"`
	Level   Level    `json:"level"`
	Module  string   `json:"module"`          // stdlib for the standard library
	Found   string   `json:"found"`           // version in the binary
	Fixed   string   `json:"fixed,omitempty"` // version that fixes it; empty when there is none
	// Packages of the module that are in the binary and concerned, and
	// Functions of them, as PACKAGE.NAME; both sorted.
	Packages  []string `json:"packages,omitempty"`
	Functions []string `json:"functions,omitempty"`
}

// sighting is one of govulncheck's findings.
type sighting struct{ id, module, found, fixed, pkg, function string }

// add merges a sighting into the finding it belongs to. Govulncheck first tells
// which modules an entry is about; of a package it may then name a module that
// only begins like it (a.b/c of a.b/c/d), so the package's path decides.
func add(findings []Finding, s sighting) []Finding {
	var at int
	if s.pkg != "" {
		at = owner(findings, s.id, s.pkg)
	} else {
		at = slices.IndexFunc(findings, func(f Finding) bool { return f.ID == s.id && f.Module == s.module })
	}
	if at < 0 {
		findings = append(findings, Finding{ID: s.id, Module: s.module, Found: shown(s.module, s.found), Fixed: shown(s.module, s.fixed), Level: Required})
		at = len(findings) - 1
	}
	f := &findings[at]
	level := Required
	if s.pkg != "" {
		level = Imported
		f.Packages = insert(f.Packages, s.pkg)
	}
	if s.function != "" {
		level = Called
		f.Functions = insert(f.Functions, s.pkg+"."+s.function)
	}
	if rank(level) < rank(f.Level) {
		f.Level = level
	}
	return findings
}

// owner returns which finding of an entry a package belongs to: the one of the
// longest module path that its path begins with, or else the only one.
func owner(findings []Finding, id, pkg string) int {
	best, length, only := -1, -1, -1
	for i, f := range findings {
		if f.ID != id {
			continue
		}
		only = i
		first, _, _ := strings.Cut(pkg, "/")
		inside := pkg == f.Module || strings.HasPrefix(pkg, f.Module+"/") || f.Module == stdlib && !strings.Contains(first, ".")
		if inside && len(f.Module) > length {
			best, length = i, len(f.Module)
		}
	}
	if best >= 0 {
		return best
	}
	return only // a module that another one replaces
}

func insert(list []string, s string) []string {
	at, found := slices.BinarySearch(list, s)
	if found {
		return list
	}
	return slices.Insert(list, at, s)
}

// shown writes a version as people know it: go1.26.8 for the standard library.
func shown(module, version string) string {
	if module != stdlib || version == "" {
		return version
	}
	version = strings.TrimPrefix(version, "v")
	if base, stage, ok := strings.Cut(version, "-"); ok {
		return "go" + strings.TrimSuffix(base, ".0") + strings.ReplaceAll(stage, ".", "")
	}
	return "go" + version
}

// merge joins what is known of several binaries of one image.
func merge(all, more []Finding) []Finding {
	for _, f := range more {
		at := slices.IndexFunc(all, func(o Finding) bool { return o.ID == f.ID && o.Module == f.Module && o.Found == f.Found })
		if at < 0 {
			all = append(all, f)
			continue
		}
		known := &all[at]
		for _, p := range f.Packages {
			known.Packages = insert(known.Packages, p)
		}
		for _, fn := range f.Functions {
			known.Functions = insert(known.Functions, fn)
		}
		if rank(f.Level) < rank(known.Level) {
			known.Level = f.Level
		}
	}
	sortFindings(all)
	return all
}

func sortFindings(list []Finding) {
	slices.SortFunc(list, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(rank(a.Level), rank(b.Level)), strings.Compare(a.ID, b.ID), strings.Compare(a.Module, b.Module))
	})
}

// name is the id with the CVE that people know it by.
func (f Finding) name() string {
	for _, alias := range f.Aliases {
		if strings.HasPrefix(alias, "CVE-") {
			return f.ID + " (" + alias + ")"
		}
	}
	return f.ID
}

// goes reports whether the finding goes by that id.
func (f Finding) goes(id string) bool { return f.ID == id || slices.Contains(f.Aliases, id) }

// String says in a line what is known, what of it is in the binary and which
// version mends it.
func (f Finding) String() string {
	var b strings.Builder
	b.WriteString(f.name())
	where := f.Module + " " + f.Found
	if f.Module == stdlib {
		where = "the standard library of " + f.Found
	}
	b.WriteString(" in " + where)
	if f.Summary != "" {
		b.WriteString(": " + strings.TrimSuffix(f.Summary, "."))
	}
	switch f.Level {
	case Called:
		b.WriteString("; the binary has " + some(f.Functions))
	case Imported:
		b.WriteString("; the binary has package " + some(f.Packages) + ", not the vulnerable functions")
	default:
		b.WriteString("; the binary has none of its vulnerable packages")
	}
	if f.Fixed == "" {
		return b.String() + "; no version mends it yet"
	}
	return b.String() + "; mended in " + f.Fixed
}

// some names the first of a list and counts the rest.
func some(list []string) string {
	switch len(list) {
	case 0:
		return "some"
	case 1:
		return list[0]
	default:
		return fmt.Sprintf("%s and %d more", list[0], len(list)-1)
	}
}
