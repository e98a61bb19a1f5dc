// Package docs shows a service's API to people: a page that renders the OpenAPI
// document. The page is complete in itself, as the networks that services run in
// reach no content network, and its policy lets it load nothing else.
package docs

import (
	"embed"
	"html"
	"net/http"
	"net/url"
	"strings"
)

//go:embed page
var page embed.FS

// policy keeps the page to its own script and style and to this service, even if
// the document held something to run (CSP Level 3).
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// placeholder is where the page names the folder that its parts are in.
const placeholder = "/docs/SERVICE"

// NewHandler serves the page at /docs and passes on everything else. The page and
// its parts are at /docs/SERVICE, too, with the document, so that one rule of a load
// balancer that many services share leads to them.
func NewHandler(service string, next http.Handler) http.Handler {
	folder := "/docs/" + url.PathEscape(service)
	const index = "page/index.html"
	files := map[string]struct{ name, media string }{
		"/docs":              {index, "text/html; charset=utf-8"},
		folder:               {index, "text/html; charset=utf-8"},
		folder + "/page.js":  {"page/page.js", "text/javascript; charset=utf-8"},
		folder + "/page.css": {"page/page.css", "text/css; charset=utf-8"},
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == folder+"/openapi.json" {
			r = r.Clone(r.Context())
			r.URL.Path, r.URL.RawPath = "/openapi.json", ""
		}
		file, ok := files[r.URL.Path]
		if !ok || (r.Method != http.MethodGet && r.Method != http.MethodHead) {
			next.ServeHTTP(w, r)
			return
		}
		content, err := page.ReadFile(file.name)
		if err != nil {
			http.NotFound(w, r) // not in the binary
			return
		}
		if file.name == index {
			content = []byte(strings.ReplaceAll(string(content), placeholder, html.EscapeString(folder)))
		}
		h := w.Header()
		h.Set("Content-Type", file.media)
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cache-Control", "no-cache")
		_, _ = w.Write(content) // a client that is gone is nobody's error
	})
}
