package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/slipway-dev/slipway/platform/serve/servetest"
)

// FuzzREST sends any path, query and body to the whole service, on a real
// database: whatever the request is, the fault is not ours.
func FuzzREST(f *testing.F) {
	product := `{"sku":"A-1","title":"Lamp","price":{"currencyCode":"EUR","units":"9"}}`
	for _, seed := range [][4]string{
		{"POST", "/v1/products", "product_id=lamp", product},
		{"POST", "/v1/products", "product_id=", product},
		{"POST", "/v1/products", "product_id=" + strings.Repeat("x", 500), product},
		{"POST", "/v1/products", "", `{"sku":"\u0000","title":"\u0000","price":{"currencyCode":"EUR"}}`},
		{"POST", "/v1/products", "", `{"price":{"units":"99999999999999999999"}}`},
		{"POST", "/v1/products", "", `{"labels":{"a":"b","\u0000":"\uffff"}}`},
		{"PATCH", "/v1/products/lamp", "update_mask=title,price.units,nope", product},
		{"GET", "/v1/products", "filter=price.units<1e400", ""},
		{"GET", "/v1/products", "filter=" + strings.Repeat("(", 2000), ""},
		{"GET", "/v1/products", "filter=title%3A%22%00%22", ""},
		{"GET", "/v1/products", "filter=create_time>%220000-00-00T00:00:00Z%22", ""},
		{"GET", "/v1/products", "order_by=name;drop", ""},
		{"GET", "/v1/products", "page_size=-1&page_token=AAAA", ""},
		{"GET", "/v1/products:search", "query=%00", ""},
		{"GET", "/v1/products:search", "query=%22a%20-%20%26%20|%20!", ""},
		{"GET", "/v1/products:batchGet", "names=products/x&names=products/x", ""},
		{"GET", "/v1/products/%00", "", ""},
		{"DELETE", "/v1/products/lamp", "etag=%22x", ""},
	} {
		f.Add(seed[0], seed[1], seed[2], []byte(seed[3]))
	}
	s := servetest.Start(f, service())
	bearer := "Bearer " + s.Token(f, servetest.Claims{"scope": "catalog.read catalog.write"})
	f.Fuzz(func(t *testing.T, method, path, query string, body []byte) {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", strings.NewReader(string(body)))
		r.Method, r.URL.Path, r.URL.RawQuery = method, path, query
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Authorization", bearer)
		w := httptest.NewRecorder()
		s.Handler.ServeHTTP(w, r)
		if w.Code >= 500 && w.Code != http.StatusNotImplemented {
			t.Fatalf("%s %q %q: %d %s", method, path, query, w.Code, w.Body)
		}
		if w.Code < 400 {
			return
		}
		var answer struct{ Code int }
		if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil || answer.Code == 0 {
			t.Fatalf("%s %q %q: %d %s is not a status", method, path, query, w.Code, w.Body)
		}
	})
}
