package serve_test

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/slipway-dev/slipway/platform/serve/internal/echopb"
	"github.com/slipway-dev/slipway/platform/serve/servetest"
)

// raw sends bytes over a connection of its own and returns the status of the
// answer, 0 if the connection is closed without one.
func raw(t *testing.T, s *servetest.Server, send func(net.Conn) error) (code int, reason string) {
	t.Helper()
	var d net.Dialer
	conn, err := d.DialContext(t.Context(), "tcp", strings.TrimPrefix(s.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	go func() { _ = send(conn) }() // the server may close while it is being sent to
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatal("no answer within a minute")
	}
	if err != nil {
		return 0, ""
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	return resp.StatusCode, string(body)
}

const head = "POST /v1/echo HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"

func text(s string) func(net.Conn) error {
	return func(c net.Conn) error { _, err := io.WriteString(c, s); return err }
}

// flood repeats the piece until the server has had enough, or 8 MiB.
func flood(start, piece string) func(net.Conn) error {
	return func(c net.Conn) error {
		if _, err := io.WriteString(c, start); err != nil {
			return err
		}
		for sent := 0; sent < 8<<20; sent += len(piece) {
			if _, err := io.WriteString(c, piece); err != nil {
				return err
			}
		}
		return nil
	}
}

// TestAbuse says broken things in HTTP itself: each gets a 4xx, or a closed
// connection where HTTP has no better answer, and no 5xx but 501 and 505, in
// which HTTP says that it does not speak a dialect.
func TestAbuse(t *testing.T) {
	t.Parallel()
	s := servetest.Start(t, newEcho().service(), servetest.Options{Env: map[string]string{
		"MAX_REQUEST_BYTES": "4096", "MAX_HEADER_BYTES": "8192", "REQUEST_TIMEOUT": "500ms", "HEADER_TIMEOUT": "500ms",
	}})
	chunk := func(body string) string { return strconv.FormatInt(int64(len(body)), 16) + "\r\n" + body + "\r\n" }
	for name, tc := range map[string]struct {
		send func(net.Conn) error
		want []int
		body string
	}{
		"no HTTP at all":           {text("hello\r\n\r\n"), []int{400}, ""},
		"TLS":                      {text("\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03\r\n\r\n"), []int{400, 0}, ""},
		"an unknown version":       {text("GET / HTTP/9.9\r\n\r\n"), []int{400, 505, 0}, ""},
		"no host":                  {text("GET /v1/echo/x HTTP/1.1\r\n\r\n"), []int{400}, ""},
		"two lengths":              {text(head + "Content-Length: 3\r\nContent-Length: 5\r\n\r\n{}   "), []int{400}, ""},
		"a negative length":        {text(head + "Content-Length: -1\r\n\r\n"), []int{400}, ""},
		"length and chunks":        {text(head + "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), []int{400}, ""},
		"an unknown encoding":      {text(head + "Transfer-Encoding: gzip\r\n\r\n"), []int{400, 501}, ""},
		"a broken chunk":           {text(head + "Transfer-Encoding: chunked\r\n\r\nzz\r\n"), []int{400}, "MALFORMED_REQUEST"},
		"a line break in a header": {text("GET /v1/echo/x HTTP/1.1\r\nHost: x\r\nA: b\rc\r\n\r\n"), []int{400}, ""},
		"a zero in a header":       {text("GET /v1/echo/x HTTP/1.1\r\nHost: x\r\nA: b\x00\r\n\r\n"), []int{400}, ""},
		"a huge length":            {text(head + "Content-Length: 99999999999\r\n\r\n"), []int{413}, "BODY_TOO_LARGE"},
		"endless chunks":           {flood(head+"Transfer-Encoding: chunked\r\n\r\n"+chunk(`{"text":"`), chunk(strings.Repeat("x", 1000))), []int{413, 0}, ""},
		"endless headers":          {flood("GET /v1/echo/x HTTP/1.1\r\nHost: x\r\n", "A: "+strings.Repeat("b", 100)+"\r\n"), []int{431, 0}, ""},
		"an endless header":        {flood("GET /v1/echo/x HTTP/1.1\r\nHost: x\r\nA: ", strings.Repeat("b", 1000)), []int{431, 0}, ""},
		"an endless path":          {flood("GET /v1/echo/", strings.Repeat("b", 1000)), []int{431, 414, 0}, ""},
		"an endless first line":    {flood("", strings.Repeat("b", 1000)), []int{400, 431, 0}, ""},
		"headers that never end":   {text("GET /v1/echo/x HTTP/1.1\r\nHost: x\r\nA:"), []int{408, 0}, ""},
		"a body that never comes":  {text(head + "Content-Length: 20\r\n\r\n{"), []int{408}, "BODY_TIMEOUT"},
		"a chunk that never comes": {text(head + "Transfer-Encoding: chunked\r\n\r\n5\r\n{"), []int{408}, "BODY_TIMEOUT"},
		"half of a body": {func(c net.Conn) error {
			_, err := io.WriteString(c, head+"Content-Length: 20\r\n\r\n{")
			return errors.Join(err, c.(*net.TCPConn).CloseWrite())
		}, []int{400, 499}, ""},
		"half closed": {func(c net.Conn) error {
			_, err := io.WriteString(c, "GET /v1/echo/x HTTP/1.1\r\nHost: x\r\n\r\n")
			return errors.Join(err, c.(*net.TCPConn).CloseWrite())
		}, []int{200, 499}, ""},
		"deep nesting": {func(c net.Conn) error {
			body := `{"text":` + strings.Repeat("[", 4000)
			return text(head + "Content-Length: " + strconv.Itoa(len(body)) + "\r\n\r\n" + body)(c)
		}, []int{400}, "MALFORMED_REQUEST"},
		"a path that climbs":       {text("GET /v1/../../etc/passwd HTTP/1.1\r\nHost: x\r\n\r\n"), []int{400, 404}, ""},
		"a path of broken UTF-8":   {text("GET /v1/echo/%ff%fe HTTP/1.1\r\nHost: x\r\n\r\n"), []int{400}, "MALFORMED_REQUEST"},
		"a broken escape":          {text("GET /v1/echo/%zz HTTP/1.1\r\nHost: x\r\n\r\n"), []int{400}, ""},
		"an odd method":            {text("BREW /v1/echo HTTP/1.1\r\nHost: x\r\n\r\n"), []int{405, 501}, "METHOD_NOT_ALLOWED"},
		"a tunnel":                 {text("CONNECT x:443 HTTP/1.1\r\nHost: x:443\r\n\r\n"), []int{400, 404, 405}, ""},
		"another protocol":         {text("GET /v1/echo/x HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"), []int{200}, ""},
		"HTTP/2 without agreement": {text("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), []int{400, 404, 405, 505, 0}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			code, body := raw(t, s, tc.send)
			if !slices.Contains(tc.want, code) {
				t.Fatalf("%d %s, want one of %v", code, body, tc.want)
			}
			if !strings.Contains(body, tc.body) {
				t.Errorf("%d %s, want %q", code, body, tc.body)
			}
		})
	}
}

// TestFloodOfSlowClients holds many connections that send a byte now and then:
// others are answered meanwhile, memory stays bounded, and each slow one ends.
func TestFloodOfSlowClients(t *testing.T) {
	t.Parallel()
	s := servetest.Start(t, newEcho().service(), servetest.Options{Env: map[string]string{"REQUEST_TIMEOUT": "2s", "HEADER_TIMEOUT": "2s"}})
	before := heap()
	ended := make(chan int, 200)
	var wg sync.WaitGroup
	for i := range 200 {
		begin := head + "Content-Length: 100000\r\n\r\n{"
		if i%2 == 0 {
			begin = head + "A: "
		}
		wg.Go(func() {
			code, _ := raw(t, s, text(begin))
			ended <- code
		})
	}
	client := echopb.NewEchoServiceClient(s.Conn)
	for range 100 {
		if web, body := s.Do(t, http.MethodPost, "/v1/echo", `{"text":"x"}`); web.StatusCode != http.StatusOK {
			t.Fatalf("%s %s", web.Status, body)
		}
		if _, err := client.Echo(t.Context(), &echopb.EchoRequest{Text: "x"}); err != nil {
			t.Fatal(err)
		}
	}
	if grown := heap() - before; grown > 64<<20 {
		t.Errorf("200 slow clients hold %d MiB", grown>>20)
	}
	wg.Wait()
	close(ended)
	for code := range ended {
		if code != 0 && code != http.StatusRequestTimeout {
			t.Errorf("a slow client got %d", code)
		}
	}
}
