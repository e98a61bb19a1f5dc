package attest_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/slipway-dev/slipway/platform/kit/attest"
	"github.com/slipway-dev/slipway/platform/kit/attest/bom"
	"github.com/slipway-dev/slipway/platform/kit/attest/provenance"
	"github.com/slipway-dev/slipway/platform/kit/attest/referrer"
	"github.com/slipway-dev/slipway/platform/kit/attest/statement"
	"github.com/slipway-dev/slipway/platform/kit/release"
)

// retag moves a tag to another image and returns the release that it leads to.
func (h *home) retag(t *testing.T, tag string, to release.Release) release.Release {
	t.Helper()
	at, err := name.NewRepository(h.host + "/" + repository)
	if err != nil {
		t.Fatal(err)
	}
	auth := remote.WithAuth(&authn.Basic{Username: "AWS", Password: "token"})
	described, err := remote.Get(at.Digest(to.Digest), auth)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Tag(at.Tag(tag), described, auth); err != nil {
		t.Fatal(err)
	}
	led, err := remote.Head(at.Tag(tag), auth)
	if err != nil {
		t.Fatal(err)
	}
	to.Digest = led.Digest.String()
	return to
}

func (h *home) listed(t *testing.T, of release.Release) []referrer.Listed {
	t.Helper()
	list, err := h.repository(t).List(t.Context(), of.Digest)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func TestABuildIsSignedOnce(t *testing.T) {
	h, made := newHome(t)
	before := h.listed(t, made.unsigned)
	if len(before) != 0 {
		t.Fatalf("the unsigned release has %d artifacts", len(before))
	}
	says := []string{", signed", ", signed already"}
	for i, added := range []int{4, 0} { // the checkout is as the unsigned release left it
		h.calls.told = ""
		built, err := h.build(h.store)
		if !strings.Contains(h.calls.told, "nothing new to push"+says[i]) || strings.Contains(h.calls.told, "already") != (added == 0) {
			t.Errorf("build %d does not say %q:\n%s", i, says[i], h.calls.told)
		}
		if err != nil || built.Digest != made.unsigned.Digest {
			t.Fatalf("build %d: %s, %v", i, built.Digest, err)
		}
		after := h.listed(t, made.unsigned)
		if len(after)-len(before) != added {
			t.Errorf("build %d added %d artifacts, want %d", i, len(after)-len(before), added)
		}
		before = after
	}
	if failed := h.examine(t, made.unsigned); len(failed) > 0 {
		t.Errorf("examined: %v", failed)
	}
}

// TestNothingNewIsCheap: that a release is signed already costs one request.
func TestNothingNewIsCheap(t *testing.T) {
	h, _ := newHome(t)
	if _, err := h.build(h.store); err != nil {
		t.Fatal(err)
	}
	h.calls.take()
	if _, err := h.build(nil); err != nil {
		t.Fatal(err)
	}
	bare := len(h.calls.take())
	if _, err := h.build(h.store); err != nil {
		t.Fatal(err)
	}
	signed := h.calls.take()
	asked := slices.DeleteFunc(slices.Clone(signed), func(c string) bool { return !strings.Contains(c, "/referrers/") })
	if len(signed) != bare+1 || len(asked) != 1 {
		t.Errorf("%d requests without signing, with it\n%s", bare, strings.Join(signed, "\n"))
	}
}

func TestAReleaseFromBeforeIsRefusedUntilItIsSigned(t *testing.T) {
	h, made := newHome(t)
	checks := attest.Examiner{Store: h.store}.Examine(t.Context(), query(made.unsigned))
	want := "go tool mage sign local tiny --release=" + made.unsigned.Version
	if len(checks) != 1 || checks[0].OK || checks[0].Name != "signature" || checks[0].Next != want {
		t.Errorf("checks = %+v, want one whose next is %q", checks, want)
	}
	done, err := h.store.Sign(t.Context(), repository, "tiny", made.unsigned.Digest)
	if err != nil || done != (attest.Signed{Added: 4}) {
		t.Errorf("sign: %+v, %v", done, err)
	}
	report, err := h.store.Report(t.Context(), query(made.unsigned))
	if err != nil || !report.OK() || report.Builder != provenance.BuilderUnknown || report.Components != 2 {
		t.Errorf("report: %+v, %v", report, err)
	}
	if _, err := h.store.Sign(t.Context(), repository, "other", made.unsigned.Digest); err == nil || !strings.Contains(err.Error(), "of service tiny") {
		t.Errorf("signed as another service: %v", err)
	}
}

func TestAnImageOfAnotherServiceIsRefused(t *testing.T) {
	h, made := newHome(t)
	q := query(made.clean)
	q.Service = "other"
	checks := attest.Examiner{Store: h.store}.Examine(t.Context(), q)
	if len(checks) != 1 || checks[0].OK || !strings.Contains(checks[0].Detail, "service tiny") {
		t.Errorf("checks = %+v", checks)
	}
}

func TestWhatIsSaidOfARelease(t *testing.T) {
	h, made := newHome(t)
	report, err := h.store.Report(t.Context(), query(made.dirty))
	if err != nil {
		t.Fatal(err)
	}
	if report.Commit != made.clean.Commit || !report.Dirty || report.Repository != "https://git.example.com/team/tiny" ||
		report.Inputs != made.dirty.Inputs || report.Release != made.dirty.Version || report.Builder != provenance.BuilderLocal {
		t.Errorf("report = %+v", report)
	}
	for _, want := range []string{made.dirty.Digest, "with changes that are in no commit", "ok, 2 components", "cosign verify --key " + h.key.Source() + ".pub"} {
		if !strings.Contains(report.String(), want) {
			t.Errorf("report lacks %q:\n%s", want, report)
		}
	}
	list, err := h.store.Find(t.Context(), repository, made.dirty.Digest, statement.Provenance)
	if err != nil || len(list) != 1 {
		t.Fatalf("find provenance: %d, %v", len(list), err)
	}
	origin, err := provenance.Read(list[0].Predicate)
	if err != nil || origin.Commit != made.clean.Commit || !origin.Dirty || origin.Inputs != made.dirty.Inputs {
		t.Errorf("provenance = %+v, %v", origin, err)
	}
	list, err = h.store.Find(t.Context(), repository, made.dirty.Digest, statement.SBOM)
	if err != nil || len(list) != 1 {
		t.Fatalf("find SBOM: %d, %v", len(list), err)
	}
	contents, err := bom.Read(list[0].Predicate)
	if err != nil || contents.Main != "example.com/tiny" || contents.Modules != 2 || contents.Digest != made.dirty.Digest {
		t.Errorf("SBOM = %+v, %v", contents, err)
	}
}

func TestStatementsOfOthers(t *testing.T) {
	h, made := newHome(t)
	const kind = "https://example.com/opinion/v1"
	about := attest.Image{Repository: h.repository(t), Digest: made.clean.Digest}
	other := (&thief{T: t}).otherKey()
	for _, by := range []attest.Signer{h.key, h.key, other} { // twice by the same: attached once
		if err := attest.Attach(t.Context(), about, attest.Attestation{PredicateType: kind, Predicate: map[string]int{"stars": 5}}, by); err != nil {
			t.Fatal(err)
		}
	}
	if err := h.store.Attach(t.Context(), repository, made.clean.Digest, attest.Attestation{PredicateType: kind, Predicate: json.RawMessage(`{"stars":1}`)}); err != nil {
		t.Fatal(err)
	}
	if n := len(h.listed(t, made.clean)); n != 4+3 {
		t.Errorf("%d artifacts, want the build's 4 and 3", n)
	}
	found, err := h.store.Find(t.Context(), repository, made.clean.Digest, kind)
	if err != nil || len(found) != 2 {
		t.Errorf("found %d, %v; want those of the environment's key", len(found), err)
	}
	if found, err := attest.Find(t.Context(), about, kind, other); err != nil || len(found) != 1 || string(found[0].Predicate) != `{"stars":5}` {
		t.Errorf("of the other key: %v, %v", found, err)
	}
	if failed := h.examine(t, made.clean); len(failed) > 0 {
		t.Errorf("examined: %v", failed)
	}
}
