package rollout

import (
	"errors"
	"fmt"
	"strings"

	"github.com/slipway-dev/slipway/platform/kit/event"
)

// Error is a failure that a user can act upon: what failed, why, and the
// command to type next.
type Error struct {
	What string
	Err  error // why
	Do   string
	Code int // exit code; 0 means 1
}

// Error returns "what: why".
func (e *Error) Error() string {
	if e.Err == nil {
		return e.What
	}
	return e.What + ": " + e.Err.Error()
}

// Unwrap returns why.
func (e *Error) Unwrap() error { return e.Err }

// Next returns the command to type next; that of the reason is preferred, as
// it knows more.
func (e *Error) Next() string {
	if next := event.Next(e.Err); next != "" {
		return next
	}
	return e.Do
}

// ExitCode returns the exit code of the command.
func (e *Error) ExitCode() int {
	if e.Code != 0 {
		return e.Code
	}
	return 1
}

func fail(what string, err error, next string) error {
	return &Error{What: what, Err: err, Do: next}
}

// Check is one thing that was verified before anything was changed.
type Check struct {
	Name    string `json:"name"`
	OK      bool   `json:"ok"`
	Skipped bool   `json:"skipped,omitempty"`
	Detail  string `json:"detail,omitempty"` // why it failed or was skipped
	Next    string `json:"next,omitempty"`
}

// VerifyError holds the checks that failed.
type VerifyError struct {
	Service string
	Env     string
	Failed  []Check
}

// Error lists every failed check with its command.
func (e *VerifyError) Error() string {
	var b strings.Builder
	noun := "checks"
	if len(e.Failed) == 1 {
		noun = "check"
	}
	fmt.Fprintf(&b, "verify %s in %s: %d %s failed, nothing was changed", e.Service, e.Env, len(e.Failed), noun)
	for _, c := range e.Failed {
		fmt.Fprintf(&b, "\n  - %s: %s", c.Name, c.Detail)
		if c.Next != "" {
			fmt.Fprintf(&b, "\n    next: %s", c.Next)
		}
	}
	return b.String()
}

// Next returns the command of the first failed check.
func (e *VerifyError) Next() string {
	for _, c := range e.Failed {
		if c.Next != "" {
			return c.Next
		}
	}
	return ""
}

// ExitCode returns 1.
func (e *VerifyError) ExitCode() int { return 1 }

// orNext returns the command that err names, else fallback.
func orNext(err error, fallback string) string {
	if next := event.Next(err); next != "" {
		return next
	}
	return fallback
}

func isNotFound(err error) bool { return errors.Is(err, ErrNotFound) }
