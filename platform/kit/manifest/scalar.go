package manifest

import (
	"encoding"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml/ast"
)

// field is a struct field that a file can set.
type field struct {
	key   string
	index int
	tag   reflect.StructTag
}

func fieldsOf(t reflect.Type) []field {
	var fields []field
	for i := range t.NumField() {
		key := t.Field(i).Tag.Get("yaml")
		if key != "" && key != "-" {
			fields = append(fields, field{key, i, t.Field(i).Tag})
		}
	}
	return fields
}

func keysOf(fields []field) []string {
	keys := make([]string, len(fields))
	for i, f := range fields {
		keys[i] = f.key
	}
	return keys
}

// kindOf names what a node is, for people.
func kindOf(n ast.Node) string {
	switch n.(type) {
	case *ast.MappingNode, *ast.MappingValueNode:
		return "a mapping"
	case *ast.SequenceNode:
		return "a list"
	case *ast.IntegerNode, *ast.FloatNode, *ast.InfinityNode, *ast.NanNode:
		return "the number " + raw(n)
	case *ast.BoolNode:
		return "the truth value " + raw(n)
	case *ast.StringNode, *ast.LiteralNode:
		return "the text " + strconv.Quote(raw(n))
	default:
		return "something else"
	}
}

// raw returns a scalar as it was written.
func raw(n ast.Node) string {
	switch v := n.(type) {
	case *ast.StringNode:
		return v.Value
	case *ast.LiteralNode:
		if v.Value != nil {
			return v.Value.Value
		}
		return ""
	}
	if t := n.GetToken(); t != nil {
		return t.Value
	}
	return ""
}

// textOf returns the text of a string node; ok is false after a report.
func (d *decoder) textOf(n ast.Node, path string) (string, bool) {
	switch n.(type) {
	case *ast.StringNode, *ast.LiteralNode:
		return raw(n), true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		d.report(placeOf(n), fmt.Sprintf("%s is %s", path, kindOf(n)), fmt.Sprintf("it must be text: %q in quotes", raw(n)))
	default:
		d.report(placeOf(n), fmt.Sprintf("%s is %s", path, kindOf(n)), "it must be text")
	}
	return "", false
}

func (d *decoder) text(n ast.Node, u encoding.TextUnmarshaler, path string) {
	switch n.(type) {
	case *ast.MappingNode, *ast.MappingValueNode, *ast.SequenceNode:
		d.report(placeOf(n), fmt.Sprintf("%s is %s", path, kindOf(n)), "it must be one value")
		return
	}
	if err := u.UnmarshalText([]byte(raw(n))); err != nil {
		d.report(placeOf(n), path+": "+err.Error(), "")
	}
}

func (d *decoder) str(n ast.Node, v reflect.Value, path string, r rules) {
	text, ok := d.textOf(n, path)
	if !ok {
		return
	}
	if enum := r.tag.Get("enum"); enum != "" {
		known := strings.Split(enum, ",")
		if !slices.Contains(known, text) {
			d.report(placeOf(n), fmt.Sprintf("%s cannot be %q", path, text), suggest(text, known))
			return
		}
	}
	if !d.matches(r.tag.Get("pattern"), text) {
		d.report(placeOf(n), fmt.Sprintf("%s cannot be %q", path, text), "it must be "+r.tag.Get("form"))
		return
	}
	v.SetString(text)
}

func (d *decoder) integer(n ast.Node, v reflect.Value, path string, r rules) {
	node, ok := n.(*ast.IntegerNode)
	if !ok {
		d.report(placeOf(n), fmt.Sprintf("%s is %s", path, kindOf(n)), "it must be a whole number")
		return
	}
	value, err := strconv.ParseInt(raw(node), 10, 32)
	if err != nil {
		d.report(placeOf(n), fmt.Sprintf("%s is %s", path, kindOf(n)), "it must be a plain decimal number")
		return
	}
	if d.bounded(n, float64(value), path, r) {
		v.SetInt(value)
	}
}

func (d *decoder) float(n ast.Node, v reflect.Value, path string, r rules) {
	switch n.(type) {
	case *ast.IntegerNode, *ast.FloatNode:
	default:
		d.report(placeOf(n), fmt.Sprintf("%s is %s", path, kindOf(n)), "it must be a number")
		return
	}
	value, err := strconv.ParseFloat(raw(n), 64)
	if err != nil || math.IsNaN(value) || math.IsInf(value, 0) {
		d.report(placeOf(n), fmt.Sprintf("%s is %s", path, kindOf(n)), "it must be a plain decimal number")
		return
	}
	if d.bounded(n, value, path, r) {
		v.SetFloat(value)
	}
}

// bounded checks the min and max rules.
func (d *decoder) bounded(n ast.Node, value float64, path string, r rules) bool {
	least, errLeast := strconv.ParseFloat(r.tag.Get("min"), 64)
	most, errMost := strconv.ParseFloat(r.tag.Get("max"), 64)
	if (errLeast == nil && value < least) || (errMost == nil && value > most) {
		d.report(placeOf(n), fmt.Sprintf("%s cannot be %s", path, raw(n)),
			fmt.Sprintf("it must be from %s to %s", r.tag.Get("min"), r.tag.Get("max")))
		return false
	}
	return true
}
