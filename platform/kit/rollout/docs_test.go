package rollout_test

import (
	"bufio"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestDocumentedVerdicts: the examples in the documentation are parts of the
// golden verdicts.
func TestDocumentedVerdicts(t *testing.T) {
	t.Parallel()
	documented := map[string]map[string]any{}
	file, err := os.Open(filepath.Join("..", "..", "..", "docs", "cli.md"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for lines := bufio.NewScanner(file); lines.Scan(); {
		if text := strings.TrimSpace(lines.Text()); strings.HasPrefix(text, `{"outcome"`) {
			var example map[string]any
			if err := json.Unmarshal([]byte(text), &example); err != nil {
				t.Fatal(err)
			}
			outcome, _ := example["outcome"].(string)
			documented[outcome] = example
		}
	}
	for _, name := range []string{"completed", "failed-no-rollback", "rolled-back-crash", "superseded", "timed-out"} {
		text, err := os.ReadFile(filepath.Join("testdata", "outcome", name+".golden"))
		if err != nil {
			t.Fatal(err)
		}
		var verdict map[string]any
		if err := json.Unmarshal(text[strings.LastIndex(string(text), "\n{\n"):], &verdict); err != nil {
			t.Fatal(err)
		}
		outcome, _ := verdict["outcome"].(string)
		for member := range verdict {
			if _, shown := documented[outcome][member]; !shown {
				delete(verdict, member)
			}
		}
		if diff := cmp.Diff(verdict, documented[outcome]); diff != "" || len(verdict) < 5 {
			t.Errorf("docs/cli.md on %s (-golden +documented)\n%s", outcome, diff)
		}
	}
}
