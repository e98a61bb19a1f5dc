package wire

import (
	"compress/gzip"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"runtime/debug"
	"strings"

	"github.com/aws/smithy-go"
	"github.com/jonboulle/clockwork"
)

// maxBody bounds a request after decompression. The largest that any served
// operation takes is PutLogEvents with 1 MiB of events, escaped.
const maxBody = 16 << 20

// Config is what a Handler needs.
type Config struct {
	APIs   []API
	Logger *slog.Logger    // one line a request; nil: silent
	Clock  clockwork.Clock // nil: the real one
}

func (c *Config) validate() error {
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Clock == nil {
		c.Clock = clockwork.NewRealClock()
	}
	seen := map[string]bool{}
	for _, api := range c.APIs {
		switch {
		case api.Target == "" || api.Signing == "":
			return fmt.Errorf("API %q, signed as %q: both names are needed", api.Target, api.Signing)
		case seen[api.Target]:
			return fmt.Errorf("API %q is given twice", api.Target)
		}
		seen[api.Target] = true
	}
	return nil
}

// Handler serves APIs at one address, told apart by X-Amz-Target.
type Handler struct {
	apis   map[string]API
	paths  map[string]route
	logger *slog.Logger
	clock  clockwork.Clock
}

// route is the operation that has a path of its own.
type route struct {
	api  API
	name string
}

// New makes a Handler.
func New(config Config) (*Handler, error) {
	if err := config.validate(); err != nil {
		return nil, fmt.Errorf("make wire handler: %w", err)
	}
	h := &Handler{apis: map[string]API{}, paths: map[string]route{}, logger: config.Logger, clock: config.Clock}
	for _, api := range config.APIs {
		h.apis[api.Target] = api
		for path, name := range api.Paths {
			h.paths[path] = route{api, name}
		}
	}
	return h, nil
}

// NewHandler is New without a logger. It panics when two APIs have the same
// target or one has none.
func NewHandler(apis ...API) http.Handler {
	h, err := New(Config{APIs: apis})
	if err != nil {
		panic(err)
	}
	return h
}

// ServeHTTP answers one request. Signatures are not verified: who can reach
// the loopback interface may do anything. That every request is signed, by
// whatever key, and names this host keeps web pages out.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	start := h.clock.Now()
	answer := &reply{w: w, id: requestID()}
	defer func() {
		if value := recover(); value != nil {
			if err, ok := value.(error); ok && errors.Is(err, http.ErrAbortHandler) {
				panic(value)
			}
			h.logger.ErrorContext(r.Context(), "request panicked", "target", answer.target, "panic", value, "stack", string(debug.Stack()))
			answer.fail(internal("the handler panicked"))
		}
		h.logger.DebugContext(r.Context(), "request", "id", answer.id, "target", answer.target, "status", answer.status,
			"error", answer.code, "took", h.clock.Since(start))
	}()
	answer.target = r.Header.Get("X-Amz-Target")
	if _, name, ok := rpcPath(r); ok {
		answer.cbor, answer.target = true, name
	}
	body, err := h.serve(w, r)
	if err == nil {
		answer.succeed(body)
		return
	}
	if _, ok := errors.AsType[smithy.APIError](err); !ok {
		if !errors.Is(err, context.Canceled) {
			h.logger.ErrorContext(r.Context(), "request failed", "id", answer.id, "target", answer.target, "error", err)
		}
		err = internal(err.Error())
	}
	if isForm(r) {
		answer.failXML(err)
		return
	}
	answer.fail(err)
}

func (h *Handler) serve(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	if !Loopback(r.Host) {
		return nil, refusal(http.StatusForbidden, "AccessDeniedException",
			fmt.Sprintf("host %q is not this machine's loopback address", r.Host))
	}
	own, hasPath := h.paths[r.URL.Path]
	rpcTarget, rpcName, isRPC := rpcPath(r)
	if r.Method != http.MethodPost || r.URL.Path != "/" && !hasPath && !isRPC {
		return nil, refusal(http.StatusNotFound, "UnknownOperationException", "requests are POST /")
	}
	scope, err := signedService(r.Header.Get("Authorization"))
	if err != nil {
		return nil, err
	}
	if isForm(r) {
		return nil, refusal(http.StatusBadRequest, "InvalidAction",
			"the local cluster does not serve "+scope)
	}
	target, name, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	if isRPC {
		target, name = rpcTarget, rpcName
	}
	api, served := h.apis[target]
	if hasPath {
		api, name, served = own.api, own.name, true
	}
	operation, known := api.Operations[name]
	switch {
	case !served || !known:
		return nil, unknown(scope, name)
	case api.Signing != scope:
		return nil, refusal(http.StatusBadRequest, "InvalidSignatureException",
			fmt.Sprintf("Credential should be scoped to correct service: '%s'.", api.Signing))
	}
	body, err := readBody(w, r)
	if err != nil {
		return nil, err
	}
	return operation.invoke(r.Context(), body, codec{names: api.Names, cbor: isRPC})
}

func unknown(scope, name string) error {
	if name == "" {
		name = "the requested operation"
	}
	return refusal(http.StatusBadRequest, "UnknownOperationException",
		fmt.Sprintf("the local cluster does not serve %s of %s", name, scope))
}

// readBody reads a request that may be compressed (SDKs compress large ones
// of some services).
func readBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	var in io.Reader = http.MaxBytesReader(w, r.Body, maxBody)
	if strings.EqualFold(r.Header.Get("Content-Encoding"), "gzip") {
		unzipped, err := gzip.NewReader(in)
		if err != nil {
			return nil, refusal(http.StatusBadRequest, "SerializationException", "the body is not gzip")
		}
		in = unzipped
	}
	body, err := io.ReadAll(io.LimitReader(in, maxBody+1))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge) || len(body) > maxBody:
		return nil, refusal(http.StatusRequestEntityTooLarge, "RequestEntityTooLargeException",
			fmt.Sprintf("the body is larger than %d bytes", maxBody))
	case err != nil:
		return nil, refusal(http.StatusBadRequest, "SerializationException", "the body cannot be read: "+err.Error())
	}
	return body, nil
}

// signedService finds the service in the scope of a Signature Version 4
// header: Credential=KEY/20260102/REGION/SERVICE/aws4_request.
func signedService(authorization string) (string, error) {
	if authorization == "" {
		return "", refusal(http.StatusForbidden, "MissingAuthenticationTokenException", "Missing Authentication Token")
	}
	incomplete := func(what string) error {
		return refusal(http.StatusForbidden, "IncompleteSignatureException", "Authorization header: "+what)
	}
	rest, ok := strings.CutPrefix(authorization, "AWS4-HMAC-SHA256 ")
	if !ok {
		return "", incomplete("AWS4-HMAC-SHA256 is the only algorithm")
	}
	for field := range strings.SplitSeq(rest, ",") {
		credential, ok := strings.CutPrefix(strings.TrimSpace(field), "Credential=")
		if !ok {
			continue
		}
		// A key id has no slash; the scope is always the last four parts.
		parts := strings.Split(credential, "/")
		if len(parts) < 5 || parts[len(parts)-1] != "aws4_request" {
			return "", incomplete("the credential scope is not DATE/REGION/SERVICE/aws4_request")
		}
		return parts[len(parts)-2], nil
	}
	return "", incomplete("there is no Credential")
}

// Loopback reports whether a request's Host names this machine's loopback
// address. It guards against DNS rebinding: a page whose own name resolves to
// 127.0.0.1 sends that name.
func Loopback(host string) bool {
	name := host
	if h, _, err := net.SplitHostPort(host); err == nil {
		name = h
	}
	name = strings.ToLower(strings.Trim(name, "[]"))
	if ip := net.ParseIP(name); ip != nil {
		return ip.IsLoopback()
	}
	return name == "localhost" || strings.HasSuffix(name, ".localhost")
}

// isForm recognises AWS's query protocol (STS, EC2 ...), which is answered in
// XML.
func isForm(r *http.Request) bool {
	return strings.HasPrefix(r.Header.Get("Content-Type"), "application/x-www-form-urlencoded")
}

// requestID is a random UUID, as AWS's are.
func requestID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
