package check

import "testing"

// layers is a small repository: shop uses store through the shared package
// kernel; a third-party library in between imports the SDK.
const layers = `
-- go.mod --
module m.x
-- shop/shop.go --
package shop
import (
	"fmt"
	"m.x/kernel"
	"host.com/lib"
)
-- shop/shop_test.go --
package shop
import "m.x/fake"
-- shop/shop_darwin.go --
package shop
import "m.x/mac"
-- kernel/kernel.go --
package kernel
import "m.x/store"
-- kernel/kernel_test.go --
package kernel
import "m.x/mac/deep"
-- store/store.go --
package store
import "database/sql"
-- store/deep/deep.go --
package deep
import "m.x/store"
-- fake/fake.go --
package fake
-- mac/mac.go --
package mac
`

var libraries = map[string][]string{
	"host.com/lib": {"host.com/sdk/client"},
}

func TestImports(t *testing.T) {
	for name, c := range map[string]struct {
		rule ImportRule
		want []string
	}{
		"kept": {
			rule: ImportRule{From: []string{"m.x/kernel"}, Deny: []string{"m.x/shop"}},
		},
		"a direct import": {
			rule: ImportRule{From: []string{"m.x/kernel"}, Deny: []string{"m.x/store/..."}},
			want: []string{`m.x/kernel: breaks the import rule "r": m.x/kernel -> m.x/store`},
		},
		"a chain through our own package": {
			rule: ImportRule{From: []string{"m.x/shop"}, Deny: []string{"m.x/store"}},
			want: []string{"m.x/shop -> m.x/kernel -> m.x/store"},
		},
		"a chain through a library": {
			rule: ImportRule{From: []string{"m.x/shop"}, Deny: []string{"host.com/sdk/..."}},
			want: []string{"m.x/shop -> host.com/lib -> host.com/sdk/client"},
		},
		"a chain to the standard library": {
			rule: ImportRule{From: []string{"m.x/shop"}, Deny: []string{"database/..."}},
			want: []string{"m.x/shop -> m.x/kernel -> m.x/store -> database/sql"},
		},
		"a chain is reported where it leaves the bound packages": {
			rule: ImportRule{From: []string{"m.x/..."}, Except: []string{"m.x/store"}, Deny: []string{"database/sql"}},
			want: []string{"m.x/kernel -> m.x/store -> database/sql", "m.x/store/deep -> m.x/store -> database/sql"},
		},
		"direct rules do not follow": {
			rule: ImportRule{From: []string{"m.x/shop"}, Deny: []string{"m.x/store"}, Direct: true},
		},
		"files for other systems count": {
			rule: ImportRule{From: []string{"m.x/shop"}, Deny: []string{"m.x/mac"}},
			want: []string{"m.x/shop -> m.x/mac"},
		},
		"test files count on request": {
			rule: ImportRule{From: []string{"m.x/shop"}, Deny: []string{"m.x/fake"}, Tests: true},
			want: []string{"m.x/shop -> m.x/fake"},
		},
		"test files of what is imported do not count": {
			rule: ImportRule{From: []string{"m.x/shop"}, Deny: []string{"m.x/mac/deep"}, Tests: true},
		},
		"test files do not count otherwise": {
			rule: ImportRule{From: []string{"m.x/shop"}, Deny: []string{"m.x/fake"}},
		},
		"everything but": {
			rule: ImportRule{From: []string{"m.x/shop"}, Deny: []string{"*"}, But: []string{"std", "m.x/...", "host.com/lib"}},
			want: []string{"m.x/shop -> host.com/lib -> host.com/sdk/client"},
		},
		"a prefix is not a folder": {
			rule: ImportRule{From: []string{"m.x/sh..."}, Deny: []string{"host.com/li..."}},
			want: []string{"m.x/shop -> host.com/lib"},
		},
		"a rule that binds nothing": {
			rule: ImportRule{From: []string{"m.x/gone/..."}, Deny: []string{"*"}},
			want: []string{"import rule r: binds no package: nothing matches m.x/gone/..."},
		},
		"an exception that nothing needs": {
			rule: ImportRule{From: []string{"m.x/..."}, Except: []string{"m.x/fake"}, Deny: []string{"m.x/shop"}},
			want: []string{"import rule r: has an exception that nothing needs: m.x/fake"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			c.rule.Name, c.rule.Reason = "r", "of the test"
			expect(t, Imports(NewGraph(parse(t, layers), libraries), []ImportRule{c.rule}), c.want...)
		})
	}
}

func TestMatch(t *testing.T) {
	for _, c := range []struct {
		pattern, path string
		want          bool
	}{
		{"a.b/c", "a.b/c", true},
		{"a.b/c", "a.b/c/d", false},
		{"a.b/c/...", "a.b/c", true},
		{"a.b/c/...", "a.b/c/d", true},
		{"a.b/c/...", "a.b/cd", false},
		{"a.b/c...", "a.b/cd", true},
		{"std", "net/http", true},
		{"std", "a.b/c", false},
		{"*", "a.b/c", true},
	} {
		if got := match(c.pattern, c.path); got != c.want {
			t.Errorf("match(%q, %q) = %v", c.pattern, c.path, got)
		}
	}
}

func TestChildren(t *testing.T) {
	g := NewGraph(parse(t, layers), nil)
	if got := g.Children("m.x/store"); len(got) != 1 || got[0] != "deep" {
		t.Errorf("Children = %q", got)
	}
}
