package serve_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/slipway-dev/slipway/platform/serve/errs"
	"github.com/slipway-dev/slipway/platform/serve/internal/echopb"
	"github.com/slipway-dev/slipway/platform/serve/servetest"
)

// restStatus is the body of every REST error.
type restStatus struct {
	Code    int              `json:"code"`
	Message string           `json:"message"`
	Details []map[string]any `json:"details"`
}

// TestErrorKinds is exhaustive: a kind without a row fails.
func TestErrorKinds(t *testing.T) {
	t.Parallel()
	want := map[errs.Kind]struct {
		code codes.Code
		http int
	}{
		errs.Unknown:            {codes.Internal, 500},
		errs.InvalidArgument:    {codes.InvalidArgument, 400},
		errs.NotFound:           {codes.NotFound, 404},
		errs.AlreadyExists:      {codes.AlreadyExists, 409},
		errs.Conflict:           {codes.Aborted, 409},
		errs.FailedPrecondition: {codes.FailedPrecondition, 400},
		errs.PermissionDenied:   {codes.PermissionDenied, 403},
		errs.Unauthenticated:    {codes.Unauthenticated, 401},
		errs.ResourceExhausted:  {codes.ResourceExhausted, 429},
		errs.Unavailable:        {codes.Unavailable, 503},
		errs.DeadlineExceeded:   {codes.DeadlineExceeded, 504},
		errs.Canceled:           {codes.Canceled, 499},
		errs.Internal:           {codes.Internal, 500},
		errs.Unimplemented:      {codes.Unimplemented, 501},
		errs.OutOfRange:         {codes.OutOfRange, 400},
		errs.Overloaded:         {codes.ResourceExhausted, 503},
	}
	s := servetest.Start(t, newEcho().service())
	client := echopb.NewEchoServiceClient(s.Conn)
	for _, kind := range errs.Kinds() {
		row, ok := want[kind]
		if !ok {
			t.Errorf("kind %v has no row", kind)
			continue
		}
		behave := fmt.Sprintf("kind:%d", kind)
		_, err := client.Echo(t.Context(), &echopb.EchoRequest{Text: "x", Behave: behave})
		if got := status.Code(err); got != row.code {
			t.Errorf("%v over gRPC: %v, want %v", kind, got, row.code)
		}
		web, body := s.Do(t, http.MethodPost, "/v1/echo", `{"text":"x","behave":"`+behave+`"}`)
		var got restStatus
		if err := json.Unmarshal([]byte(body), &got); err != nil {
			t.Fatalf("%v: %s is not a status: %v", kind, body, err)
		}
		if web.StatusCode != row.http || got.Code != int(row.code) {
			t.Errorf("%v over REST: %s %s, want %d", kind, web.Status, body, row.http)
		}
		if strings.Contains(body, secretText) || strings.Contains(fmt.Sprint(err), secretText) {
			t.Errorf("%v: the cause leaks: %s", kind, body)
		}
		if row.code == codes.Internal {
			if strings.Contains(body, "the echo refuses") {
				t.Errorf("%v is not scrubbed: %s", kind, body)
			}
			continue
		}
		info := fmt.Sprint(got.Details)
		for _, part := range []string{"ECHO_REFUSED", "domain:echo.slipway", "shout:no", "field:text", "too loud", "retryDelay:1.500s"} {
			if !strings.Contains(info, part) {
				t.Errorf("%v: the details lack %q: %s", kind, part, body)
			}
		}
		if web.Header.Get("Retry-After") != "2" {
			t.Errorf("%v: Retry-After is %q", kind, web.Header.Get("Retry-After"))
		}
	}
}

func TestBadRequestsGetAStatus(t *testing.T) {
	t.Parallel()
	const limit = 2048
	const post = http.MethodPost
	s := servetest.Start(t, newEcho().service(), servetest.Options{Env: map[string]string{"MAX_REQUEST_BYTES": fmt.Sprint(limit)}})
	for name, tc := range map[string]struct {
		method, path, body, contentType string
		http                            int
		reason                          string
	}{
		"no such route":     {http.MethodGet, "/v1/nothing", "", "", 404, "ROUTE_NOT_FOUND"},
		"root":              {http.MethodGet, "/", "", "", 404, "ROUTE_NOT_FOUND"},
		"wrong method":      {http.MethodDelete, "/v1/echo", "", "", 405, "METHOD_NOT_ALLOWED"},
		"form":              {post, "/v1/echo", "text=x", "application/x-www-form-urlencoded", 415, "UNSUPPORTED_MEDIA_TYPE"},
		"broken media type": {post, "/v1/echo", "{}", "json;;", 415, "UNSUPPORTED_MEDIA_TYPE"},
		"not JSON":          {post, "/v1/echo", "{", "application/json", 400, "MALFORMED_REQUEST"},
		"empty body":        {post, "/v1/echo", "", "", 400, "INVALID_FIELDS"},
		"wrong type":        {post, "/v1/echo", `{"text":5}`, "application/json", 400, "MALFORMED_REQUEST"},
		"unknown field":     {post, "/v1/echo", `{"txet":"x"}`, "application/json", 400, "MALFORMED_REQUEST"},
		"two values":        {post, "/v1/echo", `{"text":"x"} {"text":"y"}`, "application/json", 400, "MALFORMED_REQUEST"},
		"value and junk":    {post, "/v1/echo", `{"text":"x"}}`, "application/json", 400, "MALFORMED_REQUEST"},
		"far behind":        {post, "/v1/echo", `{"text":"x"}` + strings.Repeat(" ", limit-20) + "!", "application/json", 400, "MALFORMED_REQUEST"},
		"space behind":      {post, "/v1/echo", `{"text":"x"}` + strings.Repeat(" \n", limit/4), "application/json", 200, ""},
		"number too big":    {post, "/v1/echo", `{"text":"x","times":99999999999}`, "application/json", 400, "MALFORMED_REQUEST"},
		"invalid UTF-8":     {post, "/v1/echo", "{\"text\":\"\xff\xfe\"}", "application/json", 400, "MALFORMED_REQUEST"},
		"deep nesting":      {post, "/v1/echo", strings.Repeat("[", limit-10), "application/json", 400, "MALFORMED_REQUEST"},
		"too large":         {post, "/v1/echo", `{"text":"` + strings.Repeat("x", limit) + `"}`, "application/json", 413, "BODY_TOO_LARGE"},
		"bad query":         {http.MethodGet, "/v1/echo/x?times=many", "", "", 400, "MALFORMED_REQUEST"},
		"unknown query":     {http.MethodGet, "/v1/echo/x?nope=1", "", "", 400, "MALFORMED_REQUEST"},
		"query within none": {http.MethodGet, "/v1/echo/x?times.nope=1", "", "", 400, "MALFORMED_REQUEST"},
		"query of the path": {http.MethodGet, "/v1/echo/x?text=y", "", "", 400, "MALFORMED_REQUEST"},
		"query of a body":   {post, "/v1/echo?times=2", `{"text":"x"}`, "application/json", 400, "MALFORMED_REQUEST"},
		"query of a stream": {http.MethodGet, "/v1/echo/x:count?times=1&nope=1", "", "", 400, "MALFORMED_REQUEST"},
		"known query":       {http.MethodGet, "/v1/echo/x?times=2&behave=", "", "", 200, ""},
		"JSON of a kind":    {post, "/v1/echo", `{"text":"x"}`, "application/vnd.echo+json; charset=utf-8", 200, ""},
		"bad timeout":       {post, "/v1/echo", `{"text":"x"}`, "application/json", 400, "MALFORMED_REQUEST"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			headers := []string{"Content-Type", tc.contentType}
			if name == "bad timeout" {
				headers = append(headers, "Grpc-Timeout", "soon")
			}
			web, body := s.Do(t, tc.method, tc.path, tc.body, headers...)
			if web.StatusCode != tc.http {
				t.Fatalf("%s %s, want %d", web.Status, body, tc.http)
			}
			if tc.http == http.StatusOK {
				return
			}
			isStatus(t, web, body, tc.reason)
		})
	}
	t.Run("too large without a length", func(t *testing.T) {
		t.Parallel()
		// A reader of unknown length is sent in chunks.
		body := struct{ *strings.Reader }{strings.NewReader(`{"text":"` + strings.Repeat("x", limit) + `"}`)}
		req, err := http.NewRequestWithContext(t.Context(), post, s.URL+"/v1/echo", body)
		if err != nil {
			t.Fatal(err)
		}
		web, err := s.Client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer web.Body.Close()
		if web.StatusCode != http.StatusRequestEntityTooLarge {
			t.Errorf("got %s", web.Status)
		}
	})
}

// isStatus checks the one form of REST errors.
func isStatus(t *testing.T, web *http.Response, body, reason string) {
	t.Helper()
	var got restStatus
	if err := json.Unmarshal([]byte(body), &got); err != nil {
		t.Fatalf("%s is not a status: %v", body, err)
	}
	if got.Code == 0 || got.Message == "" || len(got.Details) == 0 || got.Details[0]["reason"] != reason {
		t.Errorf("%s, want reason %s", body, reason)
	}
	if web.Header.Get("Content-Type") != "application/json" || web.Header.Get("X-Request-Id") == "" {
		t.Errorf("headers %v", web.Header)
	}
}
