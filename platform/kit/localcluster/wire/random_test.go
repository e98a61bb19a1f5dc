package wire_test

import (
	"math"
	"reflect"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ecs/document"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

// randomise sets every member of the structure that v is, down to a depth at
// which it stops making lists and structures (SDK types may be recursive).
func randomise(t *rapid.T, v reflect.Value, depth int) {
	switch v.Kind() {
	case reflect.Pointer:
		if depth > 0 && rapid.Bool().Draw(t, "set") {
			v.Set(reflect.New(v.Type().Elem()))
			randomise(t, v.Elem(), depth)
		}
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			ms := rapid.Int64Range(0, 4e12).Draw(t, "ms")
			v.Set(reflect.ValueOf(time.UnixMilli(ms).UTC()))
			return
		}
		for i := range v.NumField() {
			field := v.Type().Field(i)
			if field.IsExported() && !field.Anonymous && field.Name != "ResultMetadata" && field.Name != "ErrorCodeOverride" {
				randomise(t, v.Field(i), depth-1)
			}
		}
	case reflect.Slice:
		randomSlice(t, v, depth)
	case reflect.Map:
		if depth <= 0 || !rapid.Bool().Draw(t, "set") {
			return
		}
		v.Set(reflect.MakeMap(v.Type()))
		for _, key := range rapid.SliceOfNDistinct(rapid.String(), 1, 3, rapid.ID).Draw(t, "keys") {
			item := reflect.New(v.Type().Elem()).Elem()
			randomise(t, item, depth-1)
			v.SetMapIndex(reflect.ValueOf(key).Convert(v.Type().Key()), item)
		}
	case reflect.Interface:
		randomVariant(t, v)
	default:
		randomScalar(t, v)
	}
}

func randomSlice(t *rapid.T, v reflect.Value, depth int) {
	switch {
	case v.Type().Elem().Kind() == reflect.Interface:
	case v.Type().Elem().Kind() == reflect.Uint8:
		v.SetBytes(rapid.SliceOfN(rapid.Byte(), 1, 40).Draw(t, "blob"))
	case depth > 0 && rapid.Bool().Draw(t, "set"):
		n := rapid.IntRange(0, 2).Draw(t, "length")
		v.Set(reflect.MakeSlice(v.Type(), n, n))
		for i := range n {
			randomise(t, v.Index(i), depth-1)
		}
	}
}

// randomVariant sets the interface members of which the test knows a value.
func randomVariant(t *rapid.T, v reflect.Value) {
	if v.Type() == reflect.TypeFor[document.Interface]() {
		v.Set(reflect.ValueOf(document.NewLazyDocument(map[string]any{"text": rapid.String().Draw(t, "text")})))
	}
}

func randomScalar(t *rapid.T, v reflect.Value) {
	switch v.Kind() {
	case reflect.String:
		v.SetString(rapid.String().Draw(t, "string"))
	case reflect.Bool:
		v.SetBool(rapid.Bool().Draw(t, "bool"))
	case reflect.Int32:
		v.SetInt(int64(rapid.Int32().Draw(t, "int32")))
	case reflect.Int64:
		v.SetInt(rapid.Int64().Draw(t, "int64"))
	case reflect.Float32, reflect.Float64:
		v.SetFloat(float64(float32(rapid.Float64Range(-1e12, 1e12).Draw(t, "float"))))
	default:
		t.Fatalf("no random %s", v.Type())
	}
}

// fill sets every member of v to something that is not zero.
func fill(v reflect.Value, depth int) {
	switch v.Kind() {
	case reflect.Pointer:
		if depth > 0 {
			v.Set(reflect.New(v.Type().Elem()))
			fill(v.Elem(), depth)
		}
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			v.Set(reflect.ValueOf(time.UnixMilli(1700000000123).UTC()))
			return
		}
		for i := range v.NumField() {
			if field := v.Type().Field(i); field.IsExported() && field.Name != "ResultMetadata" {
				fill(v.Field(i), depth-1)
			}
		}
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Interface {
			return
		}
		if depth > 0 || v.Type().Elem().Kind() == reflect.Uint8 {
			v.Set(reflect.MakeSlice(v.Type(), 2, 2))
			fill(v.Index(0), depth-1)
			fill(v.Index(1), depth-1)
		}
	case reflect.Map:
		if depth > 0 {
			v.Set(reflect.MakeMap(v.Type()))
			item := reflect.New(v.Type().Elem()).Elem()
			fill(item, depth-1)
			v.SetMapIndex(reflect.ValueOf("Some Key").Convert(v.Type().Key()), item)
		}
	case reflect.Interface:
		if v.Type() == reflect.TypeFor[document.Interface]() {
			v.Set(reflect.ValueOf(document.NewLazyDocument(map[string]any{"a": 1})))
		}
	case reflect.String:
		v.SetString("Some Text")
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Float32, reflect.Float64:
		v.SetFloat(1.25)
	case reflect.Uint8:
		v.SetUint(7)
	default:
		v.SetInt(3)
	}
}

// equal compares SDK structures by what their members say.
func equal() cmp.Options {
	return cmp.Options{
		cmp.FilterPath(func(p cmp.Path) bool {
			field, ok := p.Last().(cmp.StructField)
			return ok && (field.Name() == "ResultMetadata" || field.Name() == "eventStream" || strings.HasPrefix(field.Name(), "noSmithy"))
		}, cmp.Ignore()),
		cmp.Comparer(func(a, b time.Time) bool { return math.Abs(a.Sub(b).Seconds()) < 0.0015 }),
		cmp.Comparer(func(a, b document.Interface) bool {
			if a == nil || b == nil {
				return a == nil && b == nil
			}
			rawA, errA := a.MarshalSmithyDocument()
			rawB, errB := b.MarshalSmithyDocument()
			return errA == nil && errB == nil && strings.TrimSpace(string(rawA)) == strings.TrimSpace(string(rawB))
		}),
		cmpopts.EquateEmpty(),
	}
}
