package manifest

import (
	"encoding"
	"encoding/json"
	"fmt"
	"reflect"
	"strconv"
	"strings"
)

// ServiceSchema returns the JSON Schema (draft 2020-12) of service.yaml, made
// from the same struct tags that the decoder obeys. Editors use it; Load does
// not.
func ServiceSchema() ([]byte, error) {
	return schemaOf(reflect.TypeFor[Service](), "service.schema.json", "Slipway service manifest")
}

// EnvironmentSchema returns the JSON Schema of an environment file.
func EnvironmentSchema() ([]byte, error) {
	return schemaOf(reflect.TypeFor[Environment](), "environment.schema.json", "Slipway environment")
}

func schemaOf(t reflect.Type, id, title string) ([]byte, error) {
	s := objectSchema(t)
	s["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	s["$id"] = id
	s["title"] = title
	data, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode schema %s: %w", id, err)
	}
	return append(data, '\n'), nil
}

func objectSchema(t reflect.Type) map[string]any {
	properties := map[string]any{}
	var required []string
	for _, f := range fieldsOf(t) {
		property := valueSchema(t.Field(f.index).Type, f.tag)
		if doc := f.tag.Get("doc"); doc != "" {
			property["description"] = doc
		}
		properties[f.key] = property
		if f.tag.Get("required") == "true" {
			required = append(required, f.key)
		}
	}
	s := map[string]any{"type": "object", "properties": properties, "additionalProperties": false}
	if len(required) > 0 {
		s["required"] = required
	}
	return s
}

func valueSchema(t reflect.Type, tag reflect.StructTag) map[string]any {
	if reflect.PointerTo(t).Implements(reflect.TypeFor[encoding.TextUnmarshaler]()) {
		return map[string]any{"type": "string", "pattern": `^[-+]?(0|([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|ms|s|m|h))+$`}
	}
	switch t.Kind() {
	case reflect.Pointer:
		return valueSchema(t.Elem(), tag)
	case reflect.Struct:
		return objectSchema(t)
	case reflect.Map:
		s := map[string]any{"type": "object", "additionalProperties": valueSchema(t.Elem(), "")}
		if pattern := tag.Get("key_pattern"); pattern != "" {
			s["propertyNames"] = map[string]any{"pattern": pattern}
		}
		return s
	case reflect.Slice:
		s := map[string]any{"type": "array", "uniqueItems": true, "items": valueSchema(t.Elem(), tag)}
		for rule, keyword := range map[string]string{"min_items": "minItems", "max_items": "maxItems"} {
			if n, err := strconv.Atoi(tag.Get(rule)); err == nil {
				s[keyword] = n
			}
		}
		return s
	case reflect.Int:
		return bounds(map[string]any{"type": "integer"}, tag)
	case reflect.Float64:
		return bounds(map[string]any{"type": "number"}, tag)
	case reflect.String:
		s := map[string]any{"type": "string"}
		if enum := tag.Get("enum"); enum != "" {
			s["enum"] = strings.Split(enum, ",")
		}
		if pattern := tag.Get("pattern"); pattern != "" {
			s["pattern"] = pattern
		}
		return s
	default:
		panic("manifest: no schema for " + t.String()) // a mistake in this package's types
	}
}

func bounds(s map[string]any, tag reflect.StructTag) map[string]any {
	for rule, keyword := range map[string]string{"min": "minimum", "max": "maximum"} {
		if n, err := strconv.ParseFloat(tag.Get(rule), 64); err == nil {
			s[keyword] = n
		}
	}
	return s
}
