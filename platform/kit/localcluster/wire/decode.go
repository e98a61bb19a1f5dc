package wire

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"reflect"
	"strconv"
	"time"

	"github.com/aws/smithy-go"
	smithytime "github.com/aws/smithy-go/time"
	smithyhttp "github.com/aws/smithy-go/transport/http"
	"github.com/aws/smithy-go/transport/http/protocol/awsjson"
)

// Unmarshal reads what Marshal or a client wrote into the SDK structure that v
// points to. Members that the structure does not have are ignored, as AWS
// does; a value of the wrong type is an error that names its place.
func Unmarshal(data []byte, v any, c Case) error {
	target := reflect.ValueOf(v)
	if target.Kind() != reflect.Pointer || target.IsNil() {
		return fmt.Errorf("decode into %T: not a pointer", v)
	}
	in := json.NewDecoder(bytes.NewReader(data))
	in.UseNumber()
	var tree any
	if err := in.Decode(&tree); err != nil {
		return fmt.Errorf("read JSON: %w", err)
	}
	if _, err := in.Token(); !errors.Is(err, io.EOF) {
		return errors.New("read JSON: something follows the value")
	}
	return decoder{names: c}.value(tree, target.Elem(), "")
}

type decoder struct{ names Case }

func (d decoder) value(tree any, v reflect.Value, at string) error {
	if tree == nil {
		return nil
	}
	switch v.Kind() {
	case reflect.Pointer:
		fresh := reflect.New(v.Type().Elem())
		if err := d.value(tree, fresh.Elem(), at); err != nil {
			return err
		}
		v.Set(fresh)
		return nil
	case reflect.Struct:
		if v.Type() == timeType {
			return d.time(tree, v, at)
		}
		return d.structure(tree, v, at)
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			return d.blob(tree, v, at)
		}
		return d.list(tree, v, at)
	case reflect.Map:
		return d.mapping(tree, v, at)
	default:
		return d.scalar(tree, v, at)
	}
}

func (d decoder) scalar(tree any, v reflect.Value, at string) error {
	switch v.Kind() {
	case reflect.String:
		s, ok := tree.(string)
		if !ok {
			return mismatch(at, tree, "a string")
		}
		v.SetString(s)
	case reflect.Bool:
		b, ok := tree.(bool)
		if !ok {
			return mismatch(at, tree, "a boolean")
		}
		v.SetBool(b)
	case reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64, reflect.Int:
		n, err := integer(tree)
		if err != nil || v.OverflowInt(n) {
			return mismatch(at, tree, fmt.Sprintf("an integer of %d bits", v.Type().Bits()))
		}
		v.SetInt(n)
	case reflect.Float32, reflect.Float64:
		f, err := float(tree)
		if err != nil {
			return mismatch(at, tree, "a number")
		}
		v.SetFloat(f)
	default:
		return fmt.Errorf("%s: no JSON form for %s", place(at), v.Type())
	}
	return nil
}

func (d decoder) structure(tree any, v reflect.Value, at string) error {
	object, ok := tree.(map[string]any)
	if !ok {
		return mismatch(at, tree, "an object")
	}
	names := namesOf(v.Type(), d.names)
	for i := range v.NumField() {
		field := v.Type().Field(i)
		if !isMember(field) {
			continue
		}
		name := names.of(field.Name)
		member, ok := object[name]
		if !ok || member == nil {
			continue
		}
		below := join(at, name)
		if holdsVariant(field.Type) {
			if err := variant(member, v, i, name); err != nil {
				return fmt.Errorf("%s: %w", place(below), err)
			}
			continue
		}
		if err := d.value(member, v.Field(i), below); err != nil {
			return err
		}
	}
	return nil
}

// holdsVariant reports a member that is a union or a document, or has some.
func holdsVariant(t reflect.Type) bool {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice || t.Kind() == reflect.Map {
		t = t.Elem()
	}
	return t.Kind() == reflect.Interface
}

// variant reads a union or a document. Which Go types can stand behind such a
// member only the SDK's own decoder of the structure around it knows, so that
// one reads the member, alone, into a new structure.
func variant(member any, structure reflect.Value, field int, name string) error {
	fresh := reflect.New(structure.Type())
	target, ok := reflect.TypeAssert[smithy.Deserializable](fresh)
	if !ok {
		return fmt.Errorf("no JSON form for %s", structure.Type().Field(field).Type)
	}
	body, err := json.Marshal(map[string]any{name: member})
	if err != nil {
		return err
	}
	response := &smithyhttp.Response{Response: &http.Response{
		StatusCode: http.StatusOK, Header: http.Header{}, Body: io.NopCloser(bytes.NewReader(body)),
	}}
	err = sdkProtocol().DeserializeResponse(context.Background(), sdkOperation(), nil, response, target)
	if err != nil {
		return err
	}
	structure.Field(field).Set(fresh.Elem().Field(field))
	return nil
}

// sdkProtocol is the SDK's codec, which it exports only as a client protocol.
func sdkProtocol() *awsjson.Protocol {
	service := smithy.NewSchema(smithy.ShapeID{Namespace: "wire", Name: "Wire"}, smithy.ShapeTypeService, 0)
	return awsjson.New11(smithy.NewServiceSchema(service, ""))
}

// sdkOperation describes an operation with some input and output; the schema
// of a structure travels in the structure.
func sdkOperation() *smithy.OperationSchema {
	shape := func(name string, kind smithy.ShapeType) *smithy.Schema {
		return smithy.NewSchema(smithy.ShapeID{Namespace: "wire", Name: name}, kind, 0)
	}
	return smithy.NewOperationSchema(shape("Operation", smithy.ShapeTypeOperation),
		shape("Input", smithy.ShapeTypeStructure), shape("Output", smithy.ShapeTypeStructure))
}

func (d decoder) list(tree any, v reflect.Value, at string) error {
	items, ok := tree.([]any)
	if !ok {
		return mismatch(at, tree, "a list")
	}
	out := reflect.MakeSlice(v.Type(), len(items), len(items))
	for i, item := range items {
		if err := d.value(item, out.Index(i), fmt.Sprintf("%s[%d]", at, i)); err != nil {
			return err
		}
	}
	v.Set(out)
	return nil
}

func (d decoder) mapping(tree any, v reflect.Value, at string) error {
	object, ok := tree.(map[string]any)
	if !ok {
		return mismatch(at, tree, "an object")
	}
	out := reflect.MakeMapWithSize(v.Type(), len(object))
	for key, item := range object {
		value := reflect.New(v.Type().Elem()).Elem()
		if err := d.value(item, value, fmt.Sprintf("%s[%q]", at, key)); err != nil {
			return err
		}
		out.SetMapIndex(reflect.ValueOf(key).Convert(v.Type().Key()), value)
	}
	v.Set(out)
	return nil
}

func (d decoder) blob(tree any, v reflect.Value, at string) error {
	s, ok := tree.(string)
	if !ok {
		return mismatch(at, tree, "base64")
	}
	raw, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		return mismatch(at, tree, "base64")
	}
	v.SetBytes(raw)
	return nil
}

// time reads seconds since 1970, or the RFC 3339 text that a person writes
// into a JSON file.
func (d decoder) time(tree any, v reflect.Value, at string) error {
	if s, ok := tree.(string); ok {
		t, err := time.Parse(time.RFC3339Nano, s)
		if err != nil {
			return mismatch(at, tree, "a time")
		}
		v.Set(reflect.ValueOf(t.UTC()))
		return nil
	}
	seconds, err := float(tree)
	if err != nil || math.IsNaN(seconds) || math.Abs(seconds) > math.MaxInt32*1000 {
		return mismatch(at, tree, "a time")
	}
	v.Set(reflect.ValueOf(smithytime.ParseEpochSeconds(seconds)))
	return nil
}

// integer accepts 3 and 3.0, as AWS does.
func integer(tree any) (int64, error) {
	number, ok := tree.(json.Number)
	if !ok {
		return 0, strconv.ErrSyntax
	}
	if n, err := strconv.ParseInt(number.String(), 10, 64); err == nil {
		return n, nil
	}
	f, err := number.Float64()
	if err != nil || f != math.Trunc(f) || math.Abs(f) > 1<<53 {
		return 0, strconv.ErrSyntax
	}
	return int64(f), nil
}

func float(tree any) (float64, error) {
	switch t := tree.(type) {
	case json.Number:
		return t.Float64()
	case string:
		switch t {
		case "NaN", "Infinity", "-Infinity":
			return strconv.ParseFloat(t, 64)
		}
	}
	return 0, strconv.ErrSyntax
}

func mismatch(at string, tree any, want string) error {
	got := "an object"
	switch t := tree.(type) {
	case string:
		got = "a string"
	case bool:
		got = "a boolean"
	case json.Number:
		got = "the number " + t.String()
	case []any:
		got = "a list"
	}
	return fmt.Errorf("%s: %s where %s is expected", place(at), got, want)
}

func join(at, name string) string {
	if at == "" {
		return name
	}
	return at + "." + name
}

func place(at string) string {
	if at == "" {
		return "request"
	}
	return at
}
