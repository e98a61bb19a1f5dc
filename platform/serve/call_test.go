package serve_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/slipway-dev/slipway/platform/serve/internal/echopb"
	"github.com/slipway-dev/slipway/platform/serve/servetest"
)

func TestEchoOverBothProtocols(t *testing.T) {
	t.Parallel()
	s := servetest.Start(t, newEcho().service())
	resp, err := echopb.NewEchoServiceClient(s.Conn).Echo(t.Context(), &echopb.EchoRequest{Text: "hi"})
	if err != nil || resp.GetText() != "hi" {
		t.Fatalf("gRPC: %v, %v", resp, err)
	}
	web, body := s.Do(t, http.MethodPost, "/v1/echo", `{"text":"hi"}`)
	if web.StatusCode != http.StatusOK || !strings.Contains(body, `"text":"hi"`) {
		t.Fatalf("REST: %s %s", web.Status, body)
	}
	if web, body = s.Do(t, http.MethodGet, "/v1/echo/hi%20there", ""); !strings.Contains(body, `"hi there"`) {
		t.Fatalf("REST: %s %s", web.Status, body)
	}
}

func TestRequestID(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		given string
		kept  bool
	}{
		"taken over":    {"req-1.2_3", true},
		"none":          {"", false},
		"with a blank":  {"a b", false},
		"far too long":  {strings.Repeat("x", 129), false},
		"not in ASCII":  {"äöü", false},
		"with a quote":  {`a"b`, false},
		"trace id form": {"1-67891233-abcdef012345678912345678", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := servetest.Start(t, newEcho().service())
			var header, trailer metadata.MD
			ctx := t.Context()
			if tc.given != "" && name != "not in ASCII" {
				ctx = metadata.AppendToOutgoingContext(ctx, "x-request-id", tc.given)
			}
			resp, err := echopb.NewEchoServiceClient(s.Conn).Echo(ctx, &echopb.EchoRequest{Text: "x"}, grpc.Header(&header), grpc.Trailer(&trailer))
			if err != nil {
				t.Fatal(err)
			}
			id := resp.GetRequestId()
			if id == "" || (id == tc.given) != tc.kept {
				t.Errorf("gRPC: id is %q for %q", id, tc.given)
			}
			if h, tr := header.Get("x-request-id"), trailer.Get("x-request-id"); len(h) != 1 || len(tr) != 1 || h[0] != id || tr[0] != id {
				t.Errorf("gRPC: header %v and trailer %v, want %q once in each", h, tr, id)
			}
			web, body := s.Do(t, http.MethodPost, "/v1/echo", `{"text":"x"}`, "X-Request-Id", tc.given)
			id = web.Header.Get("X-Request-Id")
			if (id == tc.given) != tc.kept || !strings.Contains(body, `"requestId":"`+id+`"`) {
				t.Errorf("REST: id is %q for %q: %s", id, tc.given, body)
			}
			if len(web.Header.Values("X-Request-Id")) != 1 {
				t.Errorf("REST: header is repeated: %v", web.Header)
			}
			if err := s.Stop(); err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(s.Logs(), `"request_id":"`+id+`"`) {
				t.Errorf("the log lacks request id %q", id)
			}
		})
	}
}

func TestDeadlines(t *testing.T) {
	t.Parallel()
	s := servetest.Start(t, newEcho().service(), servetest.Options{Env: map[string]string{
		"REQUEST_TIMEOUT": "5s", "REQUEST_TIMEOUT_MAX": "20s", "STREAM_TIMEOUT": "100ms",
	}})
	client := echopb.NewEchoServiceClient(s.Conn)
	for name, tc := range map[string]struct {
		asked    time.Duration
		min, max int64 // milliseconds the handler sees
	}{
		"default": {0, 1, 5_000},
		"shorter": {2 * time.Second, 1, 2_000},
		"longer":  {15 * time.Second, 5_001, 15_000},
		"capped":  {time.Hour, 5_001, 20_000},
	} {
		ctx := t.Context()
		if tc.asked > 0 {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(ctx, tc.asked)
			defer cancel()
		}
		resp, err := client.Echo(ctx, &echopb.EchoRequest{Text: "x"})
		if err != nil {
			t.Fatal(err)
		}
		if got := resp.GetDeadlineMs(); got < tc.min || got > tc.max {
			t.Errorf("%s: the handler has %d ms, want %d to %d", name, got, tc.min, tc.max)
		}
	}
	if web, body := s.Do(t, http.MethodPost, "/v1/echo", `{"text":"x","behave":"wait"}`, "Grpc-Timeout", "30m"); web.StatusCode != http.StatusGatewayTimeout || !strings.Contains(body, "DEADLINE_EXCEEDED") {
		t.Errorf("REST past the deadline: %s %s", web.Status, body)
	}
	stream, err := client.Count(t.Context(), &echopb.EchoRequest{Text: "x", Behave: "wait"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err = stream.Recv(); status.Code(err) != codes.DeadlineExceeded {
		t.Errorf("stream past its limit: %v", err)
	}
}

func TestPanicIsContained(t *testing.T) {
	t.Parallel()
	s := servetest.Start(t, newEcho().service())
	client := echopb.NewEchoServiceClient(s.Conn)
	_, err := client.Echo(t.Context(), &echopb.EchoRequest{Text: "x", Behave: "panic"})
	scrubbed(t, "unary", err)
	stream, err := client.Count(t.Context(), &echopb.EchoRequest{Text: "x", Behave: "panic"})
	if err != nil {
		t.Fatal(err)
	}
	_, err = stream.Recv()
	scrubbed(t, "stream", err)
	web, body := s.Do(t, http.MethodPost, "/v1/echo", `{"text":"x","behave":"panic"}`, "X-Request-Id", "find-me")
	if web.StatusCode != http.StatusInternalServerError || strings.Contains(body, secretText) {
		t.Errorf("REST: %s %s", web.Status, body)
	}
	if _, err := client.Echo(t.Context(), &echopb.EchoRequest{Text: "still here"}); err != nil {
		t.Errorf("after the panics: %v", err)
	}
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	for _, line := range logLines(t, s.Logs()) {
		if line["msg"] == "panic" && line["request_id"] == "find-me" && strings.Contains(line["stack"].(string), "behave") {
			return
		}
	}
	t.Error("no log line with the panic, its stack and its request id")
}

func TestUnknownErrorIsScrubbedAndLogged(t *testing.T) {
	t.Parallel()
	s := servetest.Start(t, newEcho().service())
	client := echopb.NewEchoServiceClient(s.Conn)
	_, err := client.Echo(t.Context(), &echopb.EchoRequest{Text: "x", Behave: "unknown"})
	scrubbed(t, "unary", err)
	_, err = client.Echo(t.Context(), &echopb.EchoRequest{Text: "x", Behave: "status"})
	if st := status.Convert(err); st.Code() != codes.NotFound || st.Message() != "no such thing" {
		t.Errorf("a wrapped status reached the caller as %v", err)
	}
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	requests := 0
	for _, line := range logLines(t, s.Logs()) {
		if line["msg"] == "request" {
			requests++
			if !strings.Contains(line["error"].(string), secretText) {
				t.Errorf("the log lacks the cause: %v", line)
			}
		}
	}
	if requests != 2 {
		t.Errorf("%d log lines for 2 requests", requests)
	}
}

func TestValidation(t *testing.T) {
	t.Parallel()
	s := servetest.Start(t, newEcho().service())
	client := echopb.NewEchoServiceClient(s.Conn)
	_, err := client.Echo(t.Context(), &echopb.EchoRequest{Times: -1})
	st := status.Convert(err)
	var fields []string
	reason := ""
	for _, d := range st.Details() {
		switch d := d.(type) {
		case *errdetails.BadRequest:
			for _, v := range d.GetFieldViolations() {
				fields = append(fields, v.GetField()+" "+v.GetReason())
			}
		case *errdetails.ErrorInfo:
			reason = d.GetDomain() + "/" + d.GetReason()
		}
	}
	if got := strings.Join(fields, ", "); st.Code() != codes.InvalidArgument || got != "text STRING_MIN_LEN, times INT32_GTE_LTE" || reason != "echo.slipway/INVALID_FIELDS" {
		t.Errorf("got %v, fields %q, reason %q", st, got, reason)
	}
	chat, err := client.Chat(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(chat.Send(&echopb.EchoRequest{Text: "fine"}), chat.Send(&echopb.EchoRequest{}), chat.CloseSend()); err != nil {
		t.Fatal(err)
	}
	if resp, err := chat.Recv(); err != nil || resp.GetRequestId() == "" {
		t.Errorf("first message of the stream: %v, %v", resp, err)
	}
	if _, err := chat.Recv(); status.Code(err) != codes.InvalidArgument {
		t.Errorf("invalid message in a stream: %v", err)
	}
}

func TestServerStreamOverREST(t *testing.T) {
	t.Parallel()
	s := servetest.Start(t, newEcho().service())
	web, body := s.Do(t, http.MethodGet, "/v1/echo/n:count?times=3", "")
	if web.StatusCode != http.StatusOK || strings.Count(body, `{"result":`) != 3 {
		t.Errorf("%s %s", web.Status, body)
	}
}

func TestHeadersPassByAllowListOnly(t *testing.T) {
	t.Parallel()
	s := servetest.Start(t, newEcho().service())
	web, _ := s.Do(t, http.MethodPost, "/v1/echo", `{"text":"x","behave":"header"}`)
	if web.Header.Get("ETag") != `"7"` {
		t.Errorf("the etag is lost: %v", web.Header)
	}
	for name := range web.Header {
		if strings.Contains(strings.ToLower(name), "private") || strings.HasPrefix(name, "Grpc-") {
			t.Errorf("header %s leaked", name)
		}
	}
}

func TestProbes(t *testing.T) {
	t.Parallel()
	s := servetest.Start(t, newEcho().service())
	for path, want := range map[string]string{
		"/healthz": `{"status":"ready"}`, "/livez": `{"status":"alive"}`, "/openapi.json": `{"openapi":"3.1.0"}`,
	} {
		if web, body := s.Do(t, http.MethodGet, path, ""); web.StatusCode != http.StatusOK || strings.TrimSpace(body) != want {
			t.Errorf("%s: %s %s", path, web.Status, body)
		}
	}
	health := healthpb.NewHealthClient(s.Conn)
	for service, want := range map[string]codes.Code{"": codes.OK, "slipway.serve.echo.EchoService": codes.OK, "nobody": codes.NotFound} {
		resp, err := health.Check(t.Context(), &healthpb.HealthCheckRequest{Service: service})
		if status.Code(err) != want || (err == nil && resp.GetStatus() != healthpb.HealthCheckResponse_SERVING) {
			t.Errorf("health of %q: %v, %v", service, resp, err)
		}
	}
	watch, err := health.Watch(t.Context(), &healthpb.HealthCheckRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if resp, err := watch.Recv(); err != nil || resp.GetStatus() != healthpb.HealthCheckResponse_SERVING {
		t.Errorf("watch: %v, %v", resp, err)
	}
	if err := s.Stop(); err != nil { // an open watch must not hold up the drain
		t.Fatal(err)
	}
	for err == nil {
		_, err = watch.Recv()
	}
	if status.Code(err) != codes.Unavailable {
		t.Errorf("watch ended with %v", err)
	}
	if strings.Contains(s.Logs(), "healthz") || strings.Contains(s.Logs(), "grpc.health") {
		t.Error("probes are logged")
	}
}

// scrubbed checks that a caller sees INTERNAL and no more.
func scrubbed(t *testing.T, what string, err error) {
	t.Helper()
	if status.Code(err) != codes.Internal || strings.Contains(err.Error(), secretText) {
		t.Errorf("%s: got %v, want a scrubbed INTERNAL", what, err)
	}
}

// logLines decodes the log; a line that is not JSON fails the test.
func logLines(t *testing.T, text string) []map[string]any {
	t.Helper()
	var lines []map[string]any
	d := json.NewDecoder(strings.NewReader(text))
	for {
		var line map[string]any
		err := d.Decode(&line)
		if errors.Is(err, io.EOF) {
			return lines
		}
		if err != nil {
			t.Fatalf("the log is not JSON: %v", err)
		}
		lines = append(lines, line)
	}
}
