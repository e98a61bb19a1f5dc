package logs

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode"
)

// matcher decides about one message.
type matcher func(message string) bool

// compile reads a filter pattern (Amazon CloudWatch Logs User Guide, filter
// pattern syntax): terms, "quoted phrases", -exclusions, ?alternatives,
// %regular expressions%, or one JSON expression in braces. Patterns for
// space-delimited events ([a, b]) are not supported and say so.
func compile(pattern string) (matcher, error) {
	pattern = strings.TrimSpace(pattern)
	switch {
	case pattern == "":
		return func(string) bool { return true }, nil
	case strings.HasPrefix(pattern, "{"):
		return compileJSON(pattern)
	case strings.HasPrefix(pattern, "["):
		return nil, errors.New("patterns for space-delimited events are not supported by the local cluster")
	}
	return compileTerms(pattern)
}

// terms are a pattern's words: those that must occur, those that must not, and
// alternatives.
type terms struct{ all, none, some []matcher }

func compileTerms(pattern string) (matcher, error) {
	var t terms
	rest := pattern
	for rest != "" {
		sign := byte(0)
		if (rest[0] == '-' || rest[0] == '?') && len(rest) > 1 {
			sign, rest = rest[0], rest[1:]
		}
		var term matcher
		var err error
		if term, rest, err = nextTerm(rest); err != nil {
			return nil, err
		}
		switch sign {
		case '-':
			t.none = append(t.none, term)
		case '?':
			t.some = append(t.some, term)
		default:
			t.all = append(t.all, term)
		}
		rest = strings.TrimLeftFunc(rest, unicode.IsSpace)
	}
	return t.match, nil
}

func (t terms) match(message string) bool {
	holds := func(term matcher) bool { return term(message) }
	fails := func(term matcher) bool { return !term(message) }
	if slices.ContainsFunc(t.all, fails) || slices.ContainsFunc(t.none, holds) {
		return false
	}
	// Alternatives beside required terms have no effect in AWS either.
	return len(t.some) == 0 || len(t.all) > 0 || slices.ContainsFunc(t.some, holds)
}

// nextTerm reads one term off the front of a pattern.
func nextTerm(s string) (term matcher, rest string, err error) {
	switch s[0] {
	case '"':
		text, rest, err := quoted(s)
		return contains(text), rest, err
	case '%':
		end := strings.IndexByte(s[1:], '%')
		if end < 0 {
			return nil, "", errors.New("a regular expression has no closing %")
		}
		re, err := regexp.Compile(s[1 : 1+end])
		if err != nil {
			return nil, "", fmt.Errorf("read regular expression: %w", err)
		}
		return re.MatchString, s[end+2:], nil
	}
	end := strings.IndexFunc(s, unicode.IsSpace)
	if end < 0 {
		end = len(s)
	}
	return contains(s[:end]), s[end:], nil
}

func contains(text string) matcher {
	return func(message string) bool { return strings.Contains(message, text) }
}

// quoted reads a phrase in quotes, in which a backslash keeps the next
// character.
func quoted(s string) (text, rest string, err error) {
	var out strings.Builder
	for i := 1; i < len(s); i++ {
		switch {
		case s[i] == '\\' && i+1 < len(s):
			i++
			out.WriteByte(s[i])
		case s[i] == '"':
			return out.String(), s[i+1:], nil
		default:
			out.WriteByte(s[i])
		}
	}
	return "", "", errors.New("a quoted phrase has no closing quote")
}
