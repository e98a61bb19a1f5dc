package launch

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestSingleDash(t *testing.T) {
	tests := map[string]struct{ in, want []string }{
		"an option behind a target":       {[]string{"deploy", "local", "catalog", "--plan"}, []string{"deploy", "local", "catalog", "-plan"}},
		"an option with a value":          {[]string{"logs", "local", "all", "--since=5m"}, []string{"logs", "local", "all", "-since=5m"}},
		"one dash stays":                  {[]string{"up", "-json"}, []string{"up", "-json"}},
		"behind a bare double dash stays": {[]string{"x", "--", "--y"}, []string{"x", "--", "--y"}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if got := SingleDash(tc.in); !slices.Equal(got, tc.want) {
				t.Errorf("SingleDash(%q) = %q, want %q", tc.in, got, tc.want)
			}
		})
	}
}

func TestOptional(t *testing.T) {
	tests := map[string]struct{ in, want []string }{
		"an id":              {[]string{"traces", "local", "4bf9"}, []string{"traces", "local", "-id=4bf9"}},
		"an id and options":  {[]string{"traces", "local", "4bf9", "-json"}, []string{"traces", "local", "-id=4bf9", "-json"}},
		"no id":              {[]string{"traces", "local", "-json"}, []string{"traces", "local", "-json"}},
		"the environment":    {[]string{"traces", "local"}, []string{"traces", "local"}},
		"a service":          {[]string{"check:invariants", "local", "orders"}, []string{"check:invariants", "local", "-service=orders"}},
		"values apart":       {[]string{"token", "-scope", "a.read", "-expires", "1h", "-json"}, []string{"token", "-scope=a.read", "-expires=1h", "-json"}},
		"values joined":      {[]string{"token", "-scope=a.read", "-json"}, []string{"token", "-scope=a.read", "-json"}},
		"a value missing":    {[]string{"token", "-scope", "-json"}, []string{"token", "-scope", "-json"}},
		"nothing":            {nil, nil},
		"another target":     {[]string{"logs", "local", "catalog"}, []string{"logs", "local", "catalog"}},
		"a word beyond that": {[]string{"traces", "local", "4bf9", "x"}, []string{"traces", "local", "-id=4bf9", "x"}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if got := Optional(tc.in); !slices.Equal(got, tc.want) {
				t.Errorf("Optional(%q) = %q, want %q", tc.in, got, tc.want)
			}
		})
	}
}

func TestRootIsFoundFromBelow(t *testing.T) {
	root := t.TempDir()
	for _, name := range []string{"magefile.go", "go.work"} {
		if err := os.WriteFile(filepath.Join(root, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	below := filepath.Join(root, "services", "catalog")
	if err := os.MkdirAll(below, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Chdir(below)
	if got, found := Root(); !found || filepath.Base(got) != filepath.Base(root) {
		t.Errorf("Root = %q, %t; want %q", got, found, root)
	}
	t.Chdir(t.TempDir())
	if got, found := Root(); found {
		t.Errorf("outside of a checkout Root = %q", got)
	}
}

func TestTargetsThatDoNotCompile(t *testing.T) {
	err := Become(t.TempDir(), t.TempDir(), nil, func(string) int { return 1 })
	if !errors.Is(err, ErrCompile) {
		t.Errorf("Become = %v, want ErrCompile", err)
	}
}
