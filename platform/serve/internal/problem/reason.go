package problem

import (
	"strings"

	"google.golang.org/grpc/codes"
)

// reasonOf is the code in UPPER_SNAKE_CASE, the reason of an error that gives
// none of its own.
func reasonOf(code codes.Code) string { return UpperSnake(code.String()) }

// UpperSnake writes NotFound, string.min_len and the like as NOT_FOUND and
// STRING_MIN_LEN.
func UpperSnake(s string) string {
	var b strings.Builder
	for i, r := range s {
		switch {
		case r == '.' || r == '-' || r == ' ':
			b.WriteByte('_')
			continue
		case r >= 'A' && r <= 'Z' && i > 0 && s[i-1] >= 'a' && s[i-1] <= 'z':
			b.WriteByte('_')
		}
		b.WriteRune(r)
	}
	return strings.ToUpper(b.String())
}
