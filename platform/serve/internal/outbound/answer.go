package outbound

import (
	"maps"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/slipway-dev/slipway/platform/serve/errs"
)

// Answer turns a callee's status into an error of ours that a handler may return:
// the callee's reason, domain, message and details, where they are meant for
// whoever asked. What is between us and the callee (our token, a method it does
// not have, its own failure) is no business of our caller's and becomes INTERNAL,
// with the status for the log.
func Answer(callee string, err error) error {
	if err == nil {
		return nil
	}
	st, ok := status.FromError(err)
	if !ok {
		st = status.FromContextError(err)
	}
	kind := kindOf(st.Code())
	out := &errs.Error{Kind: kind, Reason: "CALLEE_FAILED", Message: callee + " could not answer", Err: err}
	switch kind {
	case errs.Internal:
		return out.With("callee", callee)
	case errs.Canceled:
		out.Reason, out.Message = "CANCELLED", "the request was cancelled"
	case errs.DeadlineExceeded:
		out.Reason, out.Message = "DEADLINE_EXCEEDED", callee+" took too long"
	case errs.Unavailable:
		out.Reason, out.Message = "CALLEE_UNAVAILABLE", callee+" does not answer; retry later"
	default:
		out.Reason, out.Message = "", st.Message()
	}
	for _, detail := range st.Details() {
		switch d := detail.(type) {
		case *errdetails.ErrorInfo:
			out.Reason, out.Domain, out.Metadata = d.GetReason(), d.GetDomain(), maps.Clone(d.GetMetadata())
			out.Message = st.Message() // written by a service of ours
		case *errdetails.BadRequest:
			for _, v := range d.GetFieldViolations() {
				out.Fields = append(out.Fields, errs.Field{Path: v.GetField(), Description: v.GetDescription(), Reason: v.GetReason()})
			}
		case *errdetails.RetryInfo:
			out.RetryAfter = d.GetRetryDelay().AsDuration()
		}
	}
	return out
}

// kindOf is our kind for a callee's code.
func kindOf(code codes.Code) errs.Kind {
	switch code {
	case codes.InvalidArgument:
		return errs.InvalidArgument
	case codes.NotFound:
		return errs.NotFound
	case codes.AlreadyExists:
		return errs.AlreadyExists
	case codes.Aborted:
		return errs.Conflict
	case codes.FailedPrecondition:
		return errs.FailedPrecondition
	case codes.ResourceExhausted, codes.Unavailable: // full or away: not our caller's quota
		return errs.Unavailable
	case codes.DeadlineExceeded:
		return errs.DeadlineExceeded
	case codes.Canceled:
		return errs.Canceled
	case codes.OutOfRange:
		return errs.OutOfRange
	default:
		return errs.Internal
	}
}
