package serve

import (
	"fmt"
	"log/slog"
	"reflect"
	"strings"
)

// variable is one environment variable of a configuration struct.
type variable struct {
	name   string // e.g. HTTP_PORT
	field  string // e.g. HTTPPort
	secret bool
	index  []int
}

// variablesOf lists the variables that the struct's own fields read.
func variablesOf(t reflect.Type) []variable {
	var all []variable
	for _, f := range reflect.VisibleFields(t) {
		name, _, _ := strings.Cut(f.Tag.Get("env"), ",")
		if name == "" {
			continue
		}
		all = append(all, variable{name: name, field: f.Name, secret: f.Tag.Get("secret") == "true" || soundsSecret(name), index: f.Index})
	}
	return all
}

// soundsSecret guards against a forgotten tag.
func soundsSecret(name string) bool {
	for _, word := range []string{"SECRET", "PASSWORD", "TOKEN", "PRIVATE", "CREDENTIAL", "_KEY"} {
		if strings.Contains(name, word) {
			return true
		}
	}
	return false
}

// describe gives the configuration as log attributes with secrets masked.
func describe(targets ...any) slog.Value {
	var attrs []slog.Attr
	for _, target := range targets {
		v := reflect.Indirect(reflect.ValueOf(target))
		if v.Kind() != reflect.Struct {
			continue
		}
		for _, variable := range variablesOf(v.Type()) {
			value := v.FieldByIndex(variable.index)
			text := fmt.Sprint(value.Interface())
			if variable.secret && !value.IsZero() {
				text = "(set)"
			}
			attrs = append(attrs, slog.String(variable.name, text))
		}
	}
	return slog.GroupValue(attrs...)
}
