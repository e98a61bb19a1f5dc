package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// flightKey finds a request's flight in its context.
type flightKey struct{}

// statusProtocolMismatch is what an Application Load Balancer answers when the
// request's protocol does not suit the target group ("HTTP 464").
const statusProtocolMismatch = 464

// statusClientClosed is counted, never sent: the client went away ("HTTP 460").
const statusClientClosed = 460

// ServeHTTP routes one request. A request is sent to one target, once.
func (g *Gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if code, why := oversized(r); code != 0 {
		answer(w, r, code, why)
		return
	}
	rt := g.route(r)
	if rt == nil {
		answer(w, r, http.StatusNotFound, "no rule matches this request")
		return
	}
	if fixed := rt.rule.Fixed; fixed != nil {
		w.Header().Set("Content-Type", fallback(fixed.ContentType, "text/plain; charset=utf-8"))
		w.WriteHeader(fixed.StatusCode)
		_, _ = io.WriteString(w, fixed.Body)
		return
	}
	gr := rt.choose()
	if gr == nil {
		answer(w, r, http.StatusServiceUnavailable, "no target group has a weight")
		return
	}
	g.forward(w, r, gr, false)
}

func (g *Gateway) route(r *http.Request) *route {
	for _, rt := range *g.routes.Load() {
		if rt.rule.matches(r) {
			return rt
		}
	}
	return nil
}

// forward sends the request through a target of the group and counts it. A
// direct one comes from another service.
func (g *Gateway) forward(w http.ResponseWriter, r *http.Request, gr *group, direct bool) {
	ctx, cancel := context.WithCancelCause(r.Context())
	defer cancel(nil)
	f := &flight{group: gr, cancel: cancel, began: g.clock.Now(), direct: direct}
	if !direct {
		f.hop = g.tracing.follow(r, f.began)
	}
	defer func() {
		took := g.clock.Since(f.began)
		gr.metrics.observe(f, took)
		g.record(f, r, took)
	}()
	if gr.protocol == GRPC && r.ProtoMajor != 2 {
		f.refuse(w, r, statusProtocolMismatch, "this target group takes HTTP/2 only")
		return
	}
	if gr.protocol == HTTP && !direct {
		f.body = g.hurry(w, r)
		defer f.body.end()
	}
	for f.tried = 1; ; f.tried++ {
		if !gr.pick(f) {
			f.refuse(w, r, http.StatusServiceUnavailable, "no healthy target")
			return
		}
		if !g.send(ctx, w, r, f) {
			return
		}
	}
}

// refuse answers in the gateway's own name.
func (f *flight) refuse(w http.ResponseWriter, r *http.Request, code int, why string) {
	f.status, f.own = code, true
	answer(w, r, code, why)
}

// flightOf is what is known of a request that the gateway passes on.
func flightOf(r *http.Request) *flight {
	f, _ := r.Context().Value(flightKey{}).(*flight) // ServeHTTP puts it there
	return f
}

// newProxy returns the reverse proxy for one target.
func (g *Gateway) newProxy(gr *group, t *target) *httputil.ReverseProxy {
	p := &httputil.ReverseProxy{
		Transport:  t.transport,
		BufferPool: copyBuffers{},
		Rewrite:    func(pr *httputil.ProxyRequest) { g.rewrite(pr, t.addr) },
		ErrorLog:   slog.NewLogLogger(g.log.Handler(), slog.LevelDebug),
		ModifyResponse: func(res *http.Response) error {
			f := flightOf(res.Request)
			if gr.protocol == GRPC {
				separateTrailers(res)
			}
			f.status, f.response, f.answered = res.StatusCode, res, g.clock.Now()
			return nil
		},
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) { g.broken(w, r, t, err) },
	}
	if gr.protocol == GRPC {
		p.FlushInterval = -1 // a message is passed on as it comes
	}
	return p
}

// rewrite prepares the request for its target: the path and the query as the
// client sent them, and the headers a load balancer adds.
func (g *Gateway) rewrite(pr *httputil.ProxyRequest, addr string) {
	pr.Out.URL = &url.URL{
		Scheme: "http", Host: addr,
		Path: pr.In.URL.Path, RawPath: pr.In.URL.RawPath,
		RawQuery: pr.In.URL.RawQuery, ForceQuery: pr.In.URL.ForceQuery,
	}
	h := pr.Out.Header
	if flightOf(pr.In).direct {
		for _, name := range []string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto"} {
			if values, ok := pr.In.Header[name]; ok {
				h[name] = values // the proxy took them out
			}
		}
		return
	}
	hops := slices.Clone(pr.In.Header["X-Forwarded-For"])
	if host, _, err := net.SplitHostPort(pr.In.RemoteAddr); err == nil {
		hops = append(hops, host)
	}
	h.Set("X-Forwarded-For", strings.Join(hops, ", "))
	h.Set("X-Forwarded-Proto", "http")
	h.Set("X-Forwarded-Port", listenPort(pr.In))
	h.Set("X-Amzn-Trace-Id", flightOf(pr.In).hop.header)
	if (pr.Out.Body == nil || pr.Out.Body == http.NoBody) && replayable(pr.Out) {
		// net/http sends a request without a body a second time when a kept
		// connection breaks under it. One with a body it does not.
		pr.Out.Body = emptyBody{}
	}
}

// replayable reports whether net/http would send the request again by itself.
func replayable(r *http.Request) bool {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace:
		return true
	}
	_, marked := r.Header["Idempotency-Key"]
	_, markedToo := r.Header["X-Idempotency-Key"]
	return marked || markedToo
}

// emptyBody is a body without a byte that is not http.NoBody.
type emptyBody struct{}

func (emptyBody) Read([]byte) (int, error) { return 0, io.EOF }
func (emptyBody) Close() error             { return nil }

// separateTrailers turns a "Trailers-Only" gRPC response, a status in the place
// of the headers, into headers and trailers. Passed on as it is, its headers
// would be flushed before the end of the stream, and clients would miss the
// trailers.
func separateTrailers(res *http.Response) {
	if res.Header.Get("Grpc-Status") == "" {
		return
	}
	if res.Trailer == nil {
		res.Trailer = http.Header{}
	}
	for name, values := range res.Header {
		switch name {
		case "Content-Type", "Content-Length", "Date", "Server":
		default:
			res.Trailer[name] = values
			delete(res.Header, name)
		}
	}
	res.Header.Del("Content-Length")
	res.ContentLength = -1
}

// listenPort is the port of the listener that took the request.
func listenPort(r *http.Request) string {
	if a, ok := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr); ok {
		return strconv.Itoa(a.Port)
	}
	return "80"
}

// broken answers for a request whose target gave no response.
func (g *Gateway) broken(w http.ResponseWriter, r *http.Request, t *target, err error) {
	f := flightOf(r)
	if f.body.tooSlow() { // the server ends the context of a request it cannot read
		f.refuse(w, r, http.StatusRequestTimeout, "the body of the request came too slowly")
		return
	}
	if r.Context().Err() == nil && f.passOver(err) {
		t.probeNow()
		return
	}
	var netErr net.Error
	switch {
	case errors.Is(context.Cause(r.Context()), errCut):
		f.refuse(w, r, http.StatusBadGateway, errCut.Error())
		return
	case r.Context().Err() != nil:
		f.status, f.own = statusClientClosed, true
		panic(http.ErrAbortHandler)
	case errors.As(err, &netErr) && netErr.Timeout():
		f.refuse(w, r, http.StatusGatewayTimeout, "the target did not answer in time")
	default:
		f.refuse(w, r, http.StatusBadGateway, "the target broke the connection: "+cause(err))
	}
	g.log.WarnContext(r.Context(), "target gave no response", "target", t.id, "addr", t.addr, "path", r.URL.Path, "status", f.status, "error", err)
	t.probeNow()
}

// grpcCodes gives gRPC clients the status that gRPC assigns to an HTTP code
// ("HTTP to gRPC Status Code Mapping"), except that 504 is a deadline that
// passed. Any other code is UNKNOWN.
var grpcCodes = map[int]int{
	http.StatusNotFound:           12,
	http.StatusBadGateway:         14,
	http.StatusServiceUnavailable: 14,
	http.StatusGatewayTimeout:     4,
}

// answer writes an error in the client's language: for gRPC a status without a
// message ("Trailers-Only"), for others a small JSON body.
func answer(w http.ResponseWriter, r *http.Request, code int, why string) {
	h := w.Header()
	if r.ProtoMajor == 2 && strings.HasPrefix(r.Header.Get("Content-Type"), "application/grpc") {
		status, ok := grpcCodes[code]
		if !ok {
			status = 2
		}
		h.Set("Content-Type", "application/grpc")
		h.Set("Grpc-Status", strconv.Itoa(status))
		h.Set("Grpc-Message", fmt.Sprintf("gateway: %s (%d)", strings.ReplaceAll(why, "%", "%25"), code))
		w.WriteHeader(http.StatusOK)
		return
	}
	h.Set("Content-Type", "application/json")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(code)
	fmt.Fprintf(w, "{\"code\":%d,\"message\":%q}\n", code, "gateway: "+why)
}

// copyBuffers lends the buffers that bodies are copied through.
type copyBuffers struct{}

const copyBufferSize = 32 << 10

// buffers holds *[]byte. It is a cache without meaning, hence one for all.
var buffers = sync.Pool{New: func() any { b := make([]byte, copyBufferSize); return &b }}

// Get lends a buffer.
func (copyBuffers) Get() []byte {
	b, _ := buffers.Get().(*[]byte) // the pool holds nothing else
	return *b
}

// Put takes a buffer back.
func (copyBuffers) Put(b []byte) { buffers.Put(&b) }
