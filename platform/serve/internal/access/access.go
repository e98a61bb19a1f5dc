// Package access knows what the platform must know of each gRPC method before it
// lets a call through: who may call it, and whether it is the server's own.
package access

import (
	"maps"
	"slices"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	authv1 "github.com/slipway-dev/slipway/proto/slipway/auth/v1"
)

// Method is one gRPC method.
type Method struct {
	Name           string   // /package.Service/Method
	Infrastructure bool     // health and reflection: for everybody, never logged, shed or traced
	Public         bool     // for everybody, without a token
	Scopes         []string // what the caller's token must hold, every one
	Streaming      bool     // in either direction
	Ruled          bool     // the proto says who may call it; without that nobody may
}

// Open reports whether the method asks for no token.
func (m *Method) Open() bool { return m.Infrastructure || m.Public }

// Methods holds the methods of a server by their full name. It does not change
// once it is made.
type Methods map[string]*Method

// Of reads the rule slipway.auth.v1.rule of every method of the services.
func Of(services ...*grpc.ServiceDesc) Methods {
	all := make(Methods)
	for _, s := range services {
		names := make([]string, 0, len(s.Methods)+len(s.Streams))
		for _, m := range s.Methods {
			names = append(names, m.MethodName)
		}
		for _, m := range s.Streams {
			names = append(names, m.StreamName)
		}
		for i, name := range names {
			m := &Method{
				Name: "/" + s.ServiceName + "/" + name, Infrastructure: infrastructure(s.ServiceName), Streaming: i >= len(s.Methods),
			}
			m.read(protoreflect.FullName(s.ServiceName + "." + name))
			all[m.Name] = m
		}
	}
	return all
}

// infrastructure reports whether the service belongs to the server itself.
func infrastructure(service string) bool {
	return strings.HasPrefix(service, "grpc.health.") || strings.HasPrefix(service, "grpc.reflection.")
}

// read takes over the method's rule.
func (m *Method) read(name protoreflect.FullName) {
	d, err := protoregistry.GlobalFiles.FindDescriptorByName(name)
	if err != nil {
		return // no descriptor, so no rule, so nobody may call it
	}
	rule, ok := proto.GetExtension(d.Options(), authv1.E_Rule).(*authv1.Rule)
	if !ok || rule == nil {
		return
	}
	m.Public, m.Scopes = rule.GetPublic(), rule.GetScopes()
	// A rule that says nothing, or both things, is no rule.
	m.Ruled = m.Public != (len(m.Scopes) > 0)
	if !m.Ruled {
		m.Public = false
	}
}

// Find is the method of that name. One that is not known is nobody's, unless it
// is the server's own.
func (all Methods) Find(name string) *Method {
	if m, ok := all[name]; ok {
		return m
	}
	return &Method{Name: name, Infrastructure: infrastructure(strings.TrimPrefix(name, "/"))}
}

// Unruled lists the methods that nobody may call, by name.
func (all Methods) Unruled() []string {
	return all.names(func(m *Method) bool { return !m.Ruled && !m.Infrastructure })
}

// Closed lists the methods that ask for a token, by name.
func (all Methods) Closed() []string { return all.names(func(m *Method) bool { return !m.Open() }) }

func (all Methods) names(ok func(*Method) bool) []string {
	var names []string
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if ok(all[name]) {
			names = append(names, name)
		}
	}
	return names
}

// Scopes lists every scope that a method names.
func (all Methods) Scopes() []string {
	set := make(map[string]struct{})
	for _, m := range all {
		for _, s := range m.Scopes {
			set[s] = struct{}{}
		}
	}
	return slices.Sorted(maps.Keys(set))
}
