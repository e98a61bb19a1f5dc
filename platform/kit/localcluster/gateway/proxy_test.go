package gateway

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// get asks the gateway and returns the status and the body.
func (b *bundle) get(path string, header ...string) (int, string) {
	b.t.Helper()
	req, err := http.NewRequestWithContext(b.t.Context(), http.MethodGet, b.url+path, nil)
	if err != nil {
		b.t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Add(header[i], header[i+1])
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		b.t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return res.StatusCode, string(body)
}

func TestWhatTheTargetSees(t *testing.T) {
	b := setup(t, Config{})
	b.group(nil)
	seen := make(chan *http.Request, 1)
	b.backend("a", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Custom", "kept")
		seen <- r
	})
	code, _ := b.get("/v1/a%2Fb//c?x=1;y=%zz&z", "X-Forwarded-For", "10.0.0.9", "X-Amzn-Trace-Id", "Root=1-67891233-abcdef012345678912345678;Self=1-0-0;From=app")
	r := <-seen
	if code != 200 {
		t.Fatalf("status %d", code)
	}
	if r.RequestURI != "/v1/a%2Fb//c?x=1;y=%zz&z" {
		t.Errorf("the address was changed to %s", r.RequestURI)
	}
	if want := strings.TrimPrefix(b.url, "http://"); r.Host != want {
		t.Errorf("host %q, want the client's %q", r.Host, want)
	}
	_, port, _ := net.SplitHostPort(r.Host)
	for name, want := range map[string]string{
		"X-Forwarded-For":   `^10\.0\.0\.9, 127\.0\.0\.1$`,
		"X-Forwarded-Proto": `^http$`,
		"X-Forwarded-Port":  `^` + port + `$`,
		"X-Amzn-Trace-Id":   `^Self=1-[0-9a-f]{8}-[0-9a-f]{24};Root=1-67891233-abcdef012345678912345678;From=app$`,
	} {
		if got := r.Header.Get(name); !regexp.MustCompile(want).MatchString(got) {
			t.Errorf("%s is %q, want %s", name, got, want)
		}
	}
	if r.ContentLength != 0 || len(r.TransferEncoding) != 0 {
		t.Errorf("a GET got a body: length %d, encoding %v", r.ContentLength, r.TransferEncoding)
	}
	if got := traceHeader("", time.Unix(0x67891233, 0)); !regexp.MustCompile(`^Root=1-67891233-[0-9a-f]{24}$`).MatchString(got) {
		t.Errorf("a new trace is %q", got)
	}
}

func TestAnswersWithoutATarget(t *testing.T) {
	b := setup(t, Config{})
	if code, body := b.get("/"); code != 404 || !strings.Contains(body, "no rule matches") {
		t.Errorf("no rule: %d %s", code, body)
	}
	b.group(nil)
	if code, body := b.get("/"); code != 503 || !strings.Contains(body, "no healthy target") {
		t.Errorf("no target: %d %s", code, body)
	}
	if err := b.PutRule(Rule{ID: "catalog", Priority: 1, Forward: []WeightedGroup{{groupARN, 0}}}); err != nil {
		t.Fatal(err)
	}
	if code, _ := b.get("/"); code != 503 {
		t.Errorf("no weight: %d", code)
	}
	if err := b.PutRule(Rule{ID: "catalog", Priority: 1, Fixed: &FixedResponse{StatusCode: 418, Body: "tea"}}); err != nil {
		t.Fatal(err)
	}
	if code, body := b.get("/"); code != 418 || body != "tea" {
		t.Errorf("fixed response: %d %s", code, body)
	}
	if m := b.Metrics()[groupARN]; m.Requests != 1 || m.Gateway["503"] != 1 {
		t.Errorf("metrics: %+v", m)
	}
}

// TestARefusedConnectionTakesTheTargetOut: the client gets 502 and, without
// waiting for the next health check, nobody after it.
func TestARefusedConnectionTakesTheTargetOut(t *testing.T) {
	b := setup(t, Config{})
	b.group(func(tg *TargetGroup) { tg.HealthCheck.Interval = time.Hour })
	srv := b.backend("a", func(http.ResponseWriter, *http.Request) {})
	srv.Close()
	if code, body := b.get("/"); code != 502 || !strings.Contains(body, "connection refused") {
		t.Fatalf("got %d %s", code, body)
	}
	b.await("a", StateUnhealthy)
	if code, _ := b.get("/"); code != 503 {
		t.Fatalf("got %d from a group whose only target is unhealthy", code)
	}
}

func TestASilentTargetIs504(t *testing.T) {
	b := setup(t, Config{})
	b.group(func(tg *TargetGroup) { tg.IdleTimeout = 50 * time.Millisecond })
	b.backend("a", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	if code, _ := b.get("/"); code != 504 {
		t.Fatalf("got %d", code)
	}
}

// TestNothingIsSentTwice: a target that takes a request on a kept connection
// and breaks it has had that request once.
func TestNothingIsSentTwice(t *testing.T) {
	b := setup(t, Config{})
	b.group(func(tg *TargetGroup) { tg.HealthCheck.Interval = time.Hour })
	var broken atomic.Int32
	b.backend("a", func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/break" {
			return
		}
		broken.Add(1)
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		conn.Close()
	})
	for _, key := range []string{"", "k1"} {
		b.get("/warm") // leaves an idle connection behind
		broken.Store(0)
		header := []string{"X-Any", "1"}
		if key != "" {
			header = []string{"Idempotency-Key", key}
		}
		if code, _ := b.get("/break", header...); code != 502 {
			t.Errorf("got %d", code)
		}
		if n := broken.Load(); n != 1 {
			t.Errorf("the request was sent %d times", n)
		}
	}
}

func TestStreamsAsItComes(t *testing.T) {
	b := setup(t, Config{})
	b.group(nil)
	next := make(chan struct{})
	b.backend("a", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Trailer", "X-Sum")
		for i := range 3 {
			fmt.Fprintf(w, "line %d\n", i)
			_ = http.NewResponseController(w).Flush()
			<-next
		}
		w.Header().Set("X-Sum", "42")
	})
	res, err := http.Get(b.url + "/stream")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	lines := bufio.NewScanner(res.Body)
	for i := range 3 {
		if !lines.Scan() || lines.Text() != fmt.Sprintf("line %d", i) {
			t.Fatalf("line %d: %q", i, lines.Text())
		}
		next <- struct{}{} // the target goes on only after the line has arrived
	}
	if lines.Scan() || res.Trailer.Get("X-Sum") != "42" {
		t.Fatalf("trailer %v", res.Trailer)
	}
}

func TestUpgradedConnection(t *testing.T) {
	b := setup(t, Config{})
	b.group(nil)
	b.backend("a", func(w http.ResponseWriter, _ *http.Request) {
		conn, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		fmt.Fprint(rw, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
		_ = rw.Flush()
		_, _ = io.Copy(conn, rw)
	})
	conn, err := net.Dial("tcp", strings.TrimPrefix(b.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprint(conn, "GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
	r := bufio.NewReader(conn)
	res, err := http.ReadResponse(r, nil)
	if err != nil || res.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("got %v, %v", res, err)
	}
	fmt.Fprint(conn, "hello\n")
	if line, err := r.ReadString('\n'); err != nil || line != "hello\n" {
		t.Fatalf("got %q, %v", line, err)
	}
}

// TestHTTP2ToAnHTTPGroup: one listener takes both versions of HTTP, whatever
// the targets speak.
func TestHTTP2ToAnHTTPGroup(t *testing.T) {
	b := setup(t, Config{})
	b.group(nil)
	b.backend("a", func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.Proto) })
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	client := &http.Client{Transport: &http.Transport{Protocols: protocols}}
	defer client.CloseIdleConnections()
	res, err := client.Post(b.url+"/v1/products", "application/json", strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil || res.ProtoMajor != 2 || string(body) != "HTTP/1.1" {
		t.Errorf("client saw %s, the target %s, %v", res.Proto, body, err)
	}
}
