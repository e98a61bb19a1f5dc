// Package callee asks the services that orders calls: it turns domain values into
// their messages and back, and their errors into the domain's.
package callee

import (
	"context"
	"fmt"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/slipway-dev/slipway/platform/serve/errs"
)

// retryAfter is what clients are told to wait while a callee does not answer.
const retryAfter = time.Second

// reasonOf is the reason of an error, with its metadata; empty without one
// (AIP-193).
func reasonOf(err error) (reason string, metadata map[string]string) {
	for _, d := range status.Convert(err).Details() {
		if info, ok := d.(*errdetails.ErrorInfo); ok {
			return info.GetReason(), info.GetMetadata()
		}
	}
	return "", nil
}

// failure is what an error that is no answer means to our own caller. The status
// inside must not get there: it speaks of a request that they did not make.
func failure(ctx context.Context, service string, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("call %s: %w", service, ctx.Err())
	}
	switch status.Code(err) {
	case codes.Unavailable, codes.ResourceExhausted, codes.Aborted, codes.Canceled, codes.DeadlineExceeded,
		codes.Internal, codes.Unknown, codes.DataLoss: // its failure; what we asked may be asked again
		return errs.Wrap(hidden{err}, errs.Unavailable, "DEPENDENCY_UNAVAILABLE",
			"a service that orders need does not answer; repeat the request with the same Idempotency-Key").
			With("service", service).After(retryAfter)
	default:
		return fmt.Errorf("call %s: %w", service, hidden{err})
	}
}

// hidden keeps an error's text and takes away its status.
type hidden struct{ err error }

// Error is the text of the error.
func (h hidden) Error() string { return h.err.Error() }
