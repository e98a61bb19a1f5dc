package trace

import (
	"fmt"
	"strings"
)

// ID is a trace id: 32 lower-case hexadecimal digits (W3C Trace Context,
// trace-id). The empty ID is none.
type ID string

const (
	idDigits   = 32
	timeDigits = 8
	// leastPrefix keeps an abbreviation from matching by accident.
	leastPrefix = 4
)

// XRay writes the id as AWS X-Ray does: 1-TIME-REST.
func (id ID) XRay() string {
	if len(id) != idDigits {
		return string(id)
	}
	return "1-" + string(id[:timeDigits]) + "-" + string(id[timeDigits:])
}

// Complete reports whether the id is whole and not the invalid one of zeros.
func (id ID) Complete() bool {
	return len(id) == idDigits && isHex(string(id)) && strings.Trim(string(id), "0") != ""
}

// ParseID reads an id, or the beginning of one, in W3C's form or X-Ray's.
func ParseID(text string) (ID, error) {
	digits := strings.ToLower(strings.TrimSpace(text))
	if rest, ok := strings.CutPrefix(digits, "1-"); ok {
		first, second, dashed := strings.Cut(rest, "-")
		if len(first) > timeDigits || dashed && len(first) != timeDigits {
			return "", badID(text)
		}
		digits = first + second
	}
	if len(digits) < leastPrefix || len(digits) > idDigits || !isHex(digits) {
		return "", badID(text)
	}
	return ID(digits), nil
}

func isHex(s string) bool {
	return strings.Trim(s, "0123456789abcdef") == ""
}

// IDError is a text that is no trace id.
type IDError struct{ Text string }

func badID(text string) error { return &IDError{Text: text} }

// Error says what a trace id looks like.
func (e *IDError) Error() string {
	return fmt.Sprintf("read trace id %q: it has the form 4bf92f3577b34da6a3ce929d0e0e4736 or 1-4bf92f35-77b34da6a3ce929d0e0e4736, or is the beginning of one, at least %d digits", e.Text, leastPrefix)
}

// ExitCode is that of wrong use.
func (e *IDError) ExitCode() int { return 2 }

// Next is the command to type next.
func (e *IDError) Next() string { return "go tool mage traces local" }
