package serve

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"os"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/slipway-dev/slipway/platform/serve/errs"
)

// exchange is what the REST side knows of one request and its answer.
type exchange struct {
	limit    int
	reached  atomic.Bool // the request got to a gRPC method
	tooLarge atomic.Bool // its body exceeded the limit
	slow     atomic.Bool // its body did not arrive in time
}

type exchangeContext struct{}

// exchangeOf never returns nil.
func exchangeOf(ctx context.Context) *exchange {
	if x, ok := ctx.Value(exchangeContext{}).(*exchange); ok {
		return x
	}
	return &exchange{}
}

// handler is the HTTP server's root: probes, the OpenAPI document, the API.
type handler struct {
	ready       *readiness
	openAPI     []byte
	api         http.Handler
	errors      *httpErrors
	log         *slog.Logger
	bodyLimit   int
	bodyTimeout time.Duration
}

// ServeHTTP answers one request.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if h.ready.draining.Load() {
		// Clients open their next connection elsewhere. Idle connections are
		// left alone until the listener closes: closing one could lose a
		// request that is just arriving on it.
		w.Header().Set("Connection", "close")
	}
	switch {
	case r.URL.Path == "/livez":
		writeJSON(w, http.StatusOK, report{Status: "alive"})
	case r.URL.Path == "/healthz":
		h.ready.ServeHTTP(w, r)
	case r.URL.Path == "/openapi.json" && h.openAPI != nil && (r.Method == http.MethodGet || r.Method == http.MethodHead):
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(h.openAPI)
	default:
		h.serveAPI(w, r)
	}
}

// serveAPI gives the request its id and its limits, and logs it if it ends
// before it reaches a gRPC method.
func (h *handler) serveAPI(w http.ResponseWriter, r *http.Request) {
	start := time.Now()
	id := requestIDOr(r.Header.Get(requestIDHeader))
	r.Header.Set(requestIDHeader, id) // the gateway passes it on
	w.Header().Set(requestIDHeader, id)
	x := &exchange{limit: h.bodyLimit}
	ctx := context.WithValue(context.WithValue(r.Context(), requestIDContext{}, id), exchangeContext{}, x)
	r = r.WithContext(ctx)
	out := &statusRecorder{ResponseWriter: w}
	defer func() {
		if value := recover(); value != nil && value != http.ErrAbortHandler { //nolint:errorlint // the sentinel is compared as a panic value
			h.log.LogAttrs(ctx, slog.LevelError, "panic", slog.String("panic", fmt.Sprint(value)), slog.String("stack", string(debug.Stack())))
			if out.code == 0 {
				h.errors.write(out, http.StatusInternalServerError, status.New(codes.Internal, scrubbed))
			}
		}
		if !x.reached.Load() {
			h.log.LogAttrs(ctx, slog.LevelInfo, "request",
				slog.String("protocol", "rest"), slog.String("method", r.Method), slog.String("path", r.URL.Path),
				slog.Int("status", out.code), slog.Float64("duration_ms", float64(time.Since(start).Microseconds())/1000))
		}
	}()
	if h.admit(out, r, x) {
		h.api.ServeHTTP(out, r)
	}
}

// admit checks what can be known of the body from the headers, and bounds its
// size and the time it may take.
func (h *handler) admit(w http.ResponseWriter, r *http.Request, x *exchange) bool {
	if r.ContentLength > int64(h.bodyLimit) {
		h.errors.tooLarge(w, h.bodyLimit)
		return false
	}
	if r.ContentLength == 0 || r.Body == nil || r.Body == http.NoBody {
		return true
	}
	if value := r.Header.Get("Content-Type"); value != "" {
		media, _, err := mime.ParseMediaType(value)
		if err != nil || (media != "application/json" && !strings.HasSuffix(media, "+json")) {
			h.errors.refuse(w, http.StatusUnsupportedMediaType, errs.Newf(errs.InvalidArgument, "UNSUPPORTED_MEDIA_TYPE",
				"the request body must be application/json, is %s", value))
			return false
		}
	}
	b := &body{ReadCloser: http.MaxBytesReader(w, r.Body, int64(h.bodyLimit)), control: http.NewResponseController(w), exchange: x}
	_ = b.control.SetReadDeadline(time.Now().Add(h.bodyTimeout)) // a test's recorder has no deadline
	r.Body = b
	return true
}

// body notes why reading the request failed, and lifts the read deadline once
// all of it is there, so that a long answer is not cut off.
type body struct {
	io.ReadCloser

	control  *http.ResponseController
	exchange *exchange
}

// Read notes what went wrong.
func (b *body) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err == nil {
		return n, nil
	}
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		b.exchange.tooLarge.Store(true)
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		b.exchange.slow.Store(true)
	} else {
		_ = b.control.SetReadDeadline(time.Time{})
	}
	return n, err //nolint:wrapcheck // io.EOF must stay itself
}

// statusRecorder remembers the answer's status for the log.
type statusRecorder struct {
	http.ResponseWriter

	code int
}

// WriteHeader notes the first status.
func (s *statusRecorder) WriteHeader(code int) {
	if s.code == 0 {
		s.code = code
	}
	s.ResponseWriter.WriteHeader(code)
}

// Write notes the status that net/http implies.
func (s *statusRecorder) Write(p []byte) (int, error) {
	if s.code == 0 {
		s.code = http.StatusOK
	}
	return s.ResponseWriter.Write(p) //nolint:wrapcheck // a writer's error passes as it is
}

// Unwrap lets http.ResponseController reach the connection.
func (s *statusRecorder) Unwrap() http.ResponseWriter { return s.ResponseWriter }

// Flush lets the gateway stream.
func (s *statusRecorder) Flush() { _ = http.NewResponseController(s.ResponseWriter).Flush() }
