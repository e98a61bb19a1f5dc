package inventory

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"strconv"
)

// Page sizes (AIP-158): what zero means and what more is cut down to.
const (
	DefaultPageSize = 50
	MaxPageSize     = 1000
)

// Page is a page of a list and the token of the next one, if there is one.
type Page[T any] struct {
	Elements  []T
	NextToken string
}

// token is what a page token holds: behind which element the next page starts,
// and of which list. Clients must not look inside; it holds nothing secret.
type token struct {
	List   string `json:"l"`
	SKU    string `json:"s,omitempty"`
	Number int64  `json:"n,omitempty"`
}

func (t token) encode() string {
	data, err := json.Marshal(t)
	if err != nil {
		return "" // unreachable: the struct has only strings and a number
	}
	return base64.RawURLEncoding.EncodeToString(data)
}

// decodeToken reads a token of the list; an empty one is the start.
func decodeToken(text, list string) (token, error) {
	if text == "" {
		return token{}, nil
	}
	data, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil {
		return token{}, ErrPageToken.WithField("page_token", "is damaged")
	}
	var t token
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(&t); err != nil || (t.SKU != "" && !isSKU(t.SKU)) || t.Number < 0 {
		return token{}, ErrPageToken.WithField("page_token", "is damaged")
	}
	if t.List != list {
		return token{}, ErrPageToken.WithField("page_token", "belongs to another list; only page_size may change from page to page")
	}
	return t, nil
}

// listID binds a token to what is listed.
func listID(parts ...string) string {
	h := sha256.New()
	for _, p := range parts {
		h.Write([]byte(strconv.Itoa(len(p)) + ":" + p))
	}
	return hex.EncodeToString(h.Sum(nil)[:8])
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

// cut makes a page of at most size elements. The store was asked for one more,
// which tells whether there is a next page.
func cut[T any](elements []T, size int32, at func(T) token) Page[T] {
	if len(elements) <= int(size) {
		return Page[T]{Elements: elements}
	}
	elements = elements[:size]
	return Page[T]{Elements: elements, NextToken: at(elements[size-1]).encode()}
}
