package vuln_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/slipway-dev/slipway/platform/kit/manifest"
	"github.com/slipway-dev/slipway/platform/kit/vuln"
)

// today is three days after the tests' database was written.
var today = written.Add(3 * 24 * time.Hour)

func idsOf(list []vuln.Finding) (found []string) {
	for _, f := range list {
		found = append(found, f.ID)
	}
	return found
}

func TestJudge(t *testing.T) {
	t.Parallel()
	findings := []vuln.Finding{
		{ID: "GO-1", Aliases: []string{"CVE-2026-00001"}, Level: vuln.Called, Module: "m"},
		{ID: "GO-2", Level: vuln.Imported, Module: "m"},
		{ID: "GO-3", Level: vuln.Required, Module: "m"},
	}
	exempt := func(until manifest.Date, services ...string) manifest.Exemption {
		return manifest.Exemption{Reason: "not reached", Until: until, Services: services}
	}
	cases := map[string]struct {
		failOn                  manifest.FailOn
		ignore                  map[string]manifest.Exemption
		failing, ignored, below []string
		expired                 map[string]string
	}{
		"called":             {manifest.FailCalled, nil, []string{"GO-1"}, nil, []string{"GO-2", "GO-3"}, nil},
		"imported":           {manifest.FailImported, nil, []string{"GO-1", "GO-2"}, nil, []string{"GO-3"}, nil},
		"required":           {manifest.FailRequired, nil, []string{"GO-1", "GO-2", "GO-3"}, nil, nil, nil},
		"never":              {manifest.FailNever, nil, nil, nil, []string{"GO-1", "GO-2", "GO-3"}, nil},
		"ignored":            {manifest.FailCalled, map[string]manifest.Exemption{"GO-1": exempt("2026-12-31")}, nil, []string{"GO-1"}, []string{"GO-2", "GO-3"}, nil},
		"ignored by CVE":     {manifest.FailCalled, map[string]manifest.Exemption{"CVE-2026-00001": exempt("2026-12-31", "orders")}, nil, []string{"GO-1"}, []string{"GO-2", "GO-3"}, nil},
		"for another":        {manifest.FailCalled, map[string]manifest.Exemption{"GO-1": exempt("2026-12-31", "catalog")}, []string{"GO-1"}, nil, []string{"GO-2", "GO-3"}, nil},
		"on its last day":    {manifest.FailCalled, map[string]manifest.Exemption{"GO-1": exempt("2026-11-23")}, nil, []string{"GO-1"}, []string{"GO-2", "GO-3"}, nil},
		"expired":            {manifest.FailCalled, map[string]manifest.Exemption{"GO-1": exempt("2026-11-22")}, []string{"GO-1"}, nil, []string{"GO-2", "GO-3"}, map[string]string{"GO-1": "2026-11-22"}},
		"expired, not grave": {manifest.FailCalled, map[string]manifest.Exemption{"GO-3": exempt("2026-11-22")}, []string{"GO-1"}, nil, []string{"GO-2", "GO-3"}, nil},
	}
	for name, tc := range cases {
		p := vuln.Policy{Environment: "staging", Service: "orders", Vulnerabilities: manifest.Vulnerabilities{FailOn: tc.failOn, MaxAge: manifest.Duration(168 * time.Hour), Ignore: tc.ignore}}
		j := p.Judge(vuln.Report{Modified: written, Findings: findings}, today)
		if diff := cmp.Diff([][]string{tc.failing, tc.ignored, tc.below}, [][]string{idsOf(j.Failing), idsOf(j.Ignored), idsOf(j.Below)}); diff != "" {
			t.Errorf("%s: failing, ignored, below (-want +got):\n%s", name, diff)
		}
		if diff := cmp.Diff(tc.expired, j.Expired); diff != "" {
			t.Errorf("%s: expired (-want +got):\n%s", name, diff)
		}
	}
}

func TestAge(t *testing.T) {
	t.Parallel()
	p := vuln.Policy{Environment: "staging", Vulnerabilities: manifest.Vulnerabilities{FailOn: manifest.FailCalled, MaxAge: manifest.Duration(168 * time.Hour)}}
	for _, tc := range []struct {
		later time.Duration
		stale bool
		want  string
	}{
		{0, false, "nothing is known; database of 2026-11-20, less than a day old"},
		{-time.Hour, false, "nothing is known; database of 2026-11-20, less than a day old"},
		{30 * time.Hour, false, "nothing is known; database of 2026-11-20, 1 day old"},
		{7 * 24 * time.Hour, false, "nothing is known; database of 2026-11-20, 7 days old"},
		{7*24*time.Hour + 1, true, "nothing is known; database of 2026-11-20, 7 days old, where 7 days are allowed"},
		{400 * 24 * time.Hour, true, "nothing is known; database of 2026-11-20, 400 days old, where 7 days are allowed"},
		{-25 * time.Hour, true, "nothing is known; database of 2026-11-20, which is in the future, where 7 days are allowed"},
	} {
		now := written.Add(tc.later)
		r := vuln.Report{Modified: written}
		j := p.Judge(r, now)
		if text := p.Text(r, j, now); j.Stale != tc.stale || text != tc.want {
			t.Errorf("after %s: stale %t, %q; want %t, %q", tc.later, j.Stale, text, tc.stale, tc.want)
		}
	}
}
