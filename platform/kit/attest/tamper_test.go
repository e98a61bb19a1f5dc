package attest_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/slipway-dev/slipway/platform/kit/attest"
	"github.com/slipway-dev/slipway/platform/kit/attest/bom"
	"github.com/slipway-dev/slipway/platform/kit/attest/key"
	"github.com/slipway-dev/slipway/platform/kit/attest/referrer"
	"github.com/slipway-dev/slipway/platform/kit/attest/statement"
	"github.com/slipway-dev/slipway/platform/kit/release"
)

// thief has what somebody has who can write to the registry, but not the key.
type thief struct {
	*testing.T

	home *home
	repo *referrer.Repository
	made releases
}

// find returns an artifact of a release: a bundle by its predicate type, or the
// SBOM on its own by its media type.
func (th *thief) find(of release.Release, kind string) (string, referrer.Artifact) {
	th.Helper()
	list, err := th.repo.List(th.Context(), of.Digest)
	if err != nil {
		th.Fatal(err)
	}
	i := slices.IndexFunc(list, func(l referrer.Listed) bool {
		return l.Type == kind || l.Annotations["dev.sigstore.bundle.predicateType"] == kind
	})
	if i < 0 {
		th.Fatalf("%s has no %s", of.Version, kind)
	}
	artifact, err := th.repo.Read(th.Context(), of.Digest, list[i].Digest)
	if err != nil {
		th.Fatal(err)
	}
	return list[i].Digest, artifact
}

func (th *thief) remove(of release.Release, kind string) referrer.Artifact {
	th.Helper()
	at, artifact := th.find(of, kind)
	if err := th.repo.Delete(th.Context(), at); err != nil {
		th.Fatal(err)
	}
	return artifact
}

func (th *thief) attach(to release.Release, artifact referrer.Artifact) {
	th.Helper()
	subject, _, err := th.repo.Manifest(th.Context(), to.Digest)
	if err != nil {
		th.Fatal(err)
	}
	if err := th.repo.Upload(th.Context(), artifact); err != nil {
		th.Fatal(err)
	}
	if _, err := th.repo.Attach(th.Context(), subject, artifact); err != nil {
		th.Fatal(err)
	}
}

// edit replaces text in what was signed, and leaves the signature.
func (th *thief) edit(kind, old, with string) {
	th.Helper()
	artifact := th.remove(th.made.clean, kind)
	var bundle map[string]any
	if err := json.Unmarshal(artifact.Content, &bundle); err != nil {
		th.Fatal(err)
	}
	envelope, ok := bundle["dsseEnvelope"].(map[string]any)
	if !ok {
		th.Fatal("the bundle has no envelope")
	}
	payload, err := base64.StdEncoding.DecodeString(envelope["payload"].(string))
	if err != nil || !bytes.Contains(payload, []byte(old)) {
		th.Fatalf("payload %s lacks %q (%v)", payload, old, err)
	}
	envelope["payload"] = base64.StdEncoding.EncodeToString(bytes.ReplaceAll(payload, []byte(old), []byte(with)))
	if artifact.Content, err = json.Marshal(bundle); err != nil {
		th.Fatal(err)
	}
	th.attach(th.made.clean, artifact)
}

// sign has a key sign something about the clean release.
func (th *thief) sign(by *key.Key, predicateType string, predicate any) {
	th.Helper()
	about := attest.Image{Repository: th.repo, Digest: th.made.clean.Digest}
	if err := attest.Attach(th.Context(), about, attest.Attestation{PredicateType: predicateType, Predicate: predicate}, by); err != nil {
		th.Fatal(err)
	}
}

func (th *thief) otherKey() *key.Key {
	th.Helper()
	other, err := key.Make(th.Context(), filepath.Join(th.TempDir(), "other.pem"))
	if err != nil {
		th.Fatal(err)
	}
	return other
}

// predicate is what was signed of a release.
func (th *thief) predicate(of release.Release, kind string) json.RawMessage {
	th.Helper()
	found, err := th.home.store.Find(th.Context(), repository, of.Digest, kind)
	if err != nil || len(found) != 1 {
		th.Fatalf("find %s of %s: %d, %v", kind, of.Version, len(found), err)
	}
	return found[0].Predicate
}

// TestTamperingIsRefused does to a signed release what somebody can who may
// write to the registry. Each is refused by the check that is meant for it, and
// signing again mends it.
func TestTamperingIsRefused(t *testing.T) {
	tests := map[string]struct {
		do   func(*thief)
		want map[string]string // failed checks, and part of what each says
	}{
		"nothing": {func(*thief) {}, nil},
		"the signature deleted": {
			func(th *thief) { th.remove(th.made.clean, statement.Signature) },
			map[string]string{"signature": "there is none"},
		},
		"the provenance deleted": {
			func(th *thief) { th.remove(th.made.clean, statement.Provenance) },
			map[string]string{"provenance": "there is none"},
		},
		"the signed SBOM deleted": {
			func(th *thief) { th.remove(th.made.clean, statement.SBOM) },
			map[string]string{"sbom": "there is none"},
		},
		"all deleted": {
			func(th *thief) {
				for _, kind := range []string{statement.Signature, statement.Provenance, statement.SBOM, bom.MediaType} {
					th.remove(th.made.clean, kind)
				}
			},
			map[string]string{"signature": "nobody has signed this image"},
		},
		"signed with another key": {
			func(th *thief) {
				th.remove(th.made.clean, statement.Signature)
				th.sign(th.otherKey(), statement.Signature, struct{}{})
			},
			map[string]string{"signature": "it was signed with another key"},
		},
		"provenance signed with another key": {
			func(th *thief) {
				what := th.predicate(th.made.clean, statement.Provenance)
				th.remove(th.made.clean, statement.Provenance)
				th.sign(th.otherKey(), statement.Provenance, what)
			},
			map[string]string{"provenance": "it was signed with another key"},
		},
		"the signature of another release moved over": {
			func(th *thief) {
				th.remove(th.made.clean, statement.Signature)
				_, other := th.find(th.made.dirty, statement.Signature)
				th.attach(th.made.clean, other)
			},
			map[string]string{"signature": "it was signed for sha256:"},
		},
		"all evidence of another release moved over": {
			func(th *thief) {
				for _, kind := range []string{statement.Signature, statement.Provenance, statement.SBOM, bom.MediaType} {
					th.remove(th.made.clean, kind)
					_, other := th.find(th.made.dirty, kind)
					th.attach(th.made.clean, other)
				}
			},
			map[string]string{"signature": "it was signed for", "provenance": "it was signed for", "sbom": "it was signed for"},
		},
		"provenance edited": {
			func(th *thief) { th.edit(statement.Provenance, `"dirty":false`, `"dirty":true`) },
			map[string]string{"provenance": "it was changed after it was signed"},
		},
		"the provenance of another release, signed for this one": {
			func(th *thief) {
				other := th.predicate(th.made.dirty, statement.Provenance)
				th.remove(th.made.clean, statement.Provenance)
				th.sign(th.home.key, statement.Provenance, other)
			},
			map[string]string{"provenance": "it says version"},
		},
		"provenance of another kind of build": {
			func(th *thief) {
				th.remove(th.made.clean, statement.Provenance)
				th.sign(th.home.key, statement.Provenance, map[string]any{"buildDefinition": map[string]any{"buildType": "https://example.com/by-hand"}})
			},
			map[string]string{"provenance": "it is of build type"},
		},
		"the signed SBOM edited": {
			func(th *thief) { th.edit(statement.SBOM, "example.com/beside", "example.com/harmless") },
			map[string]string{"sbom": "it was changed after it was signed"},
		},
		"the SBOM on its own swapped": {
			func(th *thief) {
				artifact := th.remove(th.made.clean, bom.MediaType)
				artifact.Content = bytes.ReplaceAll(artifact.Content, []byte("example.com/beside"), []byte("example.com/harmless"))
				th.attach(th.made.clean, artifact)
			},
			map[string]string{"sbom": "is an SBOM that nobody signed"},
		},
		"an SBOM put beside the signed one": {
			func(th *thief) {
				_, other := th.find(th.made.dirty, bom.MediaType)
				th.attach(th.made.clean, other)
			},
			map[string]string{"sbom": "is an SBOM that nobody signed"},
		},
		"the SBOM of another release, signed for this one": {
			func(th *thief) {
				other := th.predicate(th.made.dirty, statement.SBOM)
				th.remove(th.made.clean, statement.SBOM)
				th.sign(th.home.key, statement.SBOM, other)
			},
			map[string]string{"sbom": "it is of tiny v0-"},
		},
		"a bundle cut short": {
			func(th *thief) {
				artifact := th.remove(th.made.clean, statement.Signature)
				artifact.Content = artifact.Content[:len(artifact.Content)/2]
				th.attach(th.made.clean, artifact)
			},
			map[string]string{"signature": "it is damaged"},
		},
		"a bundle without a signature": {
			func(th *thief) {
				artifact := th.remove(th.made.clean, statement.Signature)
				at := bytes.Index(artifact.Content, []byte(`"signatures":[`))
				artifact.Content = append(slices.Clone(artifact.Content[:at]), []byte(`"signatures":[]}}`)...)
				th.attach(th.made.clean, artifact)
			},
			map[string]string{"signature": "it is damaged"},
		},
		"the label of a bundle changed": {
			func(th *thief) {
				artifact := th.remove(th.made.clean, statement.Provenance)
				artifact.Annotations["dev.sigstore.bundle.predicateType"] = "https://example.com/other"
				th.attach(th.made.clean, artifact)
			},
			map[string]string{"provenance": "there is none"},
		},
		"another statement under the label of a signature": {
			func(th *thief) {
				artifact := th.remove(th.made.clean, statement.Signature)
				_, other := th.find(th.made.clean, statement.SBOM)
				other.Annotations = artifact.Annotations
				th.attach(th.made.clean, other)
			},
			map[string]string{"signature": "there is none"},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			h, made := newHome(t)
			tc.do(&thief{T: t, home: h, repo: h.repository(t), made: made})
			failed := h.examine(t, made.clean)
			if !slices.Equal(slices.Sorted(maps.Keys(failed)), slices.Sorted(maps.Keys(tc.want))) {
				t.Errorf("failed checks are %v, want %v", failed, tc.want)
			}
			for check, says := range tc.want {
				if !strings.Contains(failed[check], says) {
					t.Errorf("check %s says %q, want %q", check, failed[check], says)
				}
			}
			if other := h.examine(t, made.dirty); len(other) > 0 {
				t.Errorf("the other release fails too: %v", other)
			}
			done, err := h.store.Sign(t.Context(), repository, "tiny", made.clean.Digest)
			if err != nil || (done == attest.Signed{}) != (len(tc.want) == 0) {
				t.Errorf("sign again: %+v, %v", done, err)
			}
			if failed := h.examine(t, made.clean); len(failed) > 0 {
				t.Errorf("after signing again: %v", failed)
			}
		})
	}
}

// TestAnotherImageUnderTheSameTag: a tag that leads elsewhere brings an image
// that nobody has signed, whatever the tag led to before.
func TestAnotherImageUnderTheSameTag(t *testing.T) {
	h, made := newHome(t)
	moved := h.retag(t, made.clean.Version, made.unsigned)
	failed := h.examine(t, moved)
	if moved.Digest == made.clean.Digest || !strings.Contains(failed["signature"], "nobody has signed this image") {
		t.Errorf("%s: %v", moved.Digest, failed)
	}
}
