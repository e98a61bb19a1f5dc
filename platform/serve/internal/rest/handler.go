// Package rest is the HTTP side of a service: probes, the OpenAPI document, and
// the REST routes that grpc-gateway makes of the gRPC methods.
package rest

import (
	"context"
	"fmt"
	"log/slog"
	"mime"
	"net/http"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/slipway-dev/slipway/platform/serve/errs"
	"github.com/slipway-dev/slipway/platform/serve/internal/accesslog"
	"github.com/slipway-dev/slipway/platform/serve/internal/probe"
	"github.com/slipway-dev/slipway/platform/serve/internal/problem"
	"github.com/slipway-dev/slipway/platform/serve/internal/requestid"
)

// exchange is what the REST side knows of one request and its answer.
type exchange struct {
	limit    int
	reached  atomic.Bool // the request got to a gRPC method
	tooLarge atomic.Bool // its body exceeded the limit
	slow     atomic.Bool // its body did not arrive in time

	request *http.Request     // as the route's code sees it; nil before there is a route
	path    map[string]string // the fields that the path gives

	metadata metadata.MD // what the route's call receives

	failed *status.Status // how a stream ended; nil as long as it is well
}

// exchangeContext is a request's context. It is one piece of memory for all that
// the request is given, in place of a context for each.
type exchangeContext struct {
	context.Context //nolint:containedctx // it is one itself

	id       string
	note     accesslog.Note
	exchange exchange
}

type exchangeKey struct{}

// Value finds what is the request's own.
func (c *exchangeContext) Value(key any) any {
	switch key.(type) {
	case exchangeKey:
		return &c.exchange
	case requestid.ContextKey:
		return &c.id
	case accesslog.ContextKey:
		return &c.note
	default:
		return c.Context.Value(key)
	}
}

// exchangeOf never returns nil.
func exchangeOf(ctx context.Context) *exchange {
	if x, ok := ctx.Value(exchangeKey{}).(*exchange); ok {
		return x
	}
	return &exchange{}
}

// MethodOf is the method of the HTTP request that ctx belongs to, empty before
// it has a route.
func MethodOf(ctx context.Context) string {
	if r := exchangeOf(ctx).request; r != nil {
		return r.Method
	}
	return ""
}

// Config is what the HTTP side consists of.
type Config struct {
	Domain      string           // of the errors (AIP-193)
	OpenAPI     []byte           // the document; nil for none
	API         http.Handler     // the routes, as NewMux made them
	Ready       *probe.Readiness // answers /healthz
	Log         *slog.Logger
	Access      *accesslog.Writer // of a line for each API request
	BodyLimit   int               // of a request's body, in bytes
	BodyTimeout time.Duration     // for all of a request's body to arrive
}

// handler is the HTTP server's root: probes, the OpenAPI document, the API.
type handler struct {
	Config

	errors *failures
}

// NewHandler makes the HTTP server's root.
func NewHandler(cfg Config) http.Handler {
	return &handler{Config: cfg, errors: &failures{domain: cfg.Domain}}
}

// ServeHTTP answers one request.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if h.Ready.Draining() {
		// Clients open their next connection elsewhere. Idle connections are
		// left alone until the listener closes: closing one could lose a
		// request that is just arriving on it.
		w.Header().Set("Connection", "close")
	}
	switch {
	case r.URL.Path == "/livez":
		probe.Alive(w, r)
	case r.URL.Path == "/healthz":
		h.Ready.ServeHTTP(w, r)
	case r.URL.Path == "/openapi.json" && h.OpenAPI != nil && (r.Method == http.MethodGet || r.Method == http.MethodHead):
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(h.OpenAPI)
	default:
		h.serveAPI(w, r)
	}
}

// serveAPI gives the request its id and its limits, and logs it.
func (h *handler) serveAPI(w http.ResponseWriter, r *http.Request) {
	start := time.Now()
	ctx := &exchangeContext{Context: r.Context(), id: requestid.Or(r.Header.Get(requestid.Header)), exchange: exchange{limit: h.BodyLimit}}
	x := &ctx.exchange
	w.Header().Set(requestid.Header, ctx.id)
	r = r.WithContext(ctx)
	out := &statusRecorder{ResponseWriter: w, exchange: x}
	defer func() {
		if value := recover(); value != nil && value != http.ErrAbortHandler { //nolint:errorlint // the sentinel is compared as a panic value
			h.Log.LogAttrs(ctx, slog.LevelError, "panic", slog.String("panic", fmt.Sprint(value)), slog.String("stack", string(debug.Stack())))
			if out.code == 0 {
				h.errors.write(out, http.StatusInternalServerError, status.New(codes.Internal, problem.Scrubbed))
			}
		}
		h.Access.Write(ctx, accesslog.RequestOf(r, out.code, time.Since(start)), &ctx.note)
	}()
	if h.admit(out, r, x) {
		h.API.ServeHTTP(out, r)
	}
}

// admit checks what can be known of the body from the headers, and bounds its
// size and the time it may take.
func (h *handler) admit(w http.ResponseWriter, r *http.Request, x *exchange) bool {
	if r.ContentLength > int64(h.BodyLimit) {
		h.errors.tooLarge(w, h.BodyLimit)
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
	b := &body{ReadCloser: http.MaxBytesReader(w, r.Body, int64(h.BodyLimit)), control: http.NewResponseController(w), exchange: x}
	_ = b.control.SetReadDeadline(time.Now().Add(h.BodyTimeout)) // a test's recorder has no deadline
	r.Body = b
	return true
}
