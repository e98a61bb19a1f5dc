package awsx_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/slipway-dev/slipway/platform/kit/attest/key"
	"github.com/slipway-dev/slipway/platform/kit/internal/awsx"
)

// keyService speaks as much of AWS KMS as signing needs (AWS JSON 1.1).
type keyService struct {
	mu      sync.Mutex
	private *ecdsa.PrivateKey // that signs
	shown   *ecdsa.PrivateKey // whose public half is given out
	refuse  string            // error code for Sign; empty signs
	calls   map[string]int
}

const alias = "alias/slipway-signing"

func (s *keyService) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var in struct {
		KeyId, SigningAlgorithm, MessageType string
		Message                              []byte
	}
	_, operation, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	s.calls[operation]++
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil || !strings.Contains(r.Header.Get("Authorization"), "/kms/aws4_request") {
		http.Error(w, "not a signed request to KMS", http.StatusBadRequest)
		return
	}
	answer := map[string]any{}
	var err error
	switch {
	case in.KeyId != alias:
		s.fail(w, "NotFoundException", "Alias arn:aws:kms:eu-central-1:111122223333:"+in.KeyId+" is not found.")
		return
	case operation == "GetPublicKey":
		answer["PublicKey"], err = x509.MarshalPKIXPublicKey(&s.shown.PublicKey)
	case operation == "DescribeKey":
		answer["KeyMetadata"] = map[string]any{"KeyId": "1234", "SigningAlgorithms": []string{"ECDSA_SHA_256"}, "KeyUsage": "SIGN_VERIFY", "KeySpec": "ECC_NIST_P256"}
	case operation == "Sign" && s.refuse != "":
		s.fail(w, s.refuse, "User is not authorized to perform: kms:Sign")
		return
	case operation == "Sign" && in.MessageType == "DIGEST" && in.SigningAlgorithm == "ECDSA_SHA_256":
		answer["Signature"], err = ecdsa.SignASN1(rand.Reader, s.private, in.Message)
	default:
		s.fail(w, "UnknownOperationException", operation)
		return
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	_ = json.NewEncoder(w).Encode(answer)
}

func (s *keyService) fail(w http.ResponseWriter, code, message string) {
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	w.WriteHeader(http.StatusBadRequest)
	_ = json.NewEncoder(w).Encode(map[string]string{"__type": code, "message": message})
}

func generate(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// keys returns a service with one key, and a client of it.
func keys(t *testing.T) (*keyService, *awsx.Client) {
	t.Helper()
	private := generate(t)
	service := &keyService{private: private, shown: private, calls: map[string]int{}}
	web := httptest.NewServer(service)
	t.Cleanup(web.Close)
	t.Setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "example")
	t.Setenv("AWS_CONFIG_FILE", "/dev/null")
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
	client, err := awsx.New(t.Context(), awsx.Config{Region: "eu-central-1", Endpoint: web.URL})
	if err != nil {
		t.Fatal(err)
	}
	return service, client
}

func open(t *testing.T, c *awsx.Client, reference string) (*key.Key, error) {
	t.Helper()
	pair, err := c.SigningKey(t.Context(), reference)
	if err != nil {
		return nil, err
	}
	return key.New(t.Context(), pair, reference)
}

func TestSigningWithAKeyInKMS(t *testing.T) {
	service, client := keys(t)
	k, err := open(t, client, "awskms:///"+alias)
	if err != nil {
		t.Fatal(err)
	}
	for _, message := range []string{"one", "two"} {
		signed, err := k.Sign(t.Context(), []byte(message))
		if err != nil {
			t.Fatal(err)
		}
		if err := k.Verify([]byte(message), signed); err != nil {
			t.Errorf("verify: %v", err)
		}
		if err := k.Verify([]byte("three"), signed); !errors.Is(err, key.ErrSignature) {
			t.Errorf("another message: %v", err)
		}
	}
	service.mu.Lock()
	defer service.mu.Unlock()
	for operation, want := range map[string]int{"GetPublicKey": 1, "DescribeKey": 1, "Sign": 2} {
		if service.calls[operation] != want {
			t.Errorf("%s was called %d times, want %d: what is known is not asked again", operation, service.calls[operation], want)
		}
	}
}

func TestKMSThatRefuses(t *testing.T) {
	tests := map[string]struct {
		reference  string
		set        func(*keyService, *ecdsa.PrivateKey)
		says, next string
	}{
		"no such key":          {"awskms:///alias/none", nil, "is not found", "alias/none"},
		"not allowed to sign":  {"awskms:///" + alias, func(s *keyService, _ *ecdsa.PrivateKey) { s.refuse = "AccessDeniedException" }, "kms:Sign", "aws sts get-caller-identity"},
		"signs with another":   {"awskms:///" + alias, func(s *keyService, k *ecdsa.PrivateKey) { s.private = k }, "not that of the key", "ECC_NIST_P256"},
		"no reference of KMS'": {"awskms://alias", nil, "awskms://[ENDPOINT]", ""},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			service, client := keys(t)
			k, err := open(t, client, tc.reference)
			if err == nil && tc.set != nil {
				service.mu.Lock()
				tc.set(service, generate(t))
				service.mu.Unlock()
				_, err = k.Sign(t.Context(), []byte("one"))
			}
			hint, ok := errors.AsType[interface {
				error
				Next() string
			}](err)
			if err == nil || !strings.Contains(err.Error(), tc.says) || !ok || !strings.Contains(hint.Next(), tc.next) {
				t.Errorf("%v", err)
			}
		})
	}
}
