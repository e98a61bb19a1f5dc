package statement_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	intoto "github.com/in-toto/attestation/go/v1"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/slipway-dev/slipway/platform/kit/attest/key"
	"github.com/slipway-dev/slipway/platform/kit/attest/statement"
)

const digest = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

func signed(t *testing.T, by *key.Key, s statement.Statement) (text, bundle []byte) {
	t.Helper()
	text, err := s.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if bundle, err = statement.Sign(t.Context(), text, by); err != nil {
		t.Fatal(err)
	}
	return text, bundle
}

func newKey(t *testing.T) *key.Key {
	t.Helper()
	k, err := key.Make(t.Context(), filepath.Join(t.TempDir(), "release.pem"))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestAStatementComesBackAsItWasSigned(t *testing.T) {
	k := newKey(t)
	said := statement.Statement{Name: "slipway/tiny", Digest: digest, PredicateType: statement.Signature, Predicate: json.RawMessage(`{"a":[1,"<&>"]}`)}
	text, bundle := signed(t, k, said)
	got, err := statement.Open(bundle, digest, k)
	if err != nil || got.Name != said.Name || got.PredicateType != said.PredicateType || !bytes.Equal(got.Text, text) {
		t.Errorf("open = %+v, %v", got, err)
	}
	if again, err := said.Encode(); err != nil || !bytes.Equal(again, text) {
		t.Errorf("encoded again: %s, %v", again, err)
	}
	var document intoto.Statement
	if err := protojson.Unmarshal(text, &document); err != nil || document.Validate() != nil {
		t.Errorf("in-toto's own reader: %v, %v", err, document.Validate())
	}
	if id, predicateType := statement.KeyOf(bundle); id != k.ID() || predicateType != statement.Signature {
		t.Errorf("KeyOf = %s, %s", id, predicateType)
	}
}

func TestBundlesThatAreNotTaken(t *testing.T) {
	k := newKey(t)
	_, good := signed(t, k, statement.Statement{Digest: digest, PredicateType: statement.Signature, Predicate: json.RawMessage(`{}`)})
	replace := func(old, with string) []byte {
		if !bytes.Contains(good, []byte(old)) {
			t.Fatalf("%s lacks %s", good, old)
		}
		return bytes.Replace(good, []byte(old), []byte(with), 1)
	}
	_, v0 := signed(t, k, statement.Statement{Digest: digest, PredicateType: "x", Predicate: json.RawMessage(`{}`)})
	tests := map[string]struct {
		bundle []byte
		want   error
	}{
		"empty":                {nil, statement.ErrMalformed},
		"no JSON":              {[]byte("{"), statement.ErrMalformed},
		"another version":      {replace("v0.3", "v0.9"), statement.ErrMalformed},
		"another payload":      {replace("application/vnd.in-toto+json", "text/plain"), statement.ErrMalformed},
		"two signatures":       {replace(`"signatures":[`, `"signatures":[{"sig":"AAAA"},`), statement.ErrMalformed},
		"no signature":         {replace(`"sig":"`, `"keyid":"`), key.ErrSignature},
		"another's signature":  {swapSignature(t, good, v0), key.ErrSignature},
		"the hint is no proof": {replace(k.ID(), "AAAA"), nil},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if _, err := statement.Open(tc.bundle, digest, k); !errors.Is(err, tc.want) {
				t.Errorf("%v, want %v", err, tc.want)
			}
		})
	}
	if _, err := statement.Open(good, digest, newKey(t)); !errors.Is(err, key.ErrSignature) {
		t.Errorf("with another key: %v", err)
	}
	other := "sha256:" + strings.Repeat("0", 64)
	subject := new(statement.SubjectError)
	if _, err := statement.Open(good, other, k); !errors.As(err, &subject) || subject.Have != digest || subject.Want != other {
		t.Errorf("for another image: %v", err)
	}
}

// swapSignature puts the signature of one bundle on another.
func swapSignature(t *testing.T, on, of []byte) []byte {
	t.Helper()
	cut := func(b []byte) (int, int) {
		at := bytes.Index(b, []byte(`"sig":"`))
		return at, at + bytes.IndexByte(b[at:], '}')
	}
	from, to := cut(on)
	begin, end := cut(of)
	return append(append(bytes.Clone(on[:from]), of[begin:end]...), on[to:]...)
}

func TestADigestThatIsNoneIsNotSigned(t *testing.T) {
	if _, err := (statement.Statement{Digest: "latest"}).Encode(); err == nil {
		t.Error("a tag was taken for a digest")
	}
}
