package cases

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"google.golang.org/genproto/googleapis/api/annotations"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/slipway-dev/slipway/platform/serve/servetest"
)

func method(t *testing.T, api protoreflect.ServiceDescriptor, name string) protoreflect.MethodDescriptor {
	t.Helper()
	m := api.Methods().ByName(protoreflect.Name(name))
	if m == nil {
		t.Fatalf("%s has no method %s", api.FullName(), name)
	}
	return m
}

// decode parses JSON into any, so that its spacing and order do not matter.
func decode(t *testing.T, data []byte) any {
	t.Helper()
	var v any
	if err := json.Unmarshal(data, &v); err != nil {
		t.Fatalf("not JSON: %v\n%s", err, data)
	}
	return v
}

func encode(t *testing.T, v any) string {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

type grpcPlayer struct {
	server *servetest.Server
	api    protoreflect.ServiceDescriptor
}

func (p grpcPlayer) play(t *testing.T, s step) (answer, bool) {
	t.Helper()
	if s.REST != nil {
		return answer{}, false
	}
	m := method(t, p.api, s.Method)
	request, response := dynamicpb.NewMessage(m.Input()), dynamicpb.NewMessage(m.Output())
	if err := protojson.Unmarshal(s.Request, request); err != nil {
		t.Fatalf("%s: %v", s.Name, err)
	}
	call := "/" + string(m.Parent().FullName()) + "/" + s.Method
	err := p.server.Conn.Invoke(t.Context(), call, request, response)
	st := status.Convert(err)
	var body proto.Message = response
	if err != nil {
		body = st.Proto()
	}
	options := protojson.MarshalOptions{EmitDefaultValues: err == nil}
	data, err := options.Marshal(body)
	if err != nil {
		t.Fatalf("%s: %v", s.Name, err)
	}
	return answer{Name: s.Name, Code: st.Code().String(), Body: decode(t, data)}, true
}

type restPlayer struct {
	server *servetest.Server
	api    protoreflect.ServiceDescriptor
}

func (p restPlayer) play(t *testing.T, s step) (answer, bool) {
	t.Helper()
	if s.GRPCOnly {
		return answer{}, false
	}
	call := s.REST
	if call == nil {
		call = transcode(t, p.api, s)
	}
	verb, path, _ := strings.Cut(call.Call, " ")
	resp, body := p.server.Do(t, verb, path, call.Body) //nolint:bodyclose // Do has read and closed it
	if got := resp.Header.Get("Content-Type"); got != "application/json" {
		t.Errorf("%s: content type %q", s.Name, got)
	}
	return answer{Name: s.Name, HTTP: resp.StatusCode, Body: decode(t, []byte(body))}, true
}

// transcode says a request in HTTP by its method's rule (google/api/http.proto):
// path variables, then the body, then all other fields in the query.
func transcode(t *testing.T, api protoreflect.ServiceDescriptor, s step) *restCall {
	t.Helper()
	rule, ok := proto.GetExtension(method(t, api, s.Method).Options(), annotations.E_Http).(*annotations.HttpRule)
	if !ok || rule == nil {
		t.Fatalf("%s has no HTTP rule", s.Method)
	}
	fields, ok := decode(t, s.Request).(map[string]any)
	if !ok {
		t.Fatalf("%s: the request is no object", s.Name)
	}
	verb, template := pattern(t, rule)
	if before, rest, found := strings.Cut(template, "{"); found {
		variable, after, _ := strings.Cut(rest, "}")
		variable, _, _ = strings.Cut(variable, "=")
		template = before + take(fields, strings.Split(variable, ".")) + after
	}
	out := &restCall{}
	switch body := rule.GetBody(); body {
	case "":
	case "*":
		out.Body = encode(t, fields)
		fields = nil
	default:
		out.Body = encode(t, fields[body])
		delete(fields, body)
	}
	query := url.Values{}
	for key, value := range fields {
		list, ok := value.([]any)
		if !ok {
			list = []any{value}
		}
		for _, v := range list {
			text, isText := v.(string)
			if !isText {
				text = encode(t, v)
			}
			query.Add(key, text)
		}
	}
	out.Call = verb + " " + template
	if len(query) > 0 {
		out.Call += "?" + query.Encode()
	}
	return out
}

func pattern(t *testing.T, rule *annotations.HttpRule) (verb, template string) {
	t.Helper()
	switch p := rule.GetPattern().(type) {
	case *annotations.HttpRule_Get:
		return http.MethodGet, p.Get
	case *annotations.HttpRule_Post:
		return http.MethodPost, p.Post
	case *annotations.HttpRule_Patch:
		return http.MethodPatch, p.Patch
	case *annotations.HttpRule_Delete:
		return http.MethodDelete, p.Delete
	default:
		t.Fatalf("rule %v is not supported by this test", rule)
		return "", ""
	}
}

// take removes the field at the path and returns its text.
func take(fields map[string]any, path []string) string {
	if len(path) == 1 {
		text, _ := fields[path[0]].(string)
		delete(fields, path[0])
		return text
	}
	inner, _ := fields[path[0]].(map[string]any)
	return take(inner, path[1:])
}
