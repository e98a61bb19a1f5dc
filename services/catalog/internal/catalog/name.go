package catalog

import (
	"strings"
)

// namePrefix comes before the id in a resource name (AIP-122).
const namePrefix = "products/"

// Name is the resource name, "products/" and the id.
func (p Product) Name() string { return namePrefix + p.ID }

// ParseName is the id in a resource name.
func ParseName(name string) (id string, ok bool) {
	id, ok = strings.CutPrefix(name, namePrefix)
	return id, ok && isID(id)
}

// isID reports whether id is an RFC 1034 label in lower case, as AIP-122 asks.
func isID(id string) bool {
	if id == "" || len(id) > 63 || id[0] < 'a' || id[0] > 'z' || id[len(id)-1] == '-' {
		return false
	}
	return consists(id, func(c byte) bool { return isLower(c) || isDigit(c) || c == '-' })
}

// isSKU reports whether sku is 1 to 64 capitals and digits, with dots, hyphens
// and underscores inside.
func isSKU(sku string) bool {
	if sku == "" || len(sku) > 64 {
		return false
	}
	edge := func(c byte) bool { return isUpper(c) || isDigit(c) }
	return edge(sku[0]) && edge(sku[len(sku)-1]) &&
		consists(sku, func(c byte) bool { return edge(c) || c == '.' || c == '-' || c == '_' })
}

func isLabelKey(key string) bool {
	if key == "" || len(key) > 63 || !isLower(key[0]) {
		return false
	}
	return consists(key, func(c byte) bool { return isLower(c) || isDigit(c) || c == '-' || c == '_' })
}

func consists(s string, allowed func(byte) bool) bool {
	for i := range len(s) {
		if !allowed(s[i]) {
			return false
		}
	}
	return true
}

func isLower(c byte) bool { return 'a' <= c && c <= 'z' }
func isUpper(c byte) bool { return 'A' <= c && c <= 'Z' }
func isDigit(c byte) bool { return '0' <= c && c <= '9' }
