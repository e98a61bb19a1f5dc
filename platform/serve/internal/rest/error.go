package rest

import (
	"context"
	"math"
	"net/http"
	"strconv"
	"strings"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/slipway-dev/slipway/platform/serve/errs"
	"github.com/slipway-dev/slipway/platform/serve/internal/problem"
)

// failures writes every error of the REST side in one form: google.rpc.Status
// as JSON, {"code","message","details"}, under the right HTTP status.
type failures struct {
	domain string
}

// fromGateway answers an error of a call, or of the gateway before the call.
func (h *failures) fromGateway(ctx context.Context, _ *runtime.ServeMux, _ runtime.Marshaler, w http.ResponseWriter, _ *http.Request, err error) {
	x := exchangeOf(ctx)
	st := status.Convert(err)
	switch {
	case x.reached.Load():
		h.write(w, problem.HTTPStatus(st), problem.WithInfo(st, h.domain))
	case x.tooLarge.Load():
		h.tooLarge(w, x.limit)
	case x.slow.Load():
		h.refuse(w, http.StatusRequestTimeout, errs.New(errs.DeadlineExceeded, "BODY_TIMEOUT", "the request body did not arrive in time"))
	default:
		// The gateway could not make a message of the path, query or body.
		h.refuse(w, http.StatusBadRequest, errs.Newf(errs.InvalidArgument, "MALFORMED_REQUEST", "the request cannot be decoded: %s", st.Message()))
	}
}

// fromRouting answers a request that no route takes.
func (h *failures) fromRouting(_ context.Context, _ *runtime.ServeMux, _ runtime.Marshaler, w http.ResponseWriter, r *http.Request, code int) {
	switch code {
	case http.StatusNotFound:
		h.refuse(w, code, errs.Newf(errs.NotFound, "ROUTE_NOT_FOUND", "there is no route %s", r.URL.EscapedPath()))
	case http.StatusMethodNotAllowed:
		h.refuse(w, code, errs.Newf(errs.Unimplemented, "METHOD_NOT_ALLOWED", "%s does not take %s", r.URL.EscapedPath(), r.Method))
	default:
		h.refuse(w, http.StatusBadRequest, errs.New(errs.InvalidArgument, "MALFORMED_REQUEST", "the request path is malformed"))
	}
}

func (h *failures) tooLarge(w http.ResponseWriter, limit int) {
	h.refuse(w, http.StatusRequestEntityTooLarge,
		errs.Newf(errs.InvalidArgument, "BODY_TOO_LARGE", "the request body is larger than %d bytes", limit).
			With("limitBytes", strconv.Itoa(limit)))
}

// refuse answers without having reached a method.
func (h *failures) refuse(w http.ResponseWriter, code int, e *errs.Error) {
	h.write(w, code, problem.StatusOf(e, h.domain))
}

func (h *failures) write(w http.ResponseWriter, code int, st *status.Status) {
	body, err := protojson.Marshal(st.Proto())
	if err != nil { // a text that is no UTF-8, or a detail of a type this binary does not know
		body, _ = protojson.Marshal(status.New(st.Code(), strings.ToValidUTF8(st.Message(), "\uFFFD")).Proto())
	}
	w.Header().Set("Content-Type", "application/json")
	setHeaders(w.Header(), st)
	w.WriteHeader(code)
	_, _ = w.Write(body) // a client that is gone is nobody's error
}

// fromStream notes how a stream ended. The gateway writes it as a last line,
// {"error": status}; if that is also the first, the answer's status and headers
// say the same.
func (h *failures) fromStream(ctx context.Context, err error) *status.Status {
	st := problem.WithInfo(status.Convert(err), h.domain)
	exchangeOf(ctx).failed = st
	return st
}

// setHeaders says in headers what HTTP has headers for.
func setHeaders(header http.Header, st *status.Status) {
	header.Set("X-Content-Type-Options", "nosniff")
	if challenge := problem.Challenge(st); challenge != "" {
		header.Set("WWW-Authenticate", challenge)
	}
	for _, d := range st.Details() {
		if retry, ok := d.(*errdetails.RetryInfo); ok {
			seconds := math.Ceil(retry.GetRetryDelay().AsDuration().Seconds())
			header.Set("Retry-After", strconv.FormatInt(int64(seconds), 10))
		}
	}
}
