package scaffold

import (
	"errors"
	"flag"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"
)

var update = flag.Bool("update", false, "write the golden files instead of comparing with them")

// newCheckout is a small checkout with the services orders and stock-items.
func newCheckout(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	archive, err := txtar.ParseFile("testdata/checkout.txtar")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range archive.Files {
		if err := write(local(root, f.Name), f.Data); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// files reads a tree.
func files(t *testing.T, root string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := fs.WalkDir(os.DirFS(root), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == "." {
			return err
		}
		if d.IsDir() {
			all[path+"/"] = ""
			return nil
		}
		data, err := os.ReadFile(local(root, path))
		all[path] = string(data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestPlan(t *testing.T) {
	for name, c := range map[string]Config{
		"gift-cards": {Name: "gift-cards", Team: "checkout"},
		"shipping":   {Name: "shipping", Resource: "parcel"},
	} {
		t.Run(name, func(t *testing.T) {
			c.Root = newCheckout(t)
			before := files(t, c.Root)
			p, err := NewPlan(c)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(before, files(t, c.Root)); diff != "" {
				t.Errorf("planning changed the checkout:\n%s", diff)
			}
			text := p.String()
			for _, f := range p.Files {
				if f.Edit || filepath.Base(f.Path) == "go.mod" || filepath.Base(f.Path) == "service.yaml" {
					text += "-- " + f.Path + " --\n" + string(f.content)
				}
			}
			golden(t, filepath.Join("testdata", name+".golden"), text)
		})
	}
}

func golden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-golden +got):\n%s\nnext: go -C platform/kit test ./scaffold -update, if this is meant", file, diff)
	}
}

// TestWhatIsRenderedIsGo holds for names whose parts sort before and after
// those that the templates import.
func TestWhatIsRenderedIsGo(t *testing.T) {
	for _, name := range []string{"aardvarks", "zebras", "gift-cards", "x"} {
		p, err := NewPlan(Config{Root: newCheckout(t), Name: name})
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range p.Files {
			if strings.Contains(string(f.content), "<no value>") || strings.Contains(string(f.content), "[[") {
				t.Errorf("%s: %s was not filled in", name, f.Path)
			}
			if filepath.Ext(f.Path) != ".go" {
				continue
			}
			if _, err := parser.ParseFile(token.NewFileSet(), f.Path, f.content, parser.AllErrors); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

func TestNamesThatAreRefused(t *testing.T) {
	for name, c := range map[string]struct {
		config Config
		want   string
	}{
		"empty":               {Config{}, "lower-case words"},
		"capitals":            {Config{Name: "Gifts"}, "lower-case words"},
		"digit first":         {Config{Name: "3d"}, "lower-case words"},
		"word of digits":      {Config{Name: "gift-3"}, "lower-case words"},
		"underscore":          {Config{Name: "gift_cards"}, "lower-case words"},
		"dash last":           {Config{Name: "gift-"}, "lower-case words"},
		"two dashes":          {Config{Name: "gift--cards"}, "lower-case words"},
		"a path":              {Config{Name: "../gifts"}, "lower-case words"},
		"too long":            {Config{Name: strings.Repeat("a", 33)}, "at most 32"},
		"long resource":       {Config{Name: "a", Resource: strings.Repeat("a", 41)}, "at most 40"},
		"resource in capital": {Config{Name: "gifts", Resource: "Gift"}, "resource"},
		"team":                {Config{Name: "gifts", Team: "The Team"}, "team"},
		"keyword":             {Config{Name: "func"}, "keyword"},
		"keyword with a dash": {Config{Name: "go-to"}, "keyword"},
		"predeclared":         {Config{Name: "string"}, "predeclared"},
		"a package":           {Config{Name: "errors"}, "platform uses"},
		"every service":       {Config{Name: "all"}, "platform uses"},
		"a type":              {Config{Name: "gifts", Resource: "page"}, "a type that its code has"},
		"SQL":                 {Config{Name: "gifts", Resource: "value"}, "word of SQL"},
		"exists":              {Config{Name: "orders"}, "services/orders exists"},
		"same package":        {Config{Name: "stockitems"}, "proto/slipway/stockitems exists"},
		"options of methods":  {Config{Name: "auth"}, "proto/slipway/auth exists"},
		"route":               {Config{Name: "sales", Resource: "order"}, "/v1/orders* of service orders"},
		"route within":        {Config{Name: "sales", Resource: "orders-archive"}, "/v1/orders* of service orders"},
		"route around":        {Config{Name: "s", Resource: "stock"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			c.config.Root = newCheckout(t)
			_, err := NewPlan(c.config)
			if c.want == "" {
				if err != nil {
					t.Errorf("refused: %v", err)
				}
				return
			}
			var refused *NameError
			if !errors.As(err, &refused) || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("NewPlan = %v, want a refusal that says %q", err, c.want)
			}
			if refused.ExitCode() != 2 || !strings.HasPrefix(refused.Next(), "go tool mage new ") {
				t.Errorf("exit code %d, next %q", refused.ExitCode(), refused.Next())
			}
		})
	}
}

func TestSingularAndPlural(t *testing.T) {
	for one, many := range map[string]string{
		"order": "orders", "gift-card": "gift-cards", "category": "categories", "day": "days",
		"box": "boxes", "branch": "branches", "address": "addresses", "dish": "dishes", "id-tag": "id-tags",
	} {
		if got := plural(one); got != many {
			t.Errorf("plural(%s) = %s, want %s", one, got, many)
		}
		if got := singular(many); got != one {
			t.Errorf("singular(%s) = %s, want %s", many, got, one)
		}
	}
	for _, word := range []string{"catalog", "shipping", "address", "status", "analysis", "s"} {
		if got := singular(word); got != word {
			t.Errorf("singular(%s) = %s", word, got)
		}
	}
}
