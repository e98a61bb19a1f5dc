package key_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/sigstore/sigstore/pkg/cryptoutils"

	"github.com/slipway-dev/slipway/platform/kit/attest/key"
)

func made(t *testing.T, path string) *key.Key {
	t.Helper()
	k, err := key.Make(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestAKeyIsMadeOnceAndStays(t *testing.T) {
	path := filepath.Join(t.TempDir(), "signing", "release.pem")
	first := made(t, path)
	for file, want := range map[string]fs.FileMode{path: 0o600, filepath.Dir(path): 0o700 | fs.ModeDir} {
		if info, err := os.Stat(file); err != nil || info.Mode() != want {
			t.Errorf("%s has mode %v, want %v (%v)", file, info.Mode(), want, err)
		}
	}
	signed, err := first.Sign(t.Context(), []byte("message"))
	if err != nil {
		t.Fatal(err)
	}
	again := made(t, path)
	if again.ID() != first.ID() || again.Source() != path {
		t.Errorf("the second time it is %s of %s, not %s", again.ID(), again.Source(), first.ID())
	}
	if err := again.Verify([]byte("message"), signed); err != nil {
		t.Errorf("verify: %v", err)
	}
	if err := again.Verify([]byte("massage"), signed); !errors.Is(err, key.ErrSignature) {
		t.Errorf("another message: %v", err)
	}
	if err := made(t, filepath.Join(t.TempDir(), "k")).Verify([]byte("message"), signed); !errors.Is(err, key.ErrSignature) {
		t.Errorf("another key: %v", err)
	}
	text, err := os.ReadFile(path + key.PublicSuffix)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := cryptoutils.UnmarshalPEMToPublicKey(text); err != nil {
		t.Errorf("the public key's file: %v", err)
	}
}

func TestCommandsThatMakeItAtOnceShareOne(t *testing.T) {
	path := filepath.Join(t.TempDir(), "release.pem")
	ids := make([]string, 16)
	var group sync.WaitGroup
	for i := range ids {
		group.Go(func() {
			if k, err := key.Make(context.Background(), path); err == nil {
				ids[i] = k.ID()
			}
		})
	}
	group.Wait()
	for _, id := range ids {
		if id == "" || id != ids[0] {
			t.Fatalf("ids = %v", ids)
		}
	}
	left, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(left) != 2 {
		t.Errorf("%d files are left (%v), want the key and its public half", len(left), err)
	}
}

func TestAPublicKeyThatIsWrongIsReplaced(t *testing.T) {
	path := filepath.Join(t.TempDir(), "release.pem")
	want, err := made(t, path).PublicPEM()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path+key.PublicSuffix, []byte("stale"), 0o600); err != nil {
		t.Fatal(err)
	}
	made(t, path)
	if got, err := os.ReadFile(path + key.PublicSuffix); err != nil || string(got) != string(want) {
		t.Errorf("it holds %q, %v", got, err)
	}
}

func TestKeysThatAreNotTaken(t *testing.T) {
	good, err := os.ReadFile(made(t, filepath.Join(t.TempDir(), "release.pem")).Source())
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		content    string
		mode       fs.FileMode
		says, next string
	}{
		"others may read it": {string(good), 0o640, "can be read by others", "chmod 600 "},
		"no PEM":             {"key", 0o600, "it is no PEM file", ".damaged"},
		"cut short":          {string(good[:len(good)/2]), 0o600, "it is no PEM file", ".damaged"},
		"another kind":       {"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", 0o600, "it is no PEM file", ".damaged"},
		"no key inside":      {"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", 0o600, "asn1", ".damaged"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "release.pem")
			if err := os.WriteFile(path, []byte(tc.content), tc.mode); err != nil {
				t.Fatal(err)
			}
			_, err := key.Make(t.Context(), path)
			var failure *key.Error
			if !errors.As(err, &failure) || !strings.Contains(err.Error(), tc.says) || !strings.Contains(failure.Next(), tc.next) {
				t.Errorf("%v; next: %v", err, failure)
			}
			if now, err := os.ReadFile(path); err != nil || string(now) != tc.content {
				t.Errorf("the file was changed to %q (%v)", now, err)
			}
		})
	}
	if _, err := key.Read(t.Context(), filepath.Join(t.TempDir(), "none.pem")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
}

func TestOnceLoadsOnceAndTriesAgainAfterAFailure(t *testing.T) {
	path := filepath.Join(t.TempDir(), "release.pem")
	loads := 0
	load := key.Once(func(ctx context.Context) (*key.Key, error) {
		if loads++; loads == 1 {
			return nil, errors.New("not now")
		}
		return key.Make(ctx, path)
	})
	if _, err := load(t.Context()); err == nil {
		t.Error("the first load went well")
	}
	for range 3 {
		if _, err := load(t.Context()); err != nil {
			t.Error(err)
		}
	}
	if loads != 2 {
		t.Errorf("loaded %d times, want 2", loads)
	}
}
