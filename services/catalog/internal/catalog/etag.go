package catalog

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"maps"
	"slices"
)

// etagBytes of the hash are kept: 120 bits, 20 characters, no padding.
const etagBytes = 15

// Etag identifies the product's content (AIP-154): it changes exactly when the
// content does, so a change made and undone brings the first one back.
func (p Product) Etag() string {
	text := make([]byte, 0, 512)
	for _, s := range []string{p.UID, p.SKU, p.Title, p.Description, string(p.State), p.Price.String()} {
		text = appendString(text, s)
	}
	for _, k := range slices.Sorted(maps.Keys(p.Labels)) {
		text = appendString(text, k)
		text = appendString(text, p.Labels[k])
	}
	hash := sha256.Sum256(text)
	return base64.RawURLEncoding.EncodeToString(hash[:etagBytes])
}

// CheckEtag fails when etag is set and is not the product's.
func (p Product) CheckEtag(etag string) error {
	if etag == "" || etag == p.Etag() {
		return nil
	}
	return ErrEtagMismatch.With("name", p.Name()).With("etag", p.Etag())
}

// appendString adds s so that no two lists of strings give the same bytes.
func appendString(text []byte, s string) []byte {
	return append(binary.BigEndian.AppendUint64(text, uint64(len(s))), s...)
}
