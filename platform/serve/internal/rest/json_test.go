package rest

import (
	"bytes"
	"encoding/json"
	"math"
	"math/rand/v2"
	"testing"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/slipway-dev/slipway/platform/serve/internal/echopb"
)

// everything has a field of each kind in each shape that the encoder writes
// itself, and some that it does not.
const everything = `
name: "every.proto" package: "every" syntax: "proto3"
dependency: ["google/protobuf/timestamp.proto", "google/protobuf/duration.proto", "google/protobuf/wrappers.proto"]
enum_type {name: "E" value {name: "ZERO" number: 0} value {name: "ONE" number: 1}}
message_type {name: "Float" field {name: "f" number: 1 type: TYPE_DOUBLE label: LABEL_OPTIONAL}}
message_type {
  name: "M"
  field {name: "a_bool" number: 1 type: TYPE_BOOL label: LABEL_OPTIONAL}
  field {name: "a_string" number: 20 type: TYPE_STRING label: LABEL_OPTIONAL}
  field {name: "i32" number: 3 type: TYPE_SINT32 label: LABEL_OPTIONAL}
  field {name: "u32" number: 4 type: TYPE_FIXED32 label: LABEL_OPTIONAL}
  field {name: "i64" number: 5 type: TYPE_INT64 label: LABEL_OPTIONAL}
  field {name: "u64" number: 6 type: TYPE_UINT64 label: LABEL_OPTIONAL}
  field {name: "by_tes" number: 7 type: TYPE_BYTES label: LABEL_OPTIONAL}
  field {name: "e" number: 8 type: TYPE_ENUM type_name: ".every.E" label: LABEL_OPTIONAL}
  field {name: "m" number: 9 type: TYPE_MESSAGE type_name: ".every.M" label: LABEL_OPTIONAL}
  field {name: "t" number: 10 type: TYPE_MESSAGE type_name: ".google.protobuf.Timestamp" label: LABEL_OPTIONAL}
  field {name: "d" number: 11 type: TYPE_MESSAGE type_name: ".google.protobuf.Duration" label: LABEL_OPTIONAL}
  field {name: "w" number: 12 type: TYPE_MESSAGE type_name: ".google.protobuf.StringValue" label: LABEL_OPTIONAL}
  field {name: "fl" number: 13 type: TYPE_MESSAGE type_name: ".every.Float" label: LABEL_OPTIONAL}
  field {name: "strings" number: 14 type: TYPE_STRING label: LABEL_REPEATED}
  field {name: "longs" number: 15 type: TYPE_SINT64 label: LABEL_REPEATED}
  field {name: "messages" number: 16 type: TYPE_MESSAGE type_name: ".every.M" label: LABEL_REPEATED}
  field {name: "enums" number: 17 type: TYPE_ENUM type_name: ".every.E" label: LABEL_REPEATED}
  field {name: "by_name" number: 18 type: TYPE_MESSAGE type_name: ".every.M.ByNameEntry" label: LABEL_REPEATED}
  field {name: "one" number: 21 type: TYPE_STRING label: LABEL_OPTIONAL oneof_index: 0}
  field {name: "other" number: 22 type: TYPE_MESSAGE type_name: ".every.M" label: LABEL_OPTIONAL oneof_index: 0}
  field {name: "maybe" number: 23 type: TYPE_INT32 label: LABEL_OPTIONAL oneof_index: 1 proto3_optional: true}
  nested_type {
    name: "ByNameEntry" options {map_entry: true}
    field {name: "key" number: 1 type: TYPE_STRING label: LABEL_OPTIONAL}
    field {name: "value" number: 2 type: TYPE_MESSAGE type_name: ".every.M" label: LABEL_OPTIONAL}
  }
  oneof_decl {name: "choice"} oneof_decl {name: "_maybe"}
}`

func every(t *testing.T) protoreflect.MessageDescriptor {
	t.Helper()
	var file descriptorpb.FileDescriptorProto
	if err := prototext.Unmarshal([]byte(everything), &file); err != nil {
		t.Fatal(err)
	}
	d, err := protodesc.NewFile(&file, protoregistry.GlobalFiles)
	if err != nil {
		t.Fatal(err)
	}
	return d.Messages().ByName("M")
}

// TestEncoderAgreesWithProtojson compares messages of random content, byte by
// byte once white space is gone.
func TestEncoderAgreesWithProtojson(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2))
	d := every(t)
	e := &encoder{}
	for range 300 {
		m := dynamicpb.NewMessage(d)
		fill(r, m, 3)
		same(t, e, m)
	}
	for _, m := range []proto.Message{
		&echopb.EchoResponse{}, &echopb.EchoResponse{Text: "\u2028<&>\x7f ä 😀", DeadlineMs: -1},
		&errdetails.ErrorInfo{Reason: "R", Metadata: map[string]string{"b": "1", "a": "\"\\\n"}},
		&timestamppb.Timestamp{Seconds: 1}, &timestamppb.Timestamp{Nanos: 5_000_000}, &timestamppb.Timestamp{Seconds: -1, Nanos: 5_000},
		&timestamppb.Timestamp{Nanos: 5}, durationpb.New(1), wrapperspb.String("x"),
		&descriptorpb.FieldDescriptorProto{Name: new("proto2")},
	} {
		same(t, e, m)
	}
}

// TestEncoderRefusesWhatProtojsonRefuses leaves the wording to protojson.
func TestEncoderRefusesWhatProtojsonRefuses(t *testing.T) {
	t.Parallel()
	e := &encoder{}
	for name, m := range map[string]proto.Message{
		"text":      &echopb.EchoResponse{Text: "a\xff"},
		"key":       &errdetails.ErrorInfo{Metadata: map[string]string{"\xff": ""}},
		"timestamp": &timestamppb.Timestamp{Seconds: math.MaxInt64},
	} {
		_, want := byProtojson.Marshal(m)
		if _, err := e.marshal(m); err == nil || want == nil || err.Error() != want.Error() {
			t.Errorf("%s: %v, protojson says %v", name, err, want)
		}
	}
}

func same(t *testing.T, e *encoder, m proto.Message) {
	t.Helper()
	got, err := e.marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	want, err := byProtojson.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	var compactGot, compactWant bytes.Buffer
	if err := json.Compact(&compactWant, want); err != nil {
		t.Fatal(err)
	}
	if err := json.Compact(&compactGot, got); err != nil {
		t.Fatalf("%v in %s", err, got)
	}
	if compactGot.String() != compactWant.String() {
		t.Fatalf("got\n%s\nwant\n%s", &compactGot, &compactWant)
	}
}

var texts = []string{"", "plain", "\x00\x1f\b\f\n\r\t\"\\/", "ä€😀\u2028\u007f", "<b>&amp;"} //nolint:gochecknoglobals // constant

// fill sets about half of a message's fields.
func fill(r *rand.Rand, m protoreflect.Message, depth int) {
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		fd := fields.Get(i)
		if r.IntN(2) == 0 || (depth == 0 && fd.Message() != nil) {
			continue
		}
		switch {
		case fd.IsList():
			for range r.IntN(3) {
				l := m.Mutable(fd).List()
				l.Append(random(r, fd, l.NewElement(), depth))
			}
		case fd.IsMap():
			for range r.IntN(4) {
				entries := m.Mutable(fd).Map()
				key := protoreflect.ValueOfString(texts[r.IntN(len(texts))]).MapKey()
				entries.Set(key, random(r, fd.MapValue(), entries.NewValue(), depth))
			}
		default:
			m.Set(fd, random(r, fd, m.NewField(fd), depth))
		}
	}
}

func random(r *rand.Rand, fd protoreflect.FieldDescriptor, empty protoreflect.Value, depth int) protoreflect.Value {
	switch fd.Kind() { //nolint:exhaustive // those of the test's message
	case protoreflect.BoolKind:
		return protoreflect.ValueOfBool(r.IntN(2) == 0)
	case protoreflect.StringKind:
		return protoreflect.ValueOfString(texts[r.IntN(len(texts))])
	case protoreflect.Int32Kind, protoreflect.Sint32Kind:
		return protoreflect.ValueOfInt32(int32(r.Uint32()) >> r.IntN(32))
	case protoreflect.Fixed32Kind:
		return protoreflect.ValueOfUint32(r.Uint32())
	case protoreflect.Int64Kind, protoreflect.Sint64Kind:
		return protoreflect.ValueOfInt64(int64(r.Uint64()) >> r.IntN(64))
	case protoreflect.Uint64Kind:
		return protoreflect.ValueOfUint64(r.Uint64())
	case protoreflect.DoubleKind:
		return protoreflect.ValueOfFloat64(r.NormFloat64())
	case protoreflect.BytesKind:
		return protoreflect.ValueOfBytes([]byte(texts[r.IntN(len(texts))]))
	case protoreflect.EnumKind:
		return protoreflect.ValueOfEnum(protoreflect.EnumNumber(r.IntN(4)))
	}
	m := empty.Message()
	switch m.Descriptor().FullName() {
	case "google.protobuf.Timestamp", "google.protobuf.Duration":
		m.Set(m.Descriptor().Fields().ByName("seconds"), protoreflect.ValueOfInt64(r.Int64N(1<<32)))
		nanos := []int32{0, 5, 5_000, 5_000_000, 123_456_789, 999_999_000}[r.IntN(6)]
		m.Set(m.Descriptor().Fields().ByName("nanos"), protoreflect.ValueOfInt32(nanos))
	default:
		fill(r, m, depth-1)
	}
	return empty
}
