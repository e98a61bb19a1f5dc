package errs_test

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/slipway-dev/slipway/platform/serve/errs"
)

// TestKindsKeepTheirNumbers guards the append-only list.
func TestKindsKeepTheirNumbers(t *testing.T) {
	t.Parallel()
	const want = "0 unknown, 1 invalid argument, 2 not found, 3 already exists, 4 conflict, 5 failed precondition, " +
		"6 permission denied, 7 unauthenticated, 8 resource exhausted, 9 unavailable, 10 deadline exceeded, 11 canceled, " +
		"12 internal, 13 unimplemented, 14 out of range, 15 overloaded"
	var got []string
	for _, k := range errs.Kinds() {
		got = append(got, fmt.Sprintf("%d %s", k, k))
	}
	if strings.Join(got, ", ") != want {
		t.Errorf("got %s", strings.Join(got, ", "))
	}
	if text := errs.Kind(200).String(); text != "kind(200)" {
		t.Errorf("an unknown kind is %q", text)
	}
}

func TestErrorsAreValues(t *testing.T) {
	t.Parallel()
	base := errs.New(errs.NotFound, "PRODUCT_NOT_FOUND", "no such product")
	a := base.With("product", "a").WithField("name", "unknown")
	b := base.With("product", "b").WithField("name", "strange").After(time.Second)
	if len(base.Metadata)+len(base.Fields) != 0 || base.RetryAfter != 0 {
		t.Errorf("the shared value changed: %+v", base)
	}
	if a.Metadata["product"] != "a" || b.Metadata["product"] != "b" || a.Fields[0].Description != "unknown" || len(b.Fields) != 1 {
		t.Errorf("copies are mixed up: %+v %+v", a, b)
	}
	if !errors.Is(fmt.Errorf("get: %w", a), base) || errors.Is(a, errs.New(errs.NotFound, "OTHER", "")) {
		t.Error("errors.Is does not compare kind and reason")
	}
}

func TestWrap(t *testing.T) {
	t.Parallel()
	err := fmt.Errorf("list: %w", errs.Wrap(io.ErrUnexpectedEOF, errs.Unavailable, "DOWN", "try later"))
	if !errors.Is(err, io.ErrUnexpectedEOF) || errs.KindOf(err) != errs.Unavailable || !errs.Is(err, errs.Unavailable) {
		t.Errorf("the chain is broken: %v", err)
	}
	if err.Error() != "list: try later: unexpected EOF" {
		t.Errorf("text is %q", err)
	}
	if errs.KindOf(io.EOF) != errs.Unknown || errs.KindOf(nil) != errs.Unknown || errs.Is(nil, errs.Unknown) {
		t.Error("an unclassed error has a kind")
	}
}
