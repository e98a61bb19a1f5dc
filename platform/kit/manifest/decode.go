package manifest

import (
	"encoding"
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// Bounds of one file, far above what people write, so that a hostile or
// broken file costs little.
const (
	maxFileBytes = 32 << 10
	maxDepth     = 32
	maxNodes     = 20000
	maxProblems  = 100 // told of one file
)

// place is where a value was written.
type place struct {
	file         string
	line, column int
}

// decoder turns the syntax tree of one file into typed values and collects
// every problem on the way. Values that are wrong leave their default.
type decoder struct {
	file     string
	places   map[string]place // by path: "http.routes[1]"
	problems *[]Problem
	anchors  map[string]ast.Node
	nodes    int
	reported int
	patterns map[string]*regexp.Regexp // compiled rules, each once
}

func newDecoder(file string, problems *[]Problem) *decoder {
	return &decoder{file: file, places: map[string]place{}, problems: problems, anchors: map[string]ast.Node{}, patterns: map[string]*regexp.Regexp{}}
}

func (d *decoder) report(at place, message, fix string) {
	if d.reported++; d.reported > maxProblems {
		return
	}
	*d.problems = append(*d.problems, Problem{File: d.file, Line: at.line, Column: at.column, Message: message, Fix: fix})
}

// parse returns the file's one document, or nil after reporting why not.
func (d *decoder) parse(data []byte) (root ast.Node) {
	if len(data) > maxFileBytes {
		d.report(place{}, fmt.Sprintf("the file has more than %d bytes", maxFileBytes), "no more are read")
		return nil
	}
	if depthOf(data) > maxDepth {
		d.report(place{line: 1}, fmt.Sprintf("the file is nested deeper than %d levels", maxDepth), "")
		return nil
	}
	defer func() { // the parser is not ours and must not take a command down
		if r := recover(); r != nil {
			d.report(place{line: 1}, fmt.Sprintf("not valid YAML: %v", r), "")
			root = nil
		}
	}()
	file, err := parser.ParseBytes(data, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		var syntax *yaml.SyntaxError
		if errors.As(err, &syntax) && syntax.Token != nil && syntax.Token.Position != nil {
			d.report(place{line: syntax.Token.Position.Line, column: syntax.Token.Position.Column}, "not valid YAML: "+syntax.Message, "")
			return nil
		}
		d.report(place{line: 1}, "not valid YAML: "+err.Error(), "")
		return nil
	}
	var bodies []ast.Node
	for _, doc := range file.Docs {
		if doc != nil && doc.Body != nil {
			bodies = append(bodies, doc.Body)
		}
	}
	switch len(bodies) {
	case 0:
		d.report(place{line: 1}, "the file is empty", "begin with: name: NAME")
		return nil
	case 1:
		return bodies[0]
	default:
		d.report(placeOf(bodies[1]), "a second document begins here", "one file holds one document")
		return nil
	}
}

// depthOf bounds the nesting of data from above by its brackets and its
// deepest indentation, before the recursive parser sees it.
func depthOf(data []byte) int {
	deepest, open, indent, fresh := 0, 0, 0, true
	for _, c := range data {
		switch {
		case c == '\n':
			indent, fresh = 0, true
			continue
		case fresh && (c == ' ' || c == '-' || c == '?'):
			indent++
		case c == '[' || c == '{':
			open++
			fresh = false
		case c == ']' || c == '}':
			open = max(0, open-1)
			fresh = false
		default:
			fresh = false
		}
		deepest = max(deepest, open+indent/2)
	}
	return deepest
}

func placeOf(n ast.Node) place {
	if n == nil || reflect.ValueOf(n).IsNil() {
		return place{}
	}
	if t := n.GetToken(); t != nil && t.Position != nil {
		return place{line: t.Position.Line, column: t.Position.Column}
	}
	return place{}
}

// resolve follows anchors, aliases and tags to the node that holds the value;
// nil after reporting a problem.
func (d *decoder) resolve(n ast.Node) ast.Node {
	for range maxDepth {
		switch v := n.(type) {
		case *ast.AnchorNode:
			if v.Name != nil {
				d.anchors[v.Name.String()] = v.Value
			}
			n = v.Value
		case *ast.AliasNode:
			target := d.anchors[strings.TrimPrefix(v.Value.String(), "*")]
			if target == nil {
				d.report(placeOf(n), fmt.Sprintf("alias %s has no anchor before it", v.String()), "")
				return nil
			}
			n = target
		case *ast.TagNode:
			d.report(placeOf(n), "tags are not used here", "remove "+v.Start.Value)
			return nil
		default:
			return n
		}
	}
	d.report(placeOf(n), "an alias leads back to itself", "")
	return nil
}

// rules are the struct tags that apply to a value.
type rules struct{ tag reflect.StructTag }

func (d *decoder) decode(n ast.Node, v reflect.Value, path string, depth int, r rules) {
	if d.nodes++; d.nodes > maxNodes || depth > maxDepth {
		if d.nodes == maxNodes+1 || depth == maxDepth+1 {
			d.report(placeOf(n), "the file is nested too deeply or repeats too much through aliases", "")
		}
		return
	}
	at := placeOf(n)
	at.file = d.file
	d.places[path] = at
	if n = d.resolve(n); n == nil {
		return
	}
	if _, null := n.(*ast.NullNode); null {
		d.report(at, path+" has no value", "give it one or remove the key")
		return
	}
	if u, ok := reflect.TypeAssert[encoding.TextUnmarshaler](v.Addr()); ok {
		d.text(n, u, path)
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			v.Set(reflect.New(v.Type().Elem()))
		}
		d.decode(n, v.Elem(), path, depth+1, r)
	case reflect.Struct:
		d.structure(n, v, path, depth)
	case reflect.Map:
		d.mapping(n, v, path, depth, r)
	case reflect.Slice:
		d.sequence(n, v, path, depth, r)
	case reflect.String:
		d.str(n, v, path, r)
	case reflect.Int:
		d.integer(n, v, path, r)
	case reflect.Float64:
		d.float(n, v, path, r)
	default:
		panic("manifest: no decoder for " + v.Type().String()) // a mistake in this package's types
	}
}

// pairs returns the entries of a mapping; ok is false after a report.
func (d *decoder) pairs(n ast.Node, path string) (entries []*ast.MappingValueNode, ok bool) {
	switch m := n.(type) {
	case *ast.MappingNode:
		entries = m.Values
	case *ast.MappingValueNode:
		entries = []*ast.MappingValueNode{m}
	default:
		d.report(placeOf(n), fmt.Sprintf("%s is %s", describe(path), kindOf(n)), "it must be a mapping of keys to values")
		return nil, false
	}
	seen := map[string]place{}
	kept := entries[:0:0]
	for _, e := range entries {
		key := keyOf(e)
		if e.Key.IsMergeKey() {
			d.report(placeOf(e.Key), "merge keys are not used here", "write the values out")
			continue
		}
		if first, twice := seen[key]; twice {
			d.report(placeOf(e.Key), fmt.Sprintf("key %q is there twice", key), fmt.Sprintf("it is on line %d already", first.line))
			continue
		}
		seen[key] = placeOf(e.Key)
		kept = append(kept, e)
	}
	return kept, true
}

func keyOf(e *ast.MappingValueNode) string {
	if t := e.Key.GetToken(); t != nil {
		return t.Value
	}
	return e.Key.String()
}

func (d *decoder) structure(n ast.Node, v reflect.Value, path string, depth int) {
	entries, ok := d.pairs(n, path)
	if !ok {
		return
	}
	fields := fieldsOf(v.Type())
	for _, e := range entries {
		key := keyOf(e)
		i := slices.IndexFunc(fields, func(f field) bool { return f.key == key })
		if i < 0 {
			d.report(placeOf(e.Key), fmt.Sprintf("unknown key %q%s", key, within(path)), suggest(key, keysOf(fields)))
			continue
		}
		at := placeOf(e.Key)
		at.file = d.file
		d.decode(e.Value, v.Field(fields[i].index), join(path, key), depth+1, rules{fields[i].tag})
		d.places[join(path, key)] = at
	}
	for _, f := range fields {
		if _, set := d.places[join(path, f.key)]; !set && f.tag.Get("required") == "true" {
			d.report(placeOf(n), fmt.Sprintf("key %q is missing%s", f.key, within(path)), f.tag.Get("doc"))
		}
	}
}

func (d *decoder) mapping(n ast.Node, v reflect.Value, path string, depth int, r rules) {
	entries, ok := d.pairs(n, path)
	if !ok {
		return
	}
	merged := reflect.MakeMap(v.Type())
	for _, key := range v.MapKeys() {
		merged.SetMapIndex(key, v.MapIndex(key))
	}
	for _, e := range entries {
		key := keyOf(e)
		if !d.matches(r.tag.Get("key_pattern"), key) {
			d.report(placeOf(e.Key), fmt.Sprintf("%q is no name for %s", key, path), "it must be "+r.tag.Get("key_form"))
			continue
		}
		value := reflect.New(v.Type().Elem()).Elem()
		d.decode(e.Value, value, join(path, key), depth+1, rules{})
		at := placeOf(e.Key)
		at.file = d.file
		d.places[join(path, key)] = at
		merged.SetMapIndex(reflect.ValueOf(key), value)
	}
	v.Set(merged)
}

func (d *decoder) sequence(n ast.Node, v reflect.Value, path string, depth int, r rules) {
	seq, ok := n.(*ast.SequenceNode)
	if !ok {
		d.report(placeOf(n), fmt.Sprintf("%s is %s", path, kindOf(n)), "it must be a list, such as [one, two]")
		return
	}
	if least, _ := strconv.Atoi(r.tag.Get("min_items")); len(seq.Values) < least {
		d.report(placeOf(n), path+" is empty", fmt.Sprintf("it needs at least %d", least))
	}
	if most, err := strconv.Atoi(r.tag.Get("max_items")); err == nil && len(seq.Values) > most {
		d.report(placeOf(n), fmt.Sprintf("%s has %d values", path, len(seq.Values)), fmt.Sprintf("at most %d are possible in one listener rule", most))
	}
	list := reflect.MakeSlice(v.Type(), len(seq.Values), len(seq.Values))
	seen := map[string]bool{}
	for i, item := range seq.Values {
		at := path + "[" + strconv.Itoa(i) + "]"
		d.decode(item, list.Index(i), at, depth+1, r)
		text := list.Index(i).String() // lists of texts are all there are
		if text != "" && seen[text] {
			d.report(placeOf(item), fmt.Sprintf("%s lists %q twice", path, text), "remove one")
		}
		seen[text] = true
	}
	v.Set(list)
}

// matches reports whether a text obeys a rule's pattern; none is obeyed by all.
func (d *decoder) matches(pattern, text string) bool {
	if pattern == "" {
		return true
	}
	compiled := d.patterns[pattern]
	if compiled == nil {
		compiled = regexp.MustCompile(pattern)
		d.patterns[pattern] = compiled
	}
	return compiled.MatchString(text)
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

func within(path string) string {
	if path == "" {
		return ""
	}
	return " in " + path
}

func describe(path string) string {
	if path == "" {
		return "the file"
	}
	return path
}
