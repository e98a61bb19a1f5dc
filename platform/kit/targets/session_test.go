package targets

import (
	"strings"
	"testing"
)

func TestWordsBeyondACommandAreRefused(t *testing.T) {
	tests := map[string]struct {
		words     []string
		arguments int
		refused   string
	}{
		"a command":                        {[]string{"down"}, 0, ""},
		"its arguments":                    {[]string{"deploy", "local", "catalog"}, 2, ""},
		"options anywhere":                 {[]string{"deploy", "-plan", "local", "catalog", "-json"}, 2, ""},
		"a word too many":                  {[]string{"down", "nothing"}, 0, "nothing"},
		"a word too many behind an option": {[]string{"deploy", "local", "catalog", "-plan", "extra"}, 2, "extra"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			err := alone(tc.words, tc.arguments)
			if (err == nil) != (tc.refused == "") {
				t.Fatalf("alone(%q, %d) = %v", tc.words, tc.arguments, err)
			}
			if err != nil && !strings.Contains(err.Error(), tc.refused) {
				t.Errorf("the error %q does not name %q", err, tc.refused)
			}
		})
	}
}
