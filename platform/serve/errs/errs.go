// Package errs is the one vocabulary of errors that cross a service's border.
// Domain and store code return an *Error; the runtime maps its Kind to a gRPC
// code and an HTTP status in one place, and hides every other error behind
// INTERNAL. It knows neither gRPC nor HTTP and imports the standard library
// alone.
package errs

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"
)

// Kind classes an error by what a caller can do about it. The list is
// append-only: a kind keeps its number and meaning for ever.
type Kind uint8

// The kinds, with the gRPC code and HTTP status each becomes.
const (
	// Unknown is the kind of an error that was never classed: INTERNAL, 500.
	Unknown Kind = iota
	// InvalidArgument is a request wrong in itself: INVALID_ARGUMENT, 400.
	InvalidArgument
	// NotFound is a resource that is not there: NOT_FOUND, 404.
	NotFound
	// AlreadyExists is a resource that is there already: ALREADY_EXISTS, 409.
	AlreadyExists
	// Conflict is a lost race, as with a stale etag; the caller reads again and
	// retries the whole sequence: ABORTED, 409.
	Conflict
	// FailedPrecondition is a request the state forbids until somebody changes
	// that state: FAILED_PRECONDITION, 400.
	FailedPrecondition
	// PermissionDenied is a known caller without the right: PERMISSION_DENIED, 403.
	PermissionDenied
	// Unauthenticated is a caller without valid credentials: UNAUTHENTICATED, 401.
	Unauthenticated
	// ResourceExhausted is a quota or a full queue: RESOURCE_EXHAUSTED, 429.
	ResourceExhausted
	// Unavailable is a dependency that does not answer; retry with back-off:
	// UNAVAILABLE, 503.
	Unavailable
	// DeadlineExceeded is work that took too long: DEADLINE_EXCEEDED, 504.
	DeadlineExceeded
	// Canceled is work whose caller went away: CANCELLED, 499.
	Canceled
	// Internal is a broken invariant of ours. Its text is hidden: INTERNAL, 500.
	Internal
	// Unimplemented is an operation that does not exist: UNIMPLEMENTED, 501.
	Unimplemented
	// OutOfRange is a read past the end, as of a page: OUT_OF_RANGE, 400.
	OutOfRange
	// Overloaded is a process with too much to do; another one, or this one
	// later, may answer: RESOURCE_EXHAUSTED, 503.
	Overloaded
)

var kindNames = [...]string{
	Unknown:            "unknown",
	InvalidArgument:    "invalid argument",
	NotFound:           "not found",
	AlreadyExists:      "already exists",
	Conflict:           "conflict",
	FailedPrecondition: "failed precondition",
	PermissionDenied:   "permission denied",
	Unauthenticated:    "unauthenticated",
	ResourceExhausted:  "resource exhausted",
	Unavailable:        "unavailable",
	DeadlineExceeded:   "deadline exceeded",
	Canceled:           "canceled",
	Internal:           "internal",
	Unimplemented:      "unimplemented",
	OutOfRange:         "out of range",
	Overloaded:         "overloaded",
}

// Kinds lists every kind in the order of its number.
func Kinds() []Kind {
	kinds := make([]Kind, len(kindNames))
	for i := range kinds {
		kinds[i] = Kind(i)
	}
	return kinds
}

// String is the kind in words, e.g. "not found".
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return fmt.Sprintf("kind(%d)", uint8(k))
}

// Field says what is wrong with one field of a request.
type Field struct {
	Path        string // as in the proto, e.g. "product.price.units"
	Description string // what is wrong, for people
	Reason      string // UPPER_SNAKE_CASE for programs; may be empty
}

// Error is an error whose Kind, Reason, Message, Metadata and Fields the caller
// may see. Err, the cause, is logged and never shown.
type Error struct {
	Kind       Kind
	Reason     string // UPPER_SNAKE_CASE, stable, for programs (AIP-193)
	Message    string // for people
	Domain     string // who defines Reason; empty means the service
	Metadata   map[string]string
	Fields     []Field
	RetryAfter time.Duration // when a retry makes sense; 0 says nothing
	Err        error
}

// New makes an error of the kind.
func New(kind Kind, reason, message string) *Error {
	return &Error{Kind: kind, Reason: reason, Message: message}
}

// Newf makes an error of the kind with a formatted message. The message is
// shown to callers, so its arguments must be fit for them.
func Newf(kind Kind, reason, format string, args ...any) *Error {
	return New(kind, reason, fmt.Sprintf(format, args...))
}

// Wrap makes an error of the kind around its cause.
func Wrap(err error, kind Kind, reason, message string) *Error {
	return &Error{Kind: kind, Reason: reason, Message: message, Err: err}
}

// With returns a copy that also carries the metadata key, in lowerCamelCase.
func (e *Error) With(key, value string) *Error {
	c := *e
	c.Metadata = maps.Clone(e.Metadata)
	if c.Metadata == nil {
		c.Metadata = make(map[string]string, 1)
	}
	c.Metadata[key] = value
	return &c
}

// WithField returns a copy that also reports the field.
func (e *Error) WithField(path, description string) *Error {
	c := *e
	c.Fields = append(slices.Clip(e.Fields), Field{Path: path, Description: description})
	return &c
}

// After returns a copy that asks the caller to wait before it retries.
func (e *Error) After(wait time.Duration) *Error {
	c := *e
	c.RetryAfter = wait
	return &c
}

// Error is the text for logs: kind, message and cause.
func (e *Error) Error() string {
	text := e.Message
	if text == "" {
		text = e.Kind.String()
	}
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// Is reports whether target is an *Error of the same kind and reason, so that
// a package may declare its errors once and callers compare with errors.Is.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Kind == e.Kind && t.Reason == e.Reason
}

// KindOf is the kind of the outermost *Error in err's chain, Unknown without one.
func KindOf(err error) Kind {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Kind
	}
	return Unknown
}

// Is reports whether err is of the kind.
func Is(err error, kind Kind) bool { return err != nil && KindOf(err) == kind }
