package catalog

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"hash"
	"io"
	"maps"
	"slices"
)

// etagBytes of the hash are kept: 120 bits, 20 characters, no padding.
const etagBytes = 15

// Etag identifies the product's content (AIP-154): it changes exactly when the
// content does, so a change made and undone brings the first one back.
func (p Product) Etag() string {
	h := sha256.New()
	for _, s := range []string{p.UID, p.SKU, p.Title, p.Description, string(p.State), p.Price.String()} {
		writeString(h, s)
	}
	for _, k := range slices.Sorted(maps.Keys(p.Labels)) {
		writeString(h, k)
		writeString(h, p.Labels[k])
	}
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil)[:etagBytes])
}

// CheckEtag fails when etag is set and is not the product's.
func (p Product) CheckEtag(etag string) error {
	if etag == "" || etag == p.Etag() {
		return nil
	}
	return ErrEtagMismatch.With("name", p.Name()).With("etag", p.Etag())
}

// writeString writes s so that no two lists of strings give the same bytes.
func writeString(h hash.Hash, s string) {
	var size [8]byte
	binary.BigEndian.PutUint64(size[:], uint64(len(s)))
	h.Write(size[:])
	_, _ = io.WriteString(h, s) // a hash never fails
}
