package gateway

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/jonboulle/clockwork"
)

// upload is a client that sends a body piece by piece, by a clock of the test.
type upload struct {
	*bundle
	clock *clockwork.FakeClock
	conn  net.Conn
	sent  int64
}

// uploading begins a request with a body of so many bytes.
func uploading(t *testing.T, size int, handler http.HandlerFunc) *upload {
	t.Helper()
	u := &upload{clock: clockwork.NewFakeClock()}
	u.bundle = setup(t, Config{Clock: u.clock})
	u.linger = 50 * time.Millisecond
	u.group(nil)
	u.backend("a", handler)
	var err error
	if u.conn, err = net.Dial("tcp", strings.TrimPrefix(u.url, "http://")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { u.conn.Close() })
	if err := u.conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(u.conn, "POST /v1/products HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", size)
	return u
}

// send sends so many bytes and waits until the gateway has them.
func (u *upload) send(n int) {
	u.t.Helper()
	if _, err := io.WriteString(u.conn, strings.Repeat("x", n)); err != nil {
		u.t.Fatal(err)
	}
	u.sent += int64(n)
	poll(u.t, func() bool { return u.arrived() == u.sent })
}

// arrived is how much of the body under way the gateway has read.
func (u *upload) arrived() (read int64) {
	u.mu.Lock()
	gr := u.groups[groupARN]
	u.mu.Unlock()
	gr.mu.Lock()
	defer gr.mu.Unlock()
	for f := range gr.targets["a"].flights {
		f.body.mu.Lock()
		read = f.body.read
		f.body.mu.Unlock()
	}
	return read
}

// answer waits for the answer while the clock goes on.
func (u *upload) answer() (res *http.Response, body string) {
	u.t.Helper()
	done := make(chan error, 1)
	go func() {
		var raw []byte
		var err error
		if res, err = http.ReadResponse(bufio.NewReader(u.conn), nil); err == nil {
			raw, err = io.ReadAll(res.Body)
			body = string(raw)
		}
		done <- err
	}()
	poll(u.t, func() bool {
		select {
		case err := <-done:
			if err != nil {
				u.t.Fatalf("no whole answer: %v", err)
			}
			return true
		default:
			u.clock.Advance(100 * time.Millisecond)
			return false
		}
	})
	return res, body
}

func whole(w http.ResponseWriter, r *http.Request) {
	n, err := io.Copy(io.Discard, r.Body)
	fmt.Fprint(w, n, err)
}

func TestABodyThatComesTooSlowlyIs408(t *testing.T) {
	u := uploading(t, 1<<20, whole)
	began := u.clock.Now()
	u.send(1500)
	res, body := u.answer()
	if res.StatusCode != http.StatusRequestTimeout || !strings.Contains(body, `"code":408`) || !strings.Contains(body, "too slowly") {
		t.Errorf("got %d %s", res.StatusCode, body)
	}
	if took := u.clock.Since(began); took < 23*time.Second {
		t.Errorf("gave up after %s, 1500 bytes buy three seconds beyond the 20", took)
	}
	poll(t, func() bool { return u.Metrics()[groupARN].Gateway["408"] == 1 })
}

func TestALongUploadAtADecentRatePasses(t *testing.T) {
	const seconds = 120
	read := make(chan struct{})
	u := uploading(t, 500*seconds, func(w http.ResponseWriter, r *http.Request) {
		n, _ := io.Copy(io.Discard, r.Body)
		read <- struct{}{}
		<-read // the limit is the body's, not the answer's
		fmt.Fprint(w, n)
	})
	for range seconds - 1 {
		u.send(500)
		u.clock.Advance(time.Second)
	}
	fmt.Fprint(u.conn, strings.Repeat("x", 500))
	<-read
	for range 10 {
		u.clock.Advance(30 * time.Second)
	}
	close(read)
	if res, body := u.answer(); res.StatusCode != http.StatusOK || body != fmt.Sprint(500*seconds) {
		t.Errorf("got %d %s", res.StatusCode, body)
	}
}

// TestAnAnswerBeforeTheEndOfTheBody: a target that refuses a body early is
// heard, though the client sends no more of it.
func TestAnAnswerBeforeTheEndOfTheBody(t *testing.T) {
	u := uploading(t, 1<<20, func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "too large", http.StatusRequestEntityTooLarge)
	})
	fmt.Fprint(u.conn, strings.Repeat("x", 40<<10))
	res, err := http.ReadResponse(bufio.NewReader(u.conn), nil) // the clock stands
	if err != nil || res.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("got %v, %v", res, err)
	}
}

func TestASlowBodyOverHTTP2(t *testing.T) {
	b := setup(t, Config{BodyPace: BodyPace{Grace: 50 * time.Millisecond}})
	b.group(nil)
	b.backend("a", whole)
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	client := &http.Client{Transport: &http.Transport{Protocols: protocols}}
	defer client.CloseIdleConnections()
	body, more := io.Pipe()
	defer more.Close()
	go func() { _, _ = io.WriteString(more, "x") }()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, b.url+"/v1/products", body)
	if err != nil {
		t.Fatal(err)
	}
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusRequestTimeout {
		t.Errorf("got %d", res.StatusCode)
	}
}

func TestOversizedHeads(t *testing.T) {
	b := setup(t, Config{})
	b.group(nil)
	b.backend("a", func(http.ResponseWriter, *http.Request) {})
	many := func(kib int) string {
		return strings.Repeat("X-Many: "+strings.Repeat("m", 1014)+"\r\n", kib)
	}
	tests := map[string]struct {
		path, head string
		code       int
		says       string
	}{
		"usual":                  {"/", many(29), 200, ""},
		"address":                {"/" + strings.Repeat("a", maxLine), "", 414, "address is longer"},
		"line":                   {"/", "X-Long: " + strings.Repeat("l", maxLine) + "\r\n", 400, "X-Long is longer"},
		"more than services do":  {"/", many(40), 431, "together"},
		"more than the balancer": {"/", many(100), 431, "431"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			conn, err := net.Dial("tcp", strings.TrimPrefix(b.url, "http://"))
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: x\r\n%sConnection: close\r\n\r\n", tt.path, tt.head)
			res, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(res.Body)
			if err != nil || res.StatusCode != tt.code || !strings.Contains(string(body), tt.says) {
				t.Errorf("got %d %s, %v", res.StatusCode, body, err)
			}
		})
	}
}
