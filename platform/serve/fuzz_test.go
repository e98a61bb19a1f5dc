package serve_test

import (
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/slipway-dev/slipway/platform/serve/servetest"
)

// FuzzBody sends any body to a method: the answer is 200 or a 4xx in the one
// form of errors.
func FuzzBody(f *testing.F) {
	for _, seed := range []string{
		``, `{`, `{"text":"x"}`, `{"text":5}`, `{"text":"x"}{}`, `{"text":"\ud800"}`, "{\"text\":\"\xff\"}", `[]`, `null`, `"x"`, `{"times":1e400,"text":"x"}`,
		`{"times":-1}`, `{"text":"x","text":"y"}`, `{"@type":"x"}`, strings.Repeat(`{"a":`, 5000), strings.Repeat("[", 20000), `{"text":"` + strings.Repeat("x", 2000) + `"}`,
		"\x00", `{"text":"x"} // `, `{"deadlineMs":"9"}`, `{"times":2147483648,"text":"x"}`, "\ufeff{}", `{"":1}`,
	} {
		f.Add([]byte(seed))
	}
	s := servetest.Start(f, newEcho().service())
	f.Fuzz(func(t *testing.T, body []byte) {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/v1/echo", strings.NewReader(string(body)))
		r.Header.Set("Content-Type", "application/json")
		clean(t, s.Handler, r)
	})
}

// FuzzRequest sends any path, query and header.
func FuzzRequest(f *testing.F) {
	for _, seed := range [][3]string{
		{"/v1/echo/x", "", ""},
		{"/v1/echo/", "times=1", ""},
		{"/v1/echo/x", "times=1&times=2", ""},
		{"/v1/echo/x:count", "times=3", "x"},
		{"//", "%zz", ""},
		{"/v1/echo/%ff", "a=%ff", "\xff"},
		{"/v1/echo/a%2fb", "behave[x]=1", ""},
		{"/v1/../v1/echo/x", ";", ""},
		{"/docs", "", ""},
		{"/v1/echo/:", "=", "soon"},
		{"*", "", ""},
		{"/v1/echo/x:count:count", "text=1", ""},
		{"/" + strings.Repeat("a/", 3000), strings.Repeat("a&", 3000), strings.Repeat("1", 3000)},
	} {
		f.Add(seed[0], seed[1], seed[2])
	}
	s := servetest.Start(f, newEcho().service())
	f.Fuzz(func(t *testing.T, path, query, header string) {
		if strings.Contains(query, "behave") { // it may ask for a 5xx or for a long wait
			return
		}
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", http.NoBody)
		r.URL.Path, r.URL.RawQuery = path, query
		r.Header.Set("Grpc-Timeout", header)
		r.Header.Set("X-Request-Id", header)
		r.Header.Set("Authorization", header)
		r.Header.Set("Traceparent", header)
		clean(t, s.Handler, r)
	})
}

// clean checks that the answer is fit for a client.
func clean(t *testing.T, h http.Handler, r *http.Request) {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if w.Code == http.StatusOK {
		return
	}
	if w.Code < 300 || w.Code >= 500 {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	if w.Code < 400 {
		return // a redirect
	}
	var got restStatus
	line, _, _ := strings.Cut(w.Body.String(), "\n")
	if err := json.Unmarshal([]byte(line), &got); err != nil {
		t.Fatalf("%d %s is not a status: %v", w.Code, w.Body, err)
	}
}

// FuzzWire writes any bytes to the port, where only the process matters: it
// must go on answering.
func FuzzWire(f *testing.F) {
	for _, seed := range []string{
		"", "\r\n\r\n", "GET / HTTP/1.1\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00",
		"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00\xff\xff\xff\x01\x04\x00\x00\x00\x01", "POST /v1/echo HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}",
		"\x16\x03\x01", "GET /v1/echo/x HTTP/1.1\r\nHost: \x00\r\n\r\n",
	} {
		f.Add([]byte(seed))
	}
	s := servetest.Start(f, newEcho().service())
	address := strings.TrimPrefix(s.URL, "http://")
	f.Fuzz(func(t *testing.T, data []byte) {
		var d net.Dialer
		conn, err := d.DialContext(t.Context(), "tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		_, _ = conn.Write(data) // the server may have closed it
		_ = conn.(*net.TCPConn).CloseWrite()
		_, _ = io.Copy(io.Discard, io.LimitReader(conn, 1<<20))
		if web, body := s.Do(t, http.MethodGet, "/livez", ""); web.StatusCode != http.StatusOK {
			t.Fatalf("%s %s", web.Status, body)
		}
	})
}
