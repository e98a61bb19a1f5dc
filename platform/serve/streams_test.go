package serve_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/slipway-dev/slipway/platform/serve/internal/echopb"
	"github.com/slipway-dev/slipway/platform/serve/servetest"
)

// TestDrainTellsStreamsToReconnect drains under streams that listen and, with
// "deaf", under some that do not: both kinds of client are told the same, over
// both protocols, before the time is up.
func TestDrainTellsStreamsToReconnect(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ behave, shutdown string }{
		"that listen": {"", "20s"},
		"that do not": {"deaf", "2s"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := newEcho()
			s := servetest.Start(t, e.guarded(), servetest.Options{Env: map[string]string{"SHUTDOWN_TIMEOUT": tc.shutdown}})
			stream, err := echopb.NewGuardedServiceClient(s.Conn).Watch(t.Context(), &echopb.EchoRequest{Text: "x", Behave: tc.behave})
			if err != nil {
				t.Fatal(err)
			}
			lines := watchREST(t, s, tc.behave)
			if first := <-lines; !strings.Contains(first, `{"result":{"text":"x"`) {
				t.Errorf("first line %s", first)
			}
			until(t, "streams", func() bool { return e.held.Load() == 2 })
			if err := s.Stop(); err != nil {
				t.Errorf("drain: %v", err)
			}
			if _, err := stream.Recv(); err != nil {
				t.Errorf("first message: %v", err)
			}
			_, err = stream.Recv()
			reconnect(t, status.Convert(err))
			reconnectLine(t, lines)
		})
	}
}

// TestOldStreamsAreToldToReconnect lets nothing drain: a load balancer that takes
// a task out says nothing to it before it cuts its streams off.
func TestOldStreamsAreToldToReconnect(t *testing.T) {
	t.Parallel()
	e := newEcho()
	s := servetest.Start(t, e.guarded(), servetest.Options{Env: map[string]string{"STREAM_MAX_AGE": "50ms"}})
	stream, err := echopb.NewGuardedServiceClient(s.Conn).Watch(t.Context(), &echopb.EchoRequest{Text: "x"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Recv(); err != nil {
		t.Errorf("first message: %v", err)
	}
	_, err = stream.Recv()
	reconnect(t, status.Convert(err))
	lines := watchREST(t, s, "")
	<-lines
	reconnectLine(t, lines)
}

// reconnectLine wants RECONNECT to be the last of a stream's lines.
func reconnectLine(t *testing.T, lines <-chan string) {
	t.Helper()
	var last struct{ Error restStatus }
	text := <-lines
	if err := json.Unmarshal([]byte(text), &last); err != nil {
		t.Fatalf("last line %q: %v", text, err)
	}
	if last.Error.Code != int(codes.Unavailable) || !strings.Contains(text, `"reason":"RECONNECT"`) || !strings.Contains(text, "retryDelay") {
		t.Errorf("last line %s", text)
	}
	if more, ok := <-lines; ok {
		t.Errorf("a line behind the last: %s", more)
	}
}

// watchREST reads a stream's lines.
func watchREST(t *testing.T, s *servetest.Server, behave string) <-chan string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL+"/v1/guarded/x:watch?behave="+behave, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+s.Token(t, servetest.Claims{"scope": "guarded.read"}))
	resp, err := s.Client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	lines := make(chan string)
	go func() {
		defer resp.Body.Close()
		defer close(lines)
		for scan := bufio.NewScanner(resp.Body); scan.Scan(); {
			if scan.Text() != "" {
				lines <- scan.Text()
			}
		}
	}()
	return lines
}

func reconnect(t *testing.T, st *status.Status) {
	t.Helper()
	reason, pause := "", time.Duration(0)
	for _, d := range st.Details() {
		switch d := d.(type) {
		case *errdetails.ErrorInfo:
			reason = d.GetReason()
		case *errdetails.RetryInfo:
			pause = d.GetRetryDelay().AsDuration()
		}
	}
	if st.Code() != codes.Unavailable || reason != "RECONNECT" || pause <= 0 || pause > time.Second {
		t.Errorf("%v, reason %q, pause %v", st, reason, pause)
	}
}

// TestDrainWaitsForStreams lets one end in its own time.
func TestDrainWaitsForStreams(t *testing.T) {
	t.Parallel()
	e := newEcho()
	s := servetest.Start(t, e.guarded())
	stream, err := echopb.NewGuardedServiceClient(s.Conn).Watch(t.Context(), &echopb.EchoRequest{Text: "x", Behave: "deaf"})
	if err != nil {
		t.Fatal(err)
	}
	lines := watchREST(t, s, "deaf")
	<-lines
	until(t, "streams", func() bool { return e.held.Load() == 2 })
	stopped := make(chan error, 1)
	go func() { stopped <- s.Stop() }()
	until(t, "drain", func() bool { return strings.Contains(s.Logs(), `"msg":"draining"`) })
	close(e.release)
	if _, err := stream.Recv(); err != nil {
		t.Error(err)
	}
	if _, err := stream.Recv(); !errors.Is(err, io.EOF) {
		t.Errorf("the stream was not let end: %v", err)
	}
	if line, ok := <-lines; ok {
		t.Errorf("the REST stream was not let end: %s", line)
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}

// TestClientThatLeavesIsNoFault goes away from a running request, over both
// protocols: it is logged as cancelled, not as an error.
func TestClientThatLeavesIsNoFault(t *testing.T) {
	t.Parallel()
	e := newEcho()
	s := servetest.Start(t, e.service())
	ctx, leave := context.WithCancel(t.Context())
	go func() {
		until(t, "requests", func() bool { return e.held.Load() == 2 })
		leave()
	}()
	done := make(chan error, 1)
	go func() {
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.URL+"/v1/echo", strings.NewReader(`{"text":"x","behave":"hold"}`))
		if err == nil {
			req.Header.Set("Content-Type", "application/json")
			var resp *http.Response
			if resp, err = s.Client.Do(req); err == nil {
				_ = resp.Body.Close()
			}
		}
		done <- err
	}()
	_, err := echopb.NewEchoServiceClient(s.Conn).Echo(metadata.AppendToOutgoingContext(ctx, "x-request-id", "left"), &echopb.EchoRequest{Text: "x", Behave: "hold"})
	if status.Code(err) != codes.Canceled || <-done == nil {
		t.Errorf("got %v", err)
	}
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	cancelled := 0
	for _, line := range logLines(t, s.Logs()) {
		if line["msg"] == "request" && line["code"] == "Canceled" && line["level"] == "INFO" {
			cancelled++
			if line["protocol"] == "rest" && line["status"] != float64(499) {
				t.Errorf("logged as %v", line)
			}
		}
		if line["level"] == "ERROR" || line["level"] == "WARN" {
			t.Errorf("logged as our fault: %v", line)
		}
	}
	if cancelled != 2 {
		t.Errorf("%d requests are logged as cancelled, want 2", cancelled)
	}
}
