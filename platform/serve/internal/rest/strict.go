package rest

import (
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
)

// enter refuses a request that holds more than its message or what no message
// can hold, and notes that any other got to gRPC, whose logging interceptor then
// writes its line. A stream's body may hold many messages.
func (x *exchange) enter(method string, manyMessages bool) error {
	if x.request != nil && !utf8.ValidString(x.request.URL.Path) {
		return status.Error(codes.InvalidArgument, "the path is not valid UTF-8")
	}
	if err := x.checkQuery(method); err != nil {
		return err
	}
	if !manyMessages {
		if err := x.checkBody(); err != nil {
			return err
		}
	}
	x.reached.Store(true)
	return nil
}

// checkQuery refuses query parameters that no field of the method's request
// takes: the gateway would drop them in silence, and with them a filter or an
// etag that is spelled wrong. A route that binds its body to the whole request
// takes none at all, and what the path gives is no parameter
// (google.api.HttpRule).
func (x *exchange) checkQuery(method string) error {
	if x.request == nil || x.request.URL.RawQuery == "" {
		return nil
	}
	var unknown []string
	input := inputOf(method)
	for key, values := range x.request.URL.Query() {
		if !utf8.ValidString(key) || slices.ContainsFunc(values, func(v string) bool { return !utf8.ValidString(v) }) {
			return status.Error(codes.InvalidArgument, "the query is not valid UTF-8")
		}
		if x.request.Form == nil || (input != nil && !x.takes(input, key)) {
			unknown = append(unknown, key)
		}
	}
	if len(unknown) == 0 {
		return nil
	}
	slices.Sort(unknown)
	return status.Errorf(codes.InvalidArgument, "unknown query parameter %q", unknown[0])
}

// takes reports whether the key is a field of the message, by its proto or JSON
// name, a field within such a field, or an entry of a map: a, a.b, a[key].
func (x *exchange) takes(message protoreflect.MessageDescriptor, key string) bool {
	if before, _, ok := strings.Cut(key, "["); ok && strings.HasSuffix(key, "]") {
		key = before
	}
	var names []string
	for name := range strings.SplitSeq(key, ".") {
		if message == nil {
			return false
		}
		field := message.Fields().ByTextName(name)
		if field == nil {
			field = message.Fields().ByJSONName(name)
		}
		if field == nil {
			return false
		}
		names = append(names, string(field.Name()))
		message = field.Message()
	}
	_, bound := x.path[strings.Join(names, ".")]
	return !bound
}

// inputOf is the request of a method such as /package.Service/Method, nil for
// one that is not registered.
func inputOf(method string) protoreflect.MessageDescriptor {
	name := strings.ReplaceAll(strings.TrimPrefix(method, "/"), "/", ".")
	d, err := protoregistry.GlobalFiles.FindDescriptorByName(protoreflect.FullName(name))
	if m, ok := d.(protoreflect.MethodDescriptor); ok && err == nil {
		return m.Input()
	}
	return nil
}

// checkBody refuses data behind the one JSON value of a request.
func (x *exchange) checkBody() error {
	if x.request == nil {
		return nil
	}
	b, ok := x.request.Body.(*body)
	if !ok {
		return nil
	}
	if _, err := io.Copy(io.Discard, b); err != nil {
		return status.Error(codes.InvalidArgument, err.Error())
	}
	if b.extra {
		return status.Error(codes.InvalidArgument, "there is more than one JSON value in the body")
	}
	return nil
}
