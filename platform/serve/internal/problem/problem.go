// Package problem turns errors into the statuses that callers see: one code,
// one reason, and nothing that was not meant for them.
package problem

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/slipway-dev/slipway/platform/serve/database"
	"github.com/slipway-dev/slipway/platform/serve/errs"
	"github.com/slipway-dev/slipway/platform/serve/internal/requestid"
)

// codeOf is the gRPC code of each kind. The HTTP status follows from the code,
// so this is the one table there is; see HTTPStatus for the one exception.
func codeOf(kind errs.Kind) codes.Code {
	switch kind {
	case errs.InvalidArgument:
		return codes.InvalidArgument
	case errs.NotFound:
		return codes.NotFound
	case errs.AlreadyExists:
		return codes.AlreadyExists
	case errs.Conflict:
		return codes.Aborted
	case errs.FailedPrecondition:
		return codes.FailedPrecondition
	case errs.PermissionDenied:
		return codes.PermissionDenied
	case errs.Unauthenticated:
		return codes.Unauthenticated
	case errs.ResourceExhausted, errs.Overloaded:
		return codes.ResourceExhausted
	case errs.Unavailable:
		return codes.Unavailable
	case errs.DeadlineExceeded:
		return codes.DeadlineExceeded
	case errs.Canceled:
		return codes.Canceled
	case errs.Unimplemented:
		return codes.Unimplemented
	case errs.OutOfRange:
		return codes.OutOfRange
	case errs.Unknown, errs.Internal:
		return codes.Internal
	default:
		return codes.Internal
	}
}

// Scrubbed is all that callers learn of an error nobody classed.
const Scrubbed = "internal error; the server's log has the cause under this request id"

// statusError is what crosses the wire, with the cause kept for the log.
type statusError struct {
	status *status.Status
	cause  error
}

// Error is the status in words, without the cause.
func (e *statusError) Error() string { return e.status.String() }

// GRPCStatus is what gRPC sends.
func (e *statusError) GRPCStatus() *status.Status { return e.status }

// Unwrap gives the cause to the log.
func (e *statusError) Unwrap() error { return e.cause }

// Cause is the text for the log: what lies behind the status.
func Cause(err error) string {
	if e, ok := errors.AsType[*statusError](err); ok && e.cause != nil {
		return e.cause.Error()
	}
	return err.Error()
}

// Translate turns what a handler returned into a status that is fit for
// callers, under the service's domain: a classed error with its details, a context's end, a database out of
// reach; all else becomes INTERNAL with nothing of its text.
func Translate(ctx context.Context, err error, domain string) error {
	if err == nil {
		return nil
	}
	if e, ok := errors.AsType[*errs.Error](err); ok && codeOf(e.Kind) != codes.Internal {
		return &statusError{status: StatusOf(e, domain), cause: err}
	}
	// The status inside a wrapped error, not status.FromError: that one would
	// put the wrapping's text into the message.
	if s, ok := errors.AsType[interface {
		error
		GRPCStatus() *status.Status
	}](err); ok && !opaque(s.GRPCStatus().Code()) {
		return &statusError{status: WithInfo(s.GRPCStatus(), domain), cause: err}
	}
	known := contextError(err)
	if known == nil {
		known = database.Classify(err)
	}
	if known == nil {
		known = &errs.Error{Kind: errs.Internal, Reason: "INTERNAL", Message: Scrubbed}
		if id := requestid.From(ctx); id != "" {
			known = known.With("requestId", id)
		}
	}
	return &statusError{status: StatusOf(known, domain), cause: err}
}

// opaque codes carry texts that were not written for callers.
func opaque(code codes.Code) bool {
	return code == codes.Unknown || code == codes.Internal || code == codes.DataLoss || code == codes.OK
}

func contextError(err error) *errs.Error {
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return errs.New(errs.DeadlineExceeded, "DEADLINE_EXCEEDED", "the request took too long")
	case errors.Is(err, context.Canceled):
		return errs.New(errs.Canceled, "CANCELLED", "the request was cancelled")
	default:
		return nil
	}
}

// StatusOf gives the error its code and details (AIP-193): ErrorInfo always,
// BadRequest for fields, RetryInfo for a pause.
func StatusOf(e *errs.Error, domain string) *status.Status {
	if e.Domain != "" {
		domain = e.Domain
	}
	reason := e.Reason
	code := codeOf(e.Kind)
	if reason == "" {
		reason = reasonOf(code)
	}
	message := e.Message
	if message == "" {
		message = e.Kind.String()
	}
	if e.Kind == errs.Overloaded {
		e = e.With(overloadedKey, "true")
	}
	details := []protoadapt.MessageV1{&errdetails.ErrorInfo{Reason: reason, Domain: domain, Metadata: maps.Clone(e.Metadata)}}
	if len(e.Fields) > 0 {
		bad := &errdetails.BadRequest{}
		for _, f := range e.Fields {
			bad.FieldViolations = append(bad.FieldViolations, &errdetails.BadRequest_FieldViolation{
				Field: f.Path, Description: f.Description, Reason: f.Reason,
			})
		}
		details = append(details, bad)
	}
	if e.RetryAfter > 0 {
		details = append(details, &errdetails.RetryInfo{RetryDelay: durationpb.New(e.RetryAfter)})
	}
	return attach(status.New(code, strings.ToValidUTF8(message, "\uFFFD")), details...)
}

// WithInfo adds the ErrorInfo that a hand-made status lacks.
func WithInfo(st *status.Status, domain string) *status.Status {
	if slices.ContainsFunc(st.Details(), func(d any) bool { _, ok := d.(*errdetails.ErrorInfo); return ok }) {
		return st
	}
	return attach(st, &errdetails.ErrorInfo{Reason: reasonOf(st.Code()), Domain: domain})
}

// attach adds details; a status that cannot hold them goes without.
func attach(st *status.Status, details ...protoadapt.MessageV1) *status.Status {
	full, err := st.WithDetails(details...)
	if err != nil {
		return st
	}
	return full
}
