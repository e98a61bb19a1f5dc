//go:build e2e

package e2e

import (
	"encoding/json"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// TestEvidence: what deploy signs, a client that we did not write verifies; an
// image whose signature is gone is refused before anything is changed, until
// somebody signs it.
func TestEvidence(t *testing.T) {
	e := &evidence{checkout: newCheckout(t)}
	e.checkout.up(t)
	for _, part := range []struct {
		name string
		run  func(*testing.T)
	}{
		{"release tells who signed it and what is in it", e.release},
		{"cosign verifies the signature and the attestations", e.cosign},
		{"a release whose signature is gone is refused", e.refused},
		{"until it is signed again", e.signed},
		{"the key outlives the cluster", e.kept},
	} {
		if !t.Run(part.name, func(t *testing.T) { part.run(t) }) {
			t.Fatalf("it ends at %q: what follows builds on it", part.name)
		}
	}
}

type evidence struct {
	*checkout
	report struct {
		Reference, Digest, Commit string
		Components                int
		Key                       struct{ ID, Source string }
		Verify                    []string
	}
}

func (e *evidence) release(t *testing.T) {
	out := e.mustMage(t, "release", "local", "catalog", "--json").Stdout
	var event struct {
		Data struct{ Data json.RawMessage }
	}
	for line := range strings.Lines(out) {
		if strings.Contains(line, `"components"`) && json.Unmarshal([]byte(line), &event) == nil {
			break
		}
	}
	if err := json.Unmarshal(event.Data.Data, &e.report); err != nil {
		t.Fatalf("%v in\n%s", err, out)
	}
	if e.report.Components < 10 || e.report.Key.Source != filepath.Join(e.State, "signing", "release.pem") || len(e.report.Verify) != 3 {
		t.Errorf("report = %+v", e.report)
	}
	wantIn(t, "release", e.mustMage(t, "release", "local", "catalog").Stdout, e.report.Digest, e.report.Commit, "signature   ok", "provenance  ok", "sbom        ok")
}

// password is the registry's.
func (e *evidence) password(t *testing.T) string {
	t.Helper()
	return strings.TrimSpace(e.aws(t, nil, "ecr", "get-login-password"))
}

// runCosign runs the pinned cosign with the words of a command that the kit
// printed.
func (e *evidence) runCosign(t *testing.T, command string) result {
	t.Helper()
	return e.run(t, e.path("platform/tools/cosign"), append([]string{"env", "GOWORK=off", "COSIGN_PASSWORD=", "go", "tool"}, strings.Fields(command)...)...)
}

func (e *evidence) cosign(t *testing.T) {
	login := " --registry-username=AWS --registry-password=" + e.password(t)
	for _, command := range e.report.Verify {
		if r := e.runCosign(t, command+login); r.Code != 0 || !strings.Contains(r.Stderr, "The signatures were verified against the specified public key") {
			t.Errorf("%s: code %d\n%s%s", command, r.Code, r.Stdout, r.Stderr)
		}
	}
	other := filepath.Join(t.TempDir(), "cosign")
	if r := e.runCosign(t, "cosign generate-key-pair --output-key-prefix="+other); r.Code != 0 {
		t.Fatalf("generate-key-pair: %s", r.Stderr)
	}
	wrong := strings.ReplaceAll(e.report.Verify[0], e.report.Key.Source+".pub", other+".pub")
	if r := e.runCosign(t, wrong+login); r.Code == 0 {
		t.Errorf("%s goes well with another key:\n%s", wrong, r.Stderr)
	}
}

func (e *evidence) refused(t *testing.T) {
	digest, err := name.NewDigest(e.report.Reference)
	if err != nil {
		t.Fatal(err)
	}
	login := remote.WithAuth(&authn.Basic{Username: "AWS", Password: e.password(t)})
	index, err := remote.Referrers(digest, login)
	if err != nil {
		t.Fatal(err)
	}
	list, err := index.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	deleted := 0
	for _, m := range list.Manifests {
		if m.Annotations["dev.sigstore.bundle.predicateType"] == "https://sigstore.dev/cosign/sign/v1" {
			if err := remote.Delete(digest.Digest(m.Digest.String()), login); err != nil {
				t.Fatal(err)
			}
			deleted++
		}
	}
	if deleted != 1 {
		t.Fatalf("%d signatures were there, want 1", deleted)
	}
	e.rest(t, http.StatusOK, "GET", "/v1/products", nil)
	r := e.mage(t, "deploy", "local", "catalog", "--force", "--release="+e.report.Digest)
	if r.Code != 1 {
		t.Errorf("code %d, want 1", r.Code)
	}
	wantIn(t, "deploy", r.Stdout+r.Stderr, "signature", "there is none", "go tool mage sign local catalog --release=")
	if strings.Contains(r.Stderr, "register the revision") {
		t.Errorf("something was changed:\n%s", r.Stderr)
	}
	if r := e.mage(t, "release", "local", "catalog"); r.Code != 1 {
		t.Errorf("release: code %d, want 1", r.Code)
	}
}

func (e *evidence) signed(t *testing.T) {
	wantIn(t, "sign", e.mustMage(t, "sign", "local", "catalog").Stderr, "1 artifacts attached, 0 removed")
	e.mustMage(t, "deploy", "local", "catalog", "--force", "--release="+e.report.Digest)
}

func (e *evidence) kept(t *testing.T) {
	e.mustMage(t, "down")
	e.checkout.up(t)
	wantIn(t, "release", e.mustMage(t, "release", "local", "catalog").Stdout, e.report.Key.ID, "signature   ok")
}
