package check

import (
	"bytes"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/bufbuild/protocompile/ast"
	"github.com/bufbuild/protocompile/parser"
	"github.com/bufbuild/protocompile/reporter"
)

// Options that the rules for methods look at.
const (
	httpOption        = "(google.api.http)"
	ruleOption        = "(slipway.auth.v1.rule)"
	idempotencyOption = "idempotency_level"
	noSideEffects     = "NO_SIDE_EFFECTS"
)

// method is one method of a proto service.
type method struct {
	file, service, name string
	line                int
	// verb and path are those of the HTTP rule; empty without one.
	verb, path string
	// options are the names of its options, down to a field that is set by
	// itself, and the text of an enum's value.
	options map[string]string
}

// Methods reports methods of the services' APIs that nobody may call because
// they say no scopes, reads that callers may not repeat because they do not say
// that they change nothing, and paths that no route of a manifest leads to.
func Methods(t *Tree) []Finding {
	services, found := Services(t)
	for _, p := range t.Paths() {
		if !strings.HasPrefix(p, "proto/slipway/") || path.Ext(p) != ".proto" {
			continue
		}
		methods, err := methodsOf(p, t.Files[p])
		if err != nil {
			found = append(found, Finding{File: p, What: err.Error(), Mend: "correct the file"})
		}
		for i, m := range methods {
			by := slices.IndexFunc(services, func(s Service) bool { return s.GRPC.Service == m.service })
			if by >= 0 {
				found = append(found, m.check(services[by])...)
			} else if i == 0 || methods[i-1].service != m.service {
				found = append(found, Finding{
					File: p, Line: m.line, What: m.service + " is served by nobody", Mend: "name it as grpc.service in a service.yaml",
				})
			}
		}
	}
	return sorted(found)
}

func (m method) check(s Service) []Finding {
	var found []Finding
	add := func(what, mend string) {
		found = append(found, Finding{File: m.file, Line: m.line, What: what, Mend: mend})
	}
	if !m.has(ruleOption) {
		add(m.name+" says nobody who may call it, so it refuses everybody",
			"option "+ruleOption+`.scopes = "NAME.read"; or, for everybody, option `+ruleOption+".public = true;")
	}
	if m.verb == "get" && m.options[idempotencyOption] != noSideEffects {
		add(m.name+" is a GET and does not say that it changes nothing, so callers do not repeat it",
			"option "+idempotencyOption+" = "+noSideEffects+"; (RFC 9110, section 9.2.1)")
	}
	if m.path != "" && !reaches(s.HTTP.Routes, m.path) {
		add(unreached(s, m.name, m.path), "widen http.routes, or answer below a path that they have")
	}
	return found
}

// has reports whether an option is set, whole or a field of it.
func (m method) has(option string) bool {
	for name := range m.options {
		if name == option || strings.HasPrefix(name, option+".") {
			return true
		}
	}
	return false
}

// methodsOf parses a proto file. Imports are not read: options count by name.
func methodsOf(file string, src []byte) ([]method, error) {
	tree, err := parser.Parse(file, bytes.NewReader(src), reporter.NewHandler(nil))
	if err != nil {
		return nil, err //nolint:wrapcheck // it names the file and the line
	}
	pkg := ""
	var methods []method
	for _, decl := range tree.Decls {
		switch decl := decl.(type) {
		case *ast.PackageNode:
			pkg = string(decl.Name.AsIdentifier())
		case *ast.ServiceNode:
			for _, element := range decl.Decls {
				if rpc, ok := element.(*ast.RPCNode); ok {
					m := methodOf(rpc)
					m.file, m.line = file, tree.NodeInfo(rpc.Name).Start().Line
					m.service = pkg + "." + decl.Name.Val
					methods = append(methods, m)
				}
			}
		}
	}
	return methods, nil
}

func methodOf(rpc *ast.RPCNode) method {
	m := method{name: rpc.Name.Val, options: map[string]string{}}
	for _, element := range rpc.Decls {
		option, ok := element.(*ast.OptionNode)
		if !ok {
			continue
		}
		name := optionName(option)
		m.options[name] = ""
		switch value := option.Val.Value().(type) {
		case ast.Identifier:
			m.options[name] = string(value)
		case []*ast.MessageFieldNode:
			if name == httpOption {
				m.verb, m.path = binding(value)
			}
		}
	}
	return m
}

func optionName(option *ast.OptionNode) string {
	names := make([]string, len(option.Name.Parts))
	for i, part := range option.Name.Parts {
		names[i] = part.Value()
	}
	return strings.Join(names, ".")
}

// variable is a variable in a path template (google/api/http.proto).
var variable = regexp.MustCompile(`\{[^}=]*(=([^}]*))?\}`)

// binding is the verb of an HTTP rule and an example of a path that it takes.
func binding(fields []*ast.MessageFieldNode) (verb, example string) {
	for _, field := range fields {
		name := field.Name.Value()
		text, ok := field.Val.Value().(string)
		if !ok || !slices.Contains([]string{"get", "put", "post", "delete", "patch"}, name) {
			continue
		}
		example = variable.ReplaceAllStringFunc(text, func(v string) string {
			if _, inner, ok := strings.Cut(strings.Trim(v, "{}"), "="); ok {
				return inner
			}
			return "*"
		})
		return name, strings.NewReplacer("**", "x", "*", "x").Replace(example)
	}
	return "", ""
}
