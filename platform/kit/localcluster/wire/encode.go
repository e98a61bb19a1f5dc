package wire

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/smithy-go/document"
	smithytime "github.com/aws/smithy-go/time"
)

var timeType = reflect.TypeFor[time.Time]()

// Marshal writes an SDK structure as the service behind it would: members that
// are nil are left out, as are empty enumerations; numbers and booleans that
// cannot be nil are always there (a client of ECS relies on desiredCount 0);
// times are seconds since 1970, blobs base64.
func Marshal(v any, c Case) ([]byte, error) {
	e := encoder{names: c}
	if err := e.value(reflect.ValueOf(v)); err != nil {
		return nil, fmt.Errorf("encode %T: %w", v, err)
	}
	return e.buf.Bytes(), nil
}

type encoder struct {
	buf   bytes.Buffer
	names Case
}

func (e *encoder) value(v reflect.Value) error {
	switch v.Kind() {
	case reflect.Invalid:
		e.buf.WriteString("null")
	case reflect.Pointer:
		if v.IsNil() {
			e.buf.WriteString("null")
			return nil
		}
		return e.value(v.Elem())
	case reflect.Struct:
		if v.Type() == timeType {
			at, _ := reflect.TypeAssert[time.Time](v)
			return e.time(at)
		}
		return e.structure(v)
	case reflect.Interface:
		return e.variant(v)
	case reflect.Slice:
		return e.list(v)
	case reflect.Map:
		return e.mapping(v)
	case reflect.String:
		return e.string(v.String())
	case reflect.Bool:
		e.buf.WriteString(strconv.FormatBool(v.Bool()))
	case reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64, reflect.Int:
		e.buf.WriteString(strconv.FormatInt(v.Int(), 10))
	case reflect.Float32:
		return e.float(v.Float(), 32)
	case reflect.Float64:
		return e.float(v.Float(), 64)
	default:
		return fmt.Errorf("no JSON form for %s", v.Type())
	}
	return nil
}

func (e *encoder) structure(v reflect.Value) error {
	names := namesOf(v.Type(), e.names)
	e.buf.WriteByte('{')
	first := true
	for i := range v.NumField() {
		field, member := v.Type().Field(i), v.Field(i)
		if !isMember(field) || isAbsent(member) {
			continue
		}
		if !first {
			e.buf.WriteByte(',')
		}
		first = false
		if err := e.string(names.of(field.Name)); err != nil {
			return err
		}
		e.buf.WriteByte(':')
		if err := e.value(member); err != nil {
			return fmt.Errorf("%s: %w", field.Name, err)
		}
	}
	e.buf.WriteByte('}')
	return nil
}

// variant writes what an interface member holds: a document as the JSON that
// it is, a union as an object with the one member that is set.
func (e *encoder) variant(v reflect.Value) error {
	if v.IsNil() {
		e.buf.WriteString("null")
		return nil
	}
	if doc, ok := reflect.TypeAssert[document.Marshaler](v); ok {
		raw, err := doc.MarshalSmithyDocument()
		if err != nil {
			return fmt.Errorf("document: %w", err)
		}
		return json.Compact(&e.buf, raw)
	}
	concrete := reflect.Indirect(v.Elem())
	name, isUnion := strings.CutPrefix(concrete.Type().Name(), v.Type().Name()+"Member")
	if !isUnion || concrete.Kind() != reflect.Struct {
		return fmt.Errorf("no JSON form for %s", concrete.Type())
	}
	e.buf.WriteByte('{')
	if err := e.string(naming{names: e.names}.of(name)); err != nil {
		return err
	}
	e.buf.WriteByte(':')
	if err := e.value(concrete.FieldByName("Value")); err != nil {
		return err
	}
	e.buf.WriteByte('}')
	return nil
}

func (e *encoder) list(v reflect.Value) error {
	if v.Type().Elem().Kind() == reflect.Uint8 {
		return e.string(base64.StdEncoding.EncodeToString(v.Bytes()))
	}
	e.buf.WriteByte('[')
	for i := range v.Len() {
		if i > 0 {
			e.buf.WriteByte(',')
		}
		if err := e.value(v.Index(i)); err != nil {
			return fmt.Errorf("[%d]: %w", i, err)
		}
	}
	e.buf.WriteByte(']')
	return nil
}

func (e *encoder) mapping(v reflect.Value) error {
	keys := v.MapKeys()
	slices.SortFunc(keys, func(a, b reflect.Value) int { return strings.Compare(a.String(), b.String()) })
	e.buf.WriteByte('{')
	for i, key := range keys {
		if i > 0 {
			e.buf.WriteByte(',')
		}
		if err := e.string(key.String()); err != nil {
			return err
		}
		e.buf.WriteByte(':')
		if err := e.value(v.MapIndex(key)); err != nil {
			return fmt.Errorf("[%q]: %w", key.String(), err)
		}
	}
	e.buf.WriteByte('}')
	return nil
}

// time writes seconds with milliseconds, the precision of the protocol.
func (e *encoder) time(t time.Time) error {
	return e.float(smithytime.FormatEpochSeconds(t), 64)
}

func (e *encoder) float(f float64, bits int) error {
	switch {
	case math.IsNaN(f):
		return e.string("NaN")
	case math.IsInf(f, 1):
		return e.string("Infinity")
	case math.IsInf(f, -1):
		return e.string("-Infinity")
	}
	format := byte('f')
	if abs := math.Abs(f); abs != 0 && (abs < 1e-6 || abs >= 1e21) {
		format = 'e'
	}
	e.buf.Write(strconv.AppendFloat(e.buf.AvailableBuffer(), f, format, -1, bits))
	return nil
}

func (e *encoder) string(s string) error {
	out := json.NewEncoder(&e.buf)
	out.SetEscapeHTML(false)
	if err := out.Encode(s); err != nil {
		return err
	}
	e.buf.Truncate(e.buf.Len() - 1) // the encoder ends with a newline
	return nil
}

// isMember tells a member of the modelled structure from what the SDK adds:
// its marker type, an output's metadata, an exception's code override.
func isMember(field reflect.StructField) bool {
	return field.IsExported() && !field.Anonymous && field.Name != "ResultMetadata" && field.Name != "ErrorCodeOverride"
}

func isAbsent(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Map, reflect.Interface:
		return v.IsNil()
	case reflect.String:
		return v.Len() == 0
	default:
		return false
	}
}
