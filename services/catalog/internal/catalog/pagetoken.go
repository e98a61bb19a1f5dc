package catalog

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"strconv"
	"strings"
)

// token is what a page token holds: where the next page starts and for which
// request. Clients must not look inside; it holds nothing they have not seen.
type token struct {
	Request string `json:"q"`
	After   Cursor `json:"a"`
}

// encodeToken makes the token of the page after the cursor.
func encodeToken(request string, after Cursor) string {
	data, err := json.Marshal(token{Request: request, After: after})
	if err != nil {
		return "" // unreachable: the struct has only strings, numbers and a time
	}
	return base64.RawURLEncoding.EncodeToString(data)
}

// decodeToken reads a token given for the same request.
func decodeToken(text, request string) (*Cursor, error) {
	if text == "" {
		return nil, nil //nolint:nilnil // no token: from the start
	}
	data, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil {
		return nil, ErrPageToken.WithField("page_token", "is damaged")
	}
	var t token
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(&t); err != nil || !isID(t.After.ID) || hasNUL(t.After.Price.Currency) {
		return nil, ErrPageToken.WithField("page_token", "is damaged")
	}
	if t.Request != request {
		return nil, ErrPageToken.WithField("page_token",
			"belongs to a request with other parameters; only page_size may change from page to page")
	}
	return &t.After, nil
}

// fingerprint binds a token to its request's parameters.
func fingerprint(parameters ...string) string {
	var text []byte
	for _, p := range parameters {
		text = appendString(text, p)
	}
	hash := sha256.Sum256(text)
	return hex.EncodeToString(hash[:8])
}

// pageSize applies the default and the limit (AIP-158: more is cut, not refused).
func pageSize(asked int32) (int32, error) {
	switch {
	case asked < 0:
		return 0, ErrPageSize.WithField("page_size", "is "+strconv.Itoa(int(asked)))
	case asked == 0:
		return DefaultPageSize, nil
	default:
		return min(asked, MaxPageSize), nil
	}
}

func quote(s string) string {
	return strconv.QuoteToASCII(strings.ToValidUTF8(s, "?"))
}
