package vuln_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/slipway-dev/slipway/platform/kit/vuln"
)

func TestPredicateHoldsTheReport(t *testing.T) {
	t.Parallel()
	for name, report := range map[string]vuln.Report{
		"clean":    {Findings: []vuln.Finding{}},
		"findings": {Findings: []vuln.Finding{textFinding(vuln.Called), textFinding(vuln.Required)}},
	} {
		report.Image, report.Platforms, report.Database = digest, []string{"linux/arm64"}, "https://vuln.go.dev"
		report.Modified, report.Started, report.Finished = written, today, today.Add(time.Second)
		got, err := vuln.ReportOf(digest, []byte(encode(t, report.Predicate())))
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		report.Attached = true
		if diff := cmp.Diff(report, got); diff != "" {
			t.Errorf("%s (-attached +read):\n%s", name, diff)
		}
	}
}

// TestPredicateObeysItsSpecification: the fields that other tools read.
func TestPredicateObeysItsSpecification(t *testing.T) {
	t.Parallel()
	report := vuln.Report{
		Image: digest, Platforms: []string{"linux/arm64"}, Database: "/srv/private/vulndb", Modified: written,
		Started: today, Finished: today.Add(time.Second), Findings: []vuln.Finding{textFinding(vuln.Required)},
	}
	var got map[string]any
	if err := json.Unmarshal([]byte(encode(t, report.Predicate())), &got); err != nil {
		t.Fatal(err)
	}
	finding := map[string]any{
		"id": "GO-2021-0113", "aliases": []any{"CVE-2021-38561"}, "summary": "Trouble in golang.org/x/text", "level": "required",
		"module": "golang.org/x/text", "found": "v0.3.5", "fixed": "v0.3.7",
	}
	want := map[string]any{
		"invocation": map[string]any{"parameters": []any{"linux/arm64"}},
		"scanner": map[string]any{
			"uri": "pkg:golang/golang.org/x/vuln",
			"db":  map[string]any{"uri": "file:", "lastUpdate": "2026-11-20T12:00:00Z"},
			"result": []any{map[string]any{
				"id":          "GO-2021-0113",
				"severity":    []any{map[string]any{"method": "govulncheck", "score": "required"}},
				"annotations": []any{map[string]any{"dev.slipway.finding": finding}},
			}},
		},
		"metadata": map[string]any{"scanStartedOn": "2026-11-23T12:00:00Z", "scanFinishedOn": "2026-11-23T12:00:01Z"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("predicate (-want +got):\n%s", diff)
	}
}

func TestPredicateOfAnotherKindIsRefused(t *testing.T) {
	t.Parallel()
	report := vuln.Report{Image: digest, Modified: written, Findings: []vuln.Finding{textFinding(vuln.Called)}}
	good := encode(t, report.Predicate())
	for name, text := range map[string]string{
		"nonsense":        "{",
		"another scanner": strings.Replace(good, "golang.org/x/vuln", "example.com/other", 1),
		"no age":          strings.Replace(good, "2026-11-20T12:00:00Z", "0001-01-01T00:00:00Z", 1),
		"unexplained":     strings.Replace(good, "annotations", "notes", 1),
		"another finding": strings.Replace(good, `"result":[{"id":"GO-2021-0113"`, `"result":[{"id":"GO-2021-0114"`, 1),
		"unknown level":   strings.Replace(good, `"level":"called"`, `"level":"harmless"`, 1),
	} {
		if text == good {
			t.Fatalf("%s: nothing was changed", name)
		}
		if _, err := vuln.ReportOf(digest, []byte(text)); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
}
