package wire

import (
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"time"

	smithytime "github.com/aws/smithy-go/time"
	"github.com/fxamacker/cbor/v2"
)

// cborMedia is the media type of Smithy's RPC v2 CBOR protocol, which newer
// SDKs speak with CloudWatch.
// Source: "Smithy RPC v2 CBOR protocol", smithy.io.
const cborMedia = "application/cbor"

// rpcPath finds service and operation in /service/NAME/operation/NAME.
func rpcPath(r *http.Request) (target, operation string, ok bool) {
	if r.Header.Get("Smithy-Protocol") != "rpc-v2-cbor" {
		return "", "", false
	}
	parts := strings.Split(r.URL.Path, "/")
	if len(parts) != 5 || parts[1] != "service" || parts[3] != "operation" {
		return "", "", false
	}
	return parts[2], parts[4], true
}

// fromCBOR turns a CBOR request into the JSON that Unmarshal reads.
func fromCBOR(body []byte) ([]byte, error) {
	if len(body) == 0 {
		return nil, nil
	}
	mode, err := cbor.DecOptions{
		DefaultMapType: reflect.TypeFor[map[string]any](), MaxNestedLevels: 32,
	}.DecMode()
	if err != nil {
		return nil, fmt.Errorf("set up CBOR: %w", err)
	}
	var v any
	if err := mode.Unmarshal(body, &v); err != nil {
		return nil, fmt.Errorf("decode CBOR: %w", err)
	}
	return json.Marshal(plainJSON(v))
}

// plainJSON replaces what JSON writes otherwise than AWS does: a time is the
// seconds since 1970.
func plainJSON(v any) any {
	switch v := v.(type) {
	case time.Time:
		return smithytime.FormatEpochSeconds(v)
	case map[string]any:
		for key, member := range v {
			v[key] = plainJSON(member)
		}
	case []any:
		for i, member := range v {
			v[i] = plainJSON(member)
		}
	}
	return v
}

// MarshalCBOR writes an SDK structure as Marshal does, in CBOR.
func MarshalCBOR(v any, c Case) ([]byte, error) {
	mode, err := cbor.EncOptions{Time: cbor.TimeUnixDynamic, TimeTag: cbor.EncTagRequired}.EncMode()
	if err != nil {
		return nil, fmt.Errorf("set up CBOR: %w", err)
	}
	out, err := mode.Marshal(tree(reflect.ValueOf(v), c))
	if err != nil {
		return nil, fmt.Errorf("encode %T: %w", v, err)
	}
	return out, nil
}

// tree is an SDK value as maps, lists and scalars.
func tree(v reflect.Value, c Case) any {
	switch v.Kind() {
	case reflect.Invalid:
		return nil
	case reflect.Pointer, reflect.Interface:
		if v.IsNil() {
			return nil
		}
		return tree(v.Elem(), c)
	case reflect.Struct:
		if v.Type() == timeType {
			return v.Interface()
		}
		names, out := namesOf(v.Type(), c), map[string]any{}
		for i := range v.NumField() {
			if field, member := v.Type().Field(i), v.Field(i); isMember(field) && !isAbsent(member) {
				out[names.of(field.Name)] = tree(member, c)
			}
		}
		return out
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			return v.Bytes()
		}
		out := make([]any, v.Len())
		for i := range out {
			out[i] = tree(v.Index(i), c)
		}
		return out
	case reflect.Map:
		out := make(map[string]any, v.Len())
		for at := v.MapRange(); at.Next(); {
			out[at.Key().String()] = tree(at.Value(), c)
		}
		return out
	case reflect.String:
		return v.String() // an enumeration's own type has no CBOR form
	default:
		return v.Interface()
	}
}

// errorCBOR spells an error for clients of the CBOR protocol.
func errorCBOR(code string, err error) []byte {
	out, encodeErr := cbor.Marshal(map[string]any{"__type": code, "message": message(err)})
	if encodeErr != nil {
		return nil
	}
	return out
}
