// Package servicemap is the map of the services as their manifests draw it: who
// calls whom, what leads to each from outside, what each keeps. It knows no
// running system.
package servicemap

import (
	"fmt"
	"slices"
	"strings"

	"github.com/slipway-dev/slipway/platform/kit/manifest"
)

// Map is what the manifests say about how services hang together.
type Map struct {
	Services []Node `json:"services"`
	// Warnings are circles of calls, in words.
	Warnings []string `json:"warnings"`
}

// Node is one service.
type Node struct {
	Name     string   `json:"name"`
	Team     string   `json:"team,omitempty"`
	Routes   []string `json:"routes"`
	GRPC     string   `json:"grpc,omitempty"`
	Calls    []string `json:"calls"`
	CalledBy []string `json:"called_by"`
	Database string   `json:"database,omitempty"`
}

// New draws the map of a workspace.
func New(work *manifest.Workspace) Map {
	m := Map{Services: []Node{}, Warnings: []string{}}
	callers := map[string][]string{}
	for _, s := range work.Services {
		for _, callee := range s.Calls {
			callers[callee] = append(callers[callee], s.Name)
		}
	}
	for _, s := range work.Services {
		n := Node{Name: s.Name, Team: s.Team, Routes: []string{}, Calls: []string{}, CalledBy: []string{}}
		if s.HTTP != nil {
			n.Routes = append(n.Routes, s.HTTP.Routes...)
		}
		if s.GRPC != nil {
			n.GRPC = s.GRPC.Service
		}
		if s.Database != nil {
			n.Database = string(s.Database.Engine)
		}
		n.Calls = append(n.Calls, s.Calls...)
		slices.Sort(n.Calls)
		n.CalledBy = append(n.CalledBy, callers[s.Name]...)
		m.Services = append(m.Services, n)
	}
	for _, w := range work.Warnings {
		m.Warnings = append(m.Warnings, w.Message)
	}
	return m
}

// Format is a way to write the map.
type Format string

// The formats.
const (
	Text    Format = "text"
	Mermaid Format = "mermaid"
	Dot     Format = "dot"
	JSON    Format = "json"
)

// UnknownFormatError names a format that there is not.
type UnknownFormatError struct{ Name string }

// Error says which there are.
func (e *UnknownFormatError) Error() string {
	return fmt.Sprintf("draw the services: format %q is none of text, mermaid, dot, json", e.Name)
}

// Next is a command that works.
func (*UnknownFormatError) Next() string { return "go tool mage graph --format=mermaid" }

// ExitCode returns 2: bad input.
func (*UnknownFormatError) ExitCode() int { return 2 }

// Write returns the map in a format other than JSON, which is its own encoding.
func (m Map) Write(f Format) (string, error) {
	switch f {
	case "", Text:
		return m.text(), nil
	case Mermaid:
		return m.mermaid(), nil
	case Dot:
		return m.dot(), nil
	case JSON:
		return m.json()
	default:
		return "", &UnknownFormatError{Name: string(f)}
	}
}

// databases lists the services that have a database.
func (m Map) databases() []Node {
	return slices.DeleteFunc(slices.Clone(m.Services), func(n Node) bool { return n.Database == "" })
}

// public lists the services that something leads to from outside.
func (m Map) public() []Node {
	return slices.DeleteFunc(slices.Clone(m.Services), func(n Node) bool { return len(n.Routes) == 0 && n.GRPC == "" })
}

func (m Map) node(name string) Node {
	for _, n := range m.Services {
		if n.Name == name {
			return n
		}
	}
	return Node{Name: name}
}

// entrance is what leads to a service from outside, in a few words.
func (n Node) entrance() string {
	parts := slices.Clone(n.Routes)
	if n.GRPC != "" {
		parts = append(parts, n.GRPC)
	}
	return strings.Join(parts, ", ")
}
