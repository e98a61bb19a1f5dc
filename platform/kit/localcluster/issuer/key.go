package issuer

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/MicahParks/jwkset"
)

// keyLifetime is how long a key signs. The one before it is told for as long
// again, so that every token it signed can be checked to its end.
const keyLifetime = 30 * 24 * time.Hour

// key is a key pair for ES256.
type key struct {
	id      string
	private *ecdsa.PrivateKey
	created time.Time
}

// keyRecord is a key as it is kept.
type keyRecord struct {
	ID      string    `json:"id"`
	Private []byte    `json:"private"` // PKCS #8
	Created time.Time `json:"created"`
}

func decodeKeys(raw []byte) ([]key, error) {
	var records []keyRecord
	if err := json.Unmarshal(raw, &records); err != nil {
		return nil, err
	}
	keys := make([]key, 0, len(records))
	for _, r := range records {
		parsed, err := x509.ParsePKCS8PrivateKey(r.Private)
		if err != nil {
			return nil, fmt.Errorf("key %s: %w", r.ID, err)
		}
		private, ok := parsed.(*ecdsa.PrivateKey)
		if !ok {
			return nil, fmt.Errorf("key %s: %T is no ECDSA key", r.ID, parsed)
		}
		keys = append(keys, key{r.ID, private, r.Created})
	}
	return keys, nil
}

// signingKey returns the key to sign with, a new one when that has had its
// time. The lock is held.
func (i *Issuer) signingKey() (key, error) {
	if len(i.keys) > 0 && i.cfg.Clock.Since(i.keys[0].created) < keyLifetime {
		return i.keys[0], nil
	}
	if err := i.rotate(); err != nil {
		return key{}, err
	}
	return i.keys[0], nil
}

// Rotate makes a new key to sign with. The one before it is still told to those
// who check tokens; any older one is forgotten.
func (i *Issuer) Rotate() error {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.rotate()
}

func (i *Issuer) rotate() error {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fmt.Errorf("make signing key: %w", err)
	}
	keys := []key{{id: rand.Text(), private: private, created: i.cfg.Clock.Now().UTC()}}
	if len(i.keys) > 0 {
		keys = append(keys, i.keys[0])
	}
	records := make([]keyRecord, 0, len(keys))
	for _, k := range keys {
		raw, err := x509.MarshalPKCS8PrivateKey(k.private)
		if err != nil {
			return fmt.Errorf("encode signing key: %w", err)
		}
		records = append(records, keyRecord{k.id, raw, k.created})
	}
	if err := i.cfg.Store.Put(keysKey, records); err != nil {
		return fmt.Errorf("keep signing key: %w", err)
	}
	i.keys = keys
	return nil
}

// jwks is the document of the public keys.
func (i *Issuer) jwks() (jwkset.JWKSMarshal, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	var out jwkset.JWKSMarshal
	for _, k := range i.keys {
		public, ok := k.private.Public().(*ecdsa.PublicKey)
		if !ok {
			return out, errors.New("tell keys: an ECDSA key has no ECDSA half")
		}
		jwk, err := jwkset.NewJWKFromKey(public, jwkset.JWKOptions{
			Metadata: jwkset.JWKMetadataOptions{ALG: jwkset.AlgES256, KID: k.id, USE: jwkset.UseSig},
		})
		if err != nil {
			return out, fmt.Errorf("tell key %s: %w", k.id, err)
		}
		out.Keys = append(out.Keys, jwk.Marshal())
	}
	return out, nil
}
