//go:build terraform

package tests

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestFormat says which files `terraform fmt` would write otherwise.
func TestFormat(t *testing.T) {
	files, err := formatted(t.Context(), "..")
	if err != nil {
		t.Fatal(err)
	}
	if len(files) > 0 {
		t.Errorf("not formatted: %s\nnext: terraform fmt -recursive platform/terraform", strings.Join(files, ", "))
	}
}

// passed is the last line of a `terraform test` in which something was tested.
var passed = regexp.MustCompile(`Success! [1-9][0-9]* passed, 0 failed`)

// TestModules validates every module and runs its tests.
func TestModules(t *testing.T) {
	t.Parallel()
	for _, name := range moduleNames(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tf := terraform(t, filepath.Join(modulesDir, name))
			valid, err := tf.Validate(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for _, d := range valid.Diagnostics {
				t.Errorf("%s: %s %s", d.Severity, d.Summary, d.Detail)
			}
			var out bytes.Buffer
			if err := tf.Test(t.Context(), &out); err != nil || !passed.Match(out.Bytes()) {
				t.Errorf("test: %v\n%s", err, out.String())
			}
		})
	}
}

var (
	variable   = regexp.MustCompile(`(?m)^variable "([a-z0-9_]+)"`)
	validation = regexp.MustCompile(`(?m)^  validation \{`)
	expected   = regexp.MustCompile(`expect_failures *= *\[`)
)

// maxVariables bounds a module's interface.
const maxVariables = 25

// TestShape holds modules to the house's rules: few variables, every one
// described, and a test that expects the failure of every validation.
func TestShape(t *testing.T) {
	for _, name := range moduleNames(t) {
		read := func(pattern string) string {
			files, err := filepath.Glob(filepath.Join(modulesDir, name, pattern))
			if err != nil {
				t.Fatal(err)
			}
			var all strings.Builder
			for _, file := range files {
				text, err := os.ReadFile(file)
				if err != nil {
					t.Fatal(err)
				}
				all.Write(text)
			}
			return all.String()
		}
		source, tests := read("*.tf"), read("tests/*.tftest.hcl")
		variables := variable.FindAllString(source, -1)
		if len(variables) > maxVariables {
			t.Errorf("%s has %d variables, more than %d", name, len(variables), maxVariables)
		}
		if described := strings.Count(read("variables.tf"), "  description = "); described < len(variables) {
			t.Errorf("%s describes %d of its %d variables", name, described, len(variables))
		}
		if rules, tried := len(validation.FindAllString(source, -1)), len(expected.FindAllString(tests, -1)); tried < rules {
			t.Errorf("%s has %d validations, and tests of %d", name, rules, tried)
		}
	}
}
