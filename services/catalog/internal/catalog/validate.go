package catalog

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/slipway-dev/slipway/platform/serve/errs"
)

// Limits of a product's content, in characters or entries.
const (
	MaxTitle       = 200
	MaxDescription = 10_000
	MaxLabels      = 64
	MaxLabelValue  = 63
)

// Validate reports everything that is wrong with the content, by field.
func (c Content) Validate() error {
	var fields []errs.Field
	bad := func(path, format string, args ...any) {
		fields = append(fields, errs.Field{Path: "product." + path, Description: fmt.Sprintf(format, args...)})
	}
	if !isSKU(c.SKU) {
		bad("sku", "is required: 1 to 64 capital letters, digits, and . - _ between them")
	}
	if strings.TrimSpace(c.Title) == "" {
		bad("title", "is required")
	}
	if n := utf8.RuneCountInString(c.Title); n > MaxTitle {
		bad("title", "has %d characters, at most %d are allowed", n, MaxTitle)
	}
	if n := utf8.RuneCountInString(c.Description); n > MaxDescription {
		bad("description", "has %d characters, at most %d are allowed", n, MaxDescription)
	}
	if hasNUL(c.Title) {
		bad("title", "must not contain the NUL character")
	}
	if hasNUL(c.Description) {
		bad("description", "must not contain the NUL character")
	}
	switch {
	case c.Price == Money{}:
		bad("price", "is required")
	case c.Price.problem() != "":
		bad("price", "%s", c.Price.problem())
	case c.Price.IsNegative():
		bad("price", "must not be negative")
	}
	if c.State != Draft && c.State != Active && c.State != Discontinued {
		bad("state", "must be DRAFT, ACTIVE or DISCONTINUED")
	}
	validateLabels(c.Labels, bad)
	if len(fields) == 0 {
		return nil
	}
	err := *ErrInvalid
	err.Fields = fields
	err.Message = fields[0].Path + ": " + fields[0].Description
	if more := len(fields) - 1; more > 0 {
		err.Message += fmt.Sprintf(" (and %d more)", more)
	}
	return &err
}

func validateLabels(labels map[string]string, bad func(path, format string, args ...any)) {
	if len(labels) > MaxLabels {
		bad("labels", "has %d entries, at most %d are allowed", len(labels), MaxLabels)
	}
	for _, key := range slices.Sorted(maps.Keys(labels)) {
		value := labels[key]
		if !isLabelKey(key) {
			bad("labels", "the key %q must start with a lower case letter and go on with those, digits, - or _, at most 63", key)
		}
		if n := utf8.RuneCountInString(value); n > MaxLabelValue {
			bad("labels", "the value of %q has %d characters, at most %d are allowed", key, n, MaxLabelValue)
		}
		if hasNUL(value) {
			bad("labels", "the value of %q must not contain the NUL character", key)
		}
	}
}

// hasNUL finds the one character that PostgreSQL cannot store in a text.
func hasNUL(s string) bool { return strings.ContainsRune(s, 0) }
