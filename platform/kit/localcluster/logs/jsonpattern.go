package logs

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"unicode"
)

// compileJSON reads { expression }, where an expression is comparisons of
// selectors ($.a.b[0]) with strings (* is a wildcard), numbers, TRUE, FALSE or
// NULL, joined by && and || (&& binds closer) and grouped by parentheses.
func compileJSON(pattern string) (matcher, error) {
	body, ok := strings.CutSuffix(strings.TrimPrefix(pattern, "{"), "}")
	if !ok {
		return nil, errors.New("a JSON pattern has no closing brace")
	}
	p := &jsonParser{rest: body}
	test, err := p.or()
	if err != nil {
		return nil, err
	}
	if p.skip(); p.rest != "" {
		return nil, fmt.Errorf("unexpected %q", p.rest)
	}
	return func(message string) bool {
		in := json.NewDecoder(strings.NewReader(message))
		in.UseNumber()
		var tree any
		return strings.HasPrefix(strings.TrimSpace(message), "{") && in.Decode(&tree) == nil && test(tree)
	}, nil
}

// condition decides about one decoded event.
type condition func(tree any) bool

type jsonParser struct{ rest string }

func (p *jsonParser) skip() { p.rest = strings.TrimLeftFunc(p.rest, unicode.IsSpace) }

// take reads a token if it is next.
func (p *jsonParser) take(token string) bool {
	p.skip()
	rest, ok := strings.CutPrefix(p.rest, token)
	if ok {
		p.rest = rest
	}
	return ok
}

// word reads a word, in any case, if it is next.
func (p *jsonParser) word(word string) bool {
	p.skip()
	if len(p.rest) < len(word) || !strings.EqualFold(p.rest[:len(word)], word) {
		return false
	}
	if after := p.rest[len(word):]; after != "" && (unicode.IsLetter(rune(after[0])) || after[0] == '_') {
		return false
	}
	p.rest = p.rest[len(word):]
	return true
}

func (p *jsonParser) or() (condition, error) {
	left, err := p.and()
	for err == nil && p.take("||") {
		var right condition
		if right, err = p.and(); err == nil {
			a := left
			left = func(tree any) bool { return a(tree) || right(tree) }
		}
	}
	return left, err
}

func (p *jsonParser) and() (condition, error) {
	left, err := p.single()
	for err == nil && p.take("&&") {
		var right condition
		if right, err = p.single(); err == nil {
			a := left
			left = func(tree any) bool { return a(tree) && right(tree) }
		}
	}
	return left, err
}

func (p *jsonParser) single() (condition, error) {
	if p.take("(") {
		inner, err := p.or()
		if err == nil && !p.take(")") {
			err = errors.New("a parenthesis is not closed")
		}
		return inner, err
	}
	path, err := p.selector()
	if err != nil {
		return nil, err
	}
	switch {
	case p.word("IS"):
		return p.is(path)
	case p.word("NOT"):
		if !p.word("EXISTS") {
			return nil, errors.New("NOT is followed by EXISTS only")
		}
		return func(tree any) bool { _, found := find(tree, path); return !found }, nil
	}
	for _, operator := range []string{"!=", "<=", ">=", "=", "<", ">"} {
		if p.take(operator) {
			return p.comparison(path, operator)
		}
	}
	return nil, fmt.Errorf("an operator is expected at %q", p.rest)
}

// selector reads $.a.b[0] or $["a"] into its steps: names and numbers.
func (p *jsonParser) selector() ([]any, error) {
	if !p.take("$") {
		return nil, fmt.Errorf("a selector ($.name) is expected at %q", p.rest)
	}
	var path []any
	for {
		switch {
		case strings.HasPrefix(p.rest, "."):
			p.rest = p.rest[1:]
			end := strings.IndexFunc(p.rest, func(r rune) bool { return unicode.IsSpace(r) || strings.ContainsRune(`.[]=!<>()&|`, r) })
			if end < 0 {
				end = len(p.rest)
			}
			if end == 0 {
				return nil, errors.New("a selector has an empty name")
			}
			path, p.rest = append(path, p.rest[:end]), p.rest[end:]
		case strings.HasPrefix(p.rest, "["):
			inside, after, ok := strings.Cut(p.rest[1:], "]")
			if !ok {
				return nil, errors.New("a selector has no closing bracket")
			}
			p.rest = after
			if n, err := strconv.Atoi(inside); err == nil {
				path = append(path, n)
			} else {
				path = append(path, strings.Trim(inside, `"'`))
			}
		default:
			return path, nil
		}
	}
}

func (p *jsonParser) is(path []any) (condition, error) {
	for word, want := range map[string]any{"TRUE": true, "FALSE": false, "NULL": nil} {
		if p.word(word) {
			return func(tree any) bool { got, found := find(tree, path); return found && got == want }, nil
		}
	}
	return nil, errors.New("IS is followed by TRUE, FALSE or NULL")
}

func (p *jsonParser) comparison(path []any, operator string) (condition, error) {
	p.skip()
	var text string
	isQuoted := strings.HasPrefix(p.rest, `"`)
	switch {
	case isQuoted:
		var err error
		if text, p.rest, err = quoted(p.rest); err != nil {
			return nil, err
		}
	case strings.HasPrefix(p.rest, "%"):
		return p.expression(path, operator)
	default:
		end := strings.IndexFunc(p.rest, func(r rune) bool { return unicode.IsSpace(r) || strings.ContainsRune("()&|", r) })
		if end < 0 {
			end = len(p.rest)
		}
		text, p.rest = p.rest[:end], p.rest[end:]
	}
	if text == "" && !isQuoted {
		return nil, errors.New("a value is expected after " + operator)
	}
	number, err := strconv.ParseFloat(text, 64)
	if err == nil && !isQuoted {
		return func(tree any) bool {
			got, isNumber := numberAt(tree, path)
			return isNumber && compareNumbers(got, operator, number)
		}, nil
	}
	if operator != "=" && operator != "!=" {
		return nil, fmt.Errorf("%s compares numbers, not %q", operator, text)
	}
	return matchText(path, operator, wildcard(text)), nil
}

// expression reads %a regular expression% to compare with.
func (p *jsonParser) expression(path []any, operator string) (condition, error) {
	body, after, ok := strings.Cut(p.rest[1:], "%")
	if !ok || operator != "=" && operator != "!=" {
		return nil, errors.New("a regular expression is closed by % and compared by = or !=")
	}
	p.rest = after
	re, err := regexp.Compile(body)
	if err != nil {
		return nil, fmt.Errorf("read regular expression: %w", err)
	}
	return matchText(path, operator, re), nil
}

func matchText(path []any, operator string, re *regexp.Regexp) condition {
	return func(tree any) bool {
		got, found := find(tree, path)
		if !found {
			return false
		}
		text := fmt.Sprint(got)
		return re.MatchString(text) == (operator == "=")
	}
}

// wildcard is the expression of a text in which * stands for anything.
func wildcard(text string) *regexp.Regexp {
	parts := strings.Split(text, "*")
	for i, part := range parts {
		parts[i] = regexp.QuoteMeta(part)
	}
	return regexp.MustCompile(`(?s)^` + strings.Join(parts, ".*") + `$`)
}

func compareNumbers(got float64, operator string, want float64) bool {
	switch operator {
	case "=":
		return got == want
	case "!=":
		return got != want
	case "<":
		return got < want
	case "<=":
		return got <= want
	case ">":
		return got > want
	default:
		return got >= want
	}
}

func numberAt(tree any, path []any) (float64, bool) {
	got, _ := find(tree, path)
	number, ok := got.(json.Number)
	if !ok {
		return 0, false
	}
	f, err := number.Float64()
	return f, err == nil
}

func find(tree any, path []any) (any, bool) {
	for _, step := range path {
		switch step := step.(type) {
		case string:
			object, ok := tree.(map[string]any)
			if !ok {
				return nil, false
			}
			if tree, ok = object[step]; !ok {
				return nil, false
			}
		case int:
			list, ok := tree.([]any)
			if !ok || step < 0 || step >= len(list) {
				return nil, false
			}
			tree = list[step]
		}
	}
	return tree, true
}
