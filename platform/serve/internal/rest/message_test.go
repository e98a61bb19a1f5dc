package rest

import (
	"reflect"
	"testing"

	"google.golang.org/genproto/googleapis/api/httpbody"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// TestShare makes one message another's twin, which must behave as any message
// does, whether it was assigned or merged.
func TestShare(t *testing.T) {
	t.Parallel()
	nested, err := structpb.NewStruct(map[string]any{"a": []any{1.5, "b"}, "c": map[string]any{"d": nil}})
	if err != nil {
		t.Fatal(err)
	}
	strange := &httpbody.HttpBody{ContentType: "text/plain", Data: []byte("x")}
	strange.ProtoReflect().SetUnknown([]byte{0x7a, 1, 'u'}) // field 15
	extensible := &descriptorpb.MethodOptions{Deprecated: new(true)}
	for name, tc := range map[string]struct {
		in     proto.Message
		shared bool
	}{
		"sub-messages":   {nested, true},
		"unknown fields": {strange, true},
		"a scalar":       {wrapperspb.String("x"), true},
		"extensions":     {extensible, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var s sharer
			want := proto.Clone(tc.in)
			out := tc.in.ProtoReflect().New().Interface()
			for range 2 { // the second time from the cache, over the first
				if err := s.share(out, tc.in); err != nil {
					t.Fatal(err)
				}
			}
			for _, m := range []proto.Message{out, tc.in} {
				text, err := byProtojson.Marshal(m)
				if err != nil || !proto.Equal(m, want) || proto.Size(m) != proto.Size(want) {
					t.Errorf("got %s, %v; want %v", text, err, want)
				}
			}
			if proto.Reset(tc.in); !proto.Equal(out, want) {
				t.Errorf("the twin went with the message: %v", out)
			}
			if got, known := s.plain.Load(reflect.TypeOf(out).Elem()); !known || got != tc.shared {
				t.Errorf("shared is %v, want %v", got, tc.shared)
			}
		})
	}
}
