package orders

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"hash"
	"io"
	"strconv"
	"strings"
)

// What comes before the id in a resource name (AIP-122).
const (
	orderPrefix    = "orders/"
	customerPrefix = "customers/"
	productPrefix  = "products/"
)

// maxKey is the longest Idempotency-Key, in bytes.
const maxKey = 255

// etagBytes of the hash are kept: 120 bits, 20 characters, no padding.
const etagBytes = 15

// Name is the order's resource name.
func (o Order) Name() string { return orderPrefix + o.ID }

// CustomerName is the resource name of who ordered.
func (o Order) CustomerName() string { return customerPrefix + o.Customer }

// ProductName is the resource name of the line's product.
func (l Line) ProductName() string { return productPrefix + l.ProductID }

// ParseName is the id in an order's name.
func ParseName(name string) (id string, ok bool) { return parse(name, orderPrefix) }

// ParseCustomer is the id in a customer's name.
func ParseCustomer(name string) (id string, ok bool) { return parse(name, customerPrefix) }

// ParseProduct is the id in a product's name.
func ParseProduct(name string) (id string, ok bool) { return parse(name, productPrefix) }

func parse(name, prefix string) (id string, ok bool) {
	id, ok = strings.CutPrefix(name, prefix)
	return id, ok && isID(id)
}

// isID reports whether id is 1 to 63 lower case letters, digits and hyphens, with
// no hyphen at an end.
func isID(id string) bool {
	if id == "" || len(id) > 63 || id[0] == '-' || id[len(id)-1] == '-' {
		return false
	}
	for i := range len(id) {
		if c := id[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	return true
}

// checkKey refuses an idempotency key that is missing or not printable ASCII.
func checkKey(key string) error {
	if key == "" {
		return ErrKeyRequired
	}
	if len(key) > maxKey {
		return ErrKeyInvalid.With("length", strconv.Itoa(len(key)))
	}
	for i := range len(key) {
		if key[i] < ' ' || key[i] > '~' {
			return ErrKeyInvalid
		}
	}
	return nil
}

// orderID is the id of the order that a request makes, and of its reservation. It
// depends on the request alone, so a second attempt goes on with what the first
// one reserved; another generation of the key starts afresh.
func orderID(r Request, generation int32) string {
	h := sha256.New()
	for _, s := range []string{r.Customer, r.Key, string(r.Fingerprint()), strconv.Itoa(int(generation))} {
		writeString(h, s)
	}
	return "o-" + hex.EncodeToString(h.Sum(nil)[:16])
}

// Fingerprint tells requests with different content apart.
func (r Request) Fingerprint() []byte {
	h := sha256.New()
	writeString(h, r.Customer)
	for _, i := range r.Items {
		writeString(h, i.ProductID)
		writeString(h, strconv.Itoa(int(i.Quantity)))
	}
	return h.Sum(nil)
}

// Etag identifies what the order holds (AIP-154). An order never comes back to
// an earlier content, so its revision says it all.
func (o Order) Etag() string {
	h := sha256.New()
	for _, s := range []string{o.ID, string(o.State), strconv.Itoa(int(o.Revision))} {
		writeString(h, s)
	}
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil)[:etagBytes])
}

// CheckEtag fails when etag is set and is not the order's.
func (o Order) CheckEtag(etag string) error {
	if etag == "" || etag == o.Etag() {
		return nil
	}
	return ErrEtagMismatch.With("name", o.Name()).With("etag", o.Etag())
}

// writeString writes s so that no two lists of strings give the same bytes.
func writeString(h hash.Hash, s string) {
	var size [8]byte
	binary.BigEndian.PutUint64(size[:], uint64(len(s)))
	h.Write(size[:])
	_, _ = io.WriteString(h, s) // a hash never fails
}
