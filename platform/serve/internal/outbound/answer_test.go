package outbound_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/slipway-dev/slipway/platform/serve/errs"
	"github.com/slipway-dev/slipway/platform/serve/internal/outbound"
)

// TestAnswer says what our caller learns of a callee's status.
func TestAnswer(t *testing.T) {
	t.Parallel()
	const secret = "row of customer 4711"
	for code, want := range map[codes.Code]errs.Kind{
		codes.InvalidArgument: errs.InvalidArgument, codes.NotFound: errs.NotFound, codes.AlreadyExists: errs.AlreadyExists,
		codes.Aborted: errs.Conflict, codes.FailedPrecondition: errs.FailedPrecondition, codes.OutOfRange: errs.OutOfRange,
		codes.ResourceExhausted: errs.Unavailable, codes.Unavailable: errs.Unavailable, codes.DeadlineExceeded: errs.DeadlineExceeded,
		codes.Canceled: errs.Canceled, codes.Unauthenticated: errs.Internal, codes.PermissionDenied: errs.Internal,
		codes.Unimplemented: errs.Internal, codes.Internal: errs.Internal, codes.Unknown: errs.Internal, codes.DataLoss: errs.Internal,
	} {
		st, err := status.New(code, secret).WithDetails(
			&errdetails.ErrorInfo{Reason: "INSUFFICIENT_STOCK", Domain: "inventory.slipway", Metadata: map[string]string{"sku": "A"}},
			&errdetails.BadRequest{FieldViolations: []*errdetails.BadRequest_FieldViolation{{Field: "lines", Description: "d", Reason: "R"}}},
			&errdetails.RetryInfo{RetryDelay: durationpb.New(time.Second)})
		if err != nil {
			t.Fatal(err)
		}
		got, ok := errors.AsType[*errs.Error](outbound.Answer("inventory", st.Err()))
		if !ok || got.Kind != want {
			t.Errorf("%v becomes %+v", code, got)
			continue
		}
		if want == errs.Internal {
			if strings.Contains(got.Message, secret) || got.Reason != "CALLEE_FAILED" || !strings.Contains(got.Err.Error(), secret) {
				t.Errorf("%v becomes %+v", code, got)
			}
			continue
		}
		if got.Reason != "INSUFFICIENT_STOCK" || got.Domain != "inventory.slipway" || got.Metadata["sku"] != "A" ||
			len(got.Fields) != 1 || got.RetryAfter != time.Second || got.Message != secret {
			t.Errorf("%v becomes %+v", code, got)
		}
	}
	for name, tc := range map[string]struct {
		err    error
		reason string
	}{
		"transport": {status.Error(codes.Unavailable, "dial tcp 10.0.3.7:9090: connection refused"), "CALLEE_UNAVAILABLE"},
		"time":      {context.DeadlineExceeded, "DEADLINE_EXCEEDED"},
		"no status": {errors.New(secret), "CALLEE_FAILED"},
	} {
		got, _ := errors.AsType[*errs.Error](outbound.Answer("inventory", tc.err))
		if got.Reason != tc.reason || strings.Contains(got.Message, "10.0.3.7") || strings.Contains(got.Message, secret) {
			t.Errorf("%s becomes %+v", name, got)
		}
	}
	if outbound.Answer("inventory", nil) != nil {
		t.Error("no error becomes one")
	}
}
