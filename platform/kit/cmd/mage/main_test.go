package main

import (
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
			if got := singleDash(tc.in); !slices.Equal(got, tc.want) {
				t.Errorf("singleDash(%q) = %q, want %q", tc.in, got, tc.want)
			}
		})
	}
}
