package origin_test

import (
	"context"
	"errors"
	"runtime/debug"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/slipway-dev/slipway/platform/kit/attest"
	"github.com/slipway-dev/slipway/platform/kit/attest/provenance"
	"github.com/slipway-dev/slipway/platform/kit/manifest"
	"github.com/slipway-dev/slipway/platform/kit/origin"
	"github.com/slipway-dev/slipway/platform/kit/rollout"
)

// statements are provenance whose signature holds, or the reason why there is
// none to be had.
type statements struct {
	list []attest.Verified
	err  error
}

func (s statements) Find(_ context.Context, _, _, predicateType string) ([]attest.Verified, error) {
	if predicateType != "https://slsa.dev/provenance/v1" {
		return nil, errors.New("asked for " + predicateType)
	}
	return s.list, s.err
}

type labels string

func (l labels) Changes(context.Context, string, string) string { return string(l) }

func signed(t *testing.T, commit string, dirty bool) attest.Verified {
	t.Helper()
	text, err := provenance.Write(provenance.Release{
		Service: "orders", Version: "v0-x", Commit: commit, Dirty: dirty, Inputs: "sha256:00", Builder: provenance.BuilderLocal,
		Binaries: []provenance.Binary{{Platform: "linux/arm64", Info: &debug.BuildInfo{GoVersion: "go1.26.8"}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return attest.Verified{Predicate: text}
}

func TestExamine(t *testing.T) {
	t.Parallel()
	commit := strings.Repeat("abcd", 10)
	clean, dirty, none := signed(t, commit, false), signed(t, commit, true), signed(t, "", false)
	const again = "git commit   # then: go tool mage deploy production orders"
	cases := map[string]struct {
		rule     manifest.DirtyRule
		from     statements
		rollback bool
		want     rollout.Check
	}{
		"clean": {manifest.DirtyRefuse, statements{list: []attest.Verified{clean}}, false, rollout.Check{OK: true, Detail: "commit abcdabcdabcd"}},
		"dirty": {manifest.DirtyRefuse, statements{list: []attest.Verified{dirty}}, false, rollout.Check{
			Detail: "it has changes that are not in commit abcdabcdabcd: services/orders/a.go", Next: again,
		}},
		"no commit": {manifest.DirtyRefuse, statements{list: []attest.Verified{none}}, false, rollout.Check{
			Detail: "it was built where there is no commit, so nobody else can read its source", Next: again,
		}},
		"two that differ": {manifest.DirtyRefuse, statements{list: []attest.Verified{clean, dirty, clean}}, false, rollout.Check{
			Detail: "it has changes that are not in commit abcdabcdabcd: services/orders/a.go", Next: again,
		}},
		"unsigned": {manifest.DirtyRefuse, statements{}, false, rollout.Check{
			Detail: "nobody vouches for where it came from: it has no signed provenance", Next: "go tool mage deploy production orders",
		}},
		"out of reach": {manifest.DirtyRefuse, statements{err: errors.New("the registry is away")}, false, rollout.Check{
			Detail: "nobody vouches for where it came from: the registry is away", Next: "go tool mage deploy production orders",
		}},
		"another builder's": {manifest.DirtyRefuse, statements{list: []attest.Verified{{Predicate: []byte(`{"buildDefinition":{"buildType":"x"}}`)}}}, false, rollout.Check{
			Detail: `nobody vouches for where it came from: read provenance: it is of build type "x"`, Next: "go tool mage deploy production orders",
		}},
		"allowed": {manifest.DirtyAllow, statements{list: []attest.Verified{dirty}}, false, rollout.Check{
			Skipped: true, Detail: "it has changes that are not in commit abcdabcdabcd: services/orders/a.go; production allows that",
		}},
		"unsigned, allowed": {manifest.DirtyAllow, statements{}, false, rollout.Check{
			Skipped: true, Detail: "nobody vouches for where it came from: it has no signed provenance; production allows that",
		}},
		"rollback": {manifest.DirtyRefuse, statements{list: []attest.Verified{dirty}}, true, rollout.Check{
			Skipped: true, Detail: "it has changes that are not in commit abcdabcdabcd: services/orders/a.go; this does not stop a rollback",
		}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := &origin.Gate{Rule: tc.rule, Statements: tc.from, Labels: labels("services/orders/a.go")}
			got := g.Examine(t.Context(), rollout.EvidenceQuery{Environment: "production", Service: "orders", Rollback: tc.rollback})
			tc.want.Name = "clean tree"
			if diff := cmp.Diff([]rollout.Check{tc.want}, got); diff != "" {
				t.Errorf("checks (-want +got):\n%s", diff)
			}
		})
	}
}

func TestFilesAreNamedWhereTheyAreKnown(t *testing.T) {
	t.Parallel()
	for name, known := range map[string]origin.Labels{"nobody to ask": nil, "no label": labels("")} {
		g := &origin.Gate{Rule: manifest.DirtyRefuse, Statements: statements{list: []attest.Verified{signed(t, "abcd", true)}}, Labels: known}
		got := g.Examine(t.Context(), rollout.EvidenceQuery{Environment: "production", Service: "orders"})
		if got[0].OK || got[0].Detail != "it has changes that are not in commit abcd" {
			t.Errorf("%s: check %+v", name, got[0])
		}
	}
}
