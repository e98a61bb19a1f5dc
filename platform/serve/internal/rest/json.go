package rest

import (
	"encoding/base64"
	"errors"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// encoder writes answers as protojson does with EmitDefaultValues, to the byte
// but for white space, in half the time: protojson sorts a message's fields
// anew for each message, and that was the largest part of a request after the
// database. What is rare in an API (floating point, extensions, groups, required
// fields, most of google.protobuf) it leaves to protojson, message by message.
type encoder struct {
	plans sync.Map // of protoreflect.MessageDescriptor to *plan
}

// plan is how messages of one type are written.
type plan struct {
	foreign bool // by protojson
	fields  []fieldPlan
	of      reflect.Type // of the messages that it was made for
}

type fieldPlan struct {
	protoreflect.FieldDescriptor

	key      string // "name": with the colon
	kind     protoreflect.Kind
	list     bool
	keyed    bool // a map
	always   bool // written when it is not set, too
	elements protoreflect.FieldDescriptor
	text     int // the Go struct's field, if that is a map[string]string; else -1
}

// errForeign sends a message to protojson, which knows what is wrong with it.
var errForeign = errors.New("not for this encoder")

// byProtojson is what the encoder must agree with.
var byProtojson = protojson.MarshalOptions{EmitDefaultValues: true} //nolint:gochecknoglobals // constant

// marshal writes a message.
func (e *encoder) marshal(m proto.Message) ([]byte, error) {
	b, err := e.message(make([]byte, 0, 512), m.ProtoReflect())
	if err != nil {
		return byProtojson.Marshal(m) //nolint:wrapcheck // the gateway words it
	}
	return b, nil
}

func (e *encoder) planOf(m protoreflect.Message) *plan {
	d := m.Descriptor()
	if p, ok := e.plans.Load(d); ok {
		return p.(*plan) //nolint:forcetypeassert // nothing else is in there
	}
	p := &plan{of: reflect.TypeOf(m.Interface()), foreign: d.FullName().Parent() == "google.protobuf" || d.ExtensionRanges().Len() > 0 || d.RequiredNumbers().Len() > 0}
	for i := range d.Fields().Len() {
		fd := d.Fields().Get(i)
		f := fieldPlan{
			FieldDescriptor: fd, key: string(appendText(nil, fd.JSONName())) + ":", kind: fd.Kind(), elements: fd,
			list: fd.IsList(), keyed: fd.IsMap(), always: !fd.HasPresence() && fd.ContainingOneof() == nil,
			text: -1,
		}
		if f.keyed {
			f.elements = fd.MapValue()
			f.kind = f.elements.Kind()
			f.text = textMap(p.of, fd.Name())
			p.foreign = p.foreign || fd.MapKey().Kind() != protoreflect.StringKind
		}
		switch f.kind { //nolint:exhaustive // the others are written here
		case protoreflect.FloatKind, protoreflect.DoubleKind, protoreflect.GroupKind:
			p.foreign = true
		case protoreflect.EnumKind:
			p.foreign = p.foreign || f.elements.Enum().FullName().Parent() == "google.protobuf"
		}
		p.fields = append(p.fields, f)
	}
	e.plans.Store(d, p)
	return p
}

func (e *encoder) message(b []byte, m protoreflect.Message) ([]byte, error) {
	if t, ok := m.Interface().(*timestamppb.Timestamp); ok {
		return appendTime(b, t)
	}
	p := e.planOf(m)
	if p.foreign {
		return byProtojson.MarshalAppend(b, m.Interface()) //nolint:wrapcheck // marshal turns to protojson anyway
	}
	b = append(b, '{')
	first := len(b)
	for i := range p.fields {
		f := &p.fields[i]
		if !f.always && !m.Has(f.FieldDescriptor) {
			continue
		}
		if len(b) > first {
			b = append(b, ',')
		}
		b = append(b, f.key...)
		var err error
		switch {
		case f.list:
			b, err = e.list(b, f, m.Get(f.FieldDescriptor).List())
		case f.text >= 0 && reflect.TypeOf(m.Interface()) == p.of:
			text, _ := reflect.TypeAssert[map[string]string](reflect.ValueOf(m.Interface()).Elem().Field(f.text))
			b, err = appendTexts(b, text)
		case f.keyed:
			b, err = e.entries(b, f, m.Get(f.FieldDescriptor).Map())
		default:
			b, err = e.value(b, f, m.Get(f.FieldDescriptor))
		}
		if err != nil {
			return nil, err
		}
	}
	return append(b, '}'), nil
}

func (e *encoder) list(b []byte, f *fieldPlan, l protoreflect.List) (_ []byte, err error) {
	b = append(b, '[')
	for i := range l.Len() {
		if i > 0 {
			b = append(b, ',')
		}
		if b, err = e.value(b, f, l.Get(i)); err != nil {
			return nil, err
		}
	}
	return append(b, ']'), nil
}

// textMap is the field of the message's struct that holds the map of that name,
// if its Go type is map[string]string, else -1. Reading such a map through
// protoreflect allocates for each entry, and labels are everywhere.
func textMap(message reflect.Type, name protoreflect.Name) int {
	if message.Kind() != reflect.Pointer || message.Elem().Kind() != reflect.Struct {
		return -1
	}
	for f := range message.Elem().Fields() {
		if f.IsExported() && f.Type == reflect.TypeFor[map[string]string]() &&
			slices.Contains(strings.Split(f.Tag.Get("protobuf"), ","), "name="+string(name)) {
			return f.Index[0]
		}
	}
	return -1
}

// appendTexts writes a map in the order of its keys.
func appendTexts(b []byte, m map[string]string) ([]byte, error) {
	var few [16]string // on the stack
	keys := few[:0]
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	b = append(b, '{')
	for i, k := range keys {
		if i > 0 {
			b = append(b, ',')
		}
		v := m[k]
		if !utf8.ValidString(k) || !utf8.ValidString(v) {
			return nil, errForeign
		}
		b = appendText(append(appendText(b, k), ':'), v)
	}
	return append(b, '}'), nil
}

// entries writes a map in the order of its keys.
func (e *encoder) entries(b []byte, f *fieldPlan, m protoreflect.Map) (_ []byte, err error) {
	keys := make([]string, 0, m.Len())
	m.Range(func(k protoreflect.MapKey, _ protoreflect.Value) bool {
		keys = append(keys, k.String())
		return true
	})
	slices.Sort(keys)
	b = append(b, '{')
	for i, k := range keys {
		if i > 0 {
			b = append(b, ',')
		}
		if !utf8.ValidString(k) {
			return nil, errForeign
		}
		b = append(appendText(b, k), ':')
		if b, err = e.value(b, f, m.Get(protoreflect.ValueOfString(k).MapKey())); err != nil {
			return nil, err
		}
	}
	return append(b, '}'), nil
}

// value writes one value; numbers of 64 bits are strings in proto3 JSON.
func (e *encoder) value(b []byte, f *fieldPlan, v protoreflect.Value) ([]byte, error) {
	switch f.kind {
	case protoreflect.BoolKind:
		return strconv.AppendBool(b, v.Bool()), nil
	case protoreflect.StringKind:
		if s := v.String(); utf8.ValidString(s) {
			return appendText(b, s), nil
		}
		return nil, errForeign
	case protoreflect.Int32Kind, protoreflect.Sint32Kind, protoreflect.Sfixed32Kind:
		return strconv.AppendInt(b, v.Int(), 10), nil
	case protoreflect.Uint32Kind, protoreflect.Fixed32Kind:
		return strconv.AppendUint(b, v.Uint(), 10), nil
	case protoreflect.Int64Kind, protoreflect.Sint64Kind, protoreflect.Sfixed64Kind:
		return append(strconv.AppendInt(append(b, '"'), v.Int(), 10), '"'), nil
	case protoreflect.Uint64Kind, protoreflect.Fixed64Kind:
		return append(strconv.AppendUint(append(b, '"'), v.Uint(), 10), '"'), nil
	case protoreflect.BytesKind:
		return append(base64.StdEncoding.AppendEncode(append(b, '"'), v.Bytes()), '"'), nil
	case protoreflect.EnumKind:
		if named := f.elements.Enum().Values().ByNumber(v.Enum()); named != nil {
			return append(append(append(b, '"'), named.Name()...), '"'), nil
		}
		return strconv.AppendInt(b, int64(v.Enum()), 10), nil
	case protoreflect.MessageKind:
		return e.message(b, v.Message())
	default:
		return nil, errForeign
	}
}

// appendText writes a string of valid UTF-8 (RFC 8259, section 7).
func appendText(b []byte, s string) []byte {
	const hex = "0123456789abcdef"
	b = append(b, '"')
	written := 0
	for i := range len(s) {
		c := s[i]
		if c >= ' ' && c != '"' && c != '\\' {
			continue
		}
		b = append(b, s[written:i]...)
		written = i + 1
		switch c {
		case '"', '\\':
			b = append(b, '\\', c)
		case '\b':
			b = append(b, '\\', 'b')
		case '\f':
			b = append(b, '\\', 'f')
		case '\n':
			b = append(b, '\\', 'n')
		case '\r':
			b = append(b, '\\', 'r')
		case '\t':
			b = append(b, '\\', 't')
		default:
			b = append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		}
	}
	return append(append(b, s[written:]...), '"')
}

// appendTime writes RFC 3339 in UTC with 0, 3, 6 or 9 digits of a second.
func appendTime(b []byte, t *timestamppb.Timestamp) ([]byte, error) {
	if !t.IsValid() {
		return nil, errForeign
	}
	b = t.AsTime().AppendFormat(append(b, '"'), time.RFC3339) // the one layout that package time is fast at
	b = b[:len(b)-1]                                          // Z
	digits, nanos := 9, t.GetNanos()
	for ; digits > 0 && nanos%1000 == 0; digits -= 3 {
		nanos /= 1000
	}
	if digits > 0 {
		var fraction [9]byte
		for i := digits - 1; i >= 0; i-- {
			fraction[i] = '0' + byte(nanos%10) //nolint:gosec // below 10
			nanos /= 10
		}
		b = append(append(b, '.'), fraction[:digits]...)
	}
	return append(b, 'Z', '"'), nil
}
