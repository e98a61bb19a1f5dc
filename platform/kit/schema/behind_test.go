package schema

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/slipway-dev/slipway/platform/kit/manifest"
)

func TestBehindNamesWhatATargetDoesNotKnow(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	git := func(args ...string) string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), "git", append([]string{"-C", root, "-c", "user.name=t", "-c", "user.email=t@example.com"}, args...)...)
		cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("git %v: %v\n%s", args, err, out)
		}
		return strings.TrimSpace(string(out))
	}
	git("init", "-q")
	release := func(file, text string) string {
		t.Helper()
		target := filepath.Join(root, "services/shop/internal/store/migrations", file)
		if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(target, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		git("add", ".")
		git("commit", "-q", "-m", file)
		return "v0-" + git("rev-parse", "--short=12", "HEAD")
	}
	first := release("00001_goods.sql", "CREATE TABLE goods ();\n")
	second := release("00002_price.sql", "ALTER TABLE goods ADD COLUMN price int;\n")
	third := release("00003_drop.sql", "-- +goose Up\n-- contract: nobody reads it\nALTER TABLE goods DROP COLUMN price;\n")
	for name, tc := range map[string]struct{ from, to, want, says string }{
		"nothing was taken away":  {second, first, "[]", ""},
		"something was":           {third, second, "[00003_drop.sql (nobody reads it)]", ""},
		"forth is never a danger": {first, third, "[]", ""},
		"not of a commit":         {"v0-src.0123456789ab", first, "", "not that of a commit"},
		"changed since":           {third + "-dirty.01234567", first, "", "not that of a commit"},
		"a commit not here":       {"v0-0123456789ab", first, "", "ask git"},
	} {
		gone, err := Behind(t.Context(), root, manifest.Service{Name: "shop", Dir: "services/shop"}, tc.from, tc.to)
		var got []string
		for _, c := range gone {
			got = append(got, c.String())
		}
		switch {
		case tc.says != "" && (err == nil || !strings.Contains(err.Error(), tc.says)):
			t.Errorf("%s: %v, want %q", name, err, tc.says)
		case tc.says == "" && (err != nil || "["+strings.Join(got, " ")+"]" != tc.want):
			t.Errorf("%s: %v, %v; want %s", name, got, err, tc.want)
		}
	}
}
