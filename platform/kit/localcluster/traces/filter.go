package traces

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"text/scanner"

	"github.com/slipway-dev/slipway/platform/kit/trace"
	"github.com/slipway-dev/slipway/platform/kit/trace/segment"
)

// subject is what a filter expression may ask of a trace.
type subject struct {
	services                         []string
	fault, blamed, throttle, partial bool
	duration, response               float64 // seconds
	http                             *segment.HTTP
}

func subjectOf(t trace.Trace) subject {
	about := subject{services: t.Services(), partial: t.Partial, duration: t.Duration().Seconds()}
	root := t.Root()
	about.response = root.Duration.Seconds()
	about.http = segment.HTTPOf(root.Attributes)
	for _, s := range t.Spans {
		fault, blamed, throttle := segment.Judge(s)
		about.fault, about.blamed, about.throttle = about.fault || fault, about.blamed || blamed, about.throttle || throttle
	}
	return about
}

// test decides whether a trace is wanted.
type test func(subject) bool

// deepestFilter bounds how filter expressions nest.
const deepestFilter = 32

// parseFilter reads the part of X-Ray's filter expressions that is served (X-Ray
// developer guide, "Use filter expressions"): service("name"), ok, error, fault,
// throttle, partial, duration, responsetime, http.status, http.method, http.url,
// joined by AND, OR and !, in parentheses. Anything else is an error.
func parseFilter(text string) (test, error) {
	if strings.TrimSpace(text) == "" {
		return func(subject) bool { return true }, nil
	}
	p := &filterParser{}
	p.in.Init(strings.NewReader(text))
	p.in.Mode = scanner.ScanIdents | scanner.ScanFloats | scanner.ScanStrings
	p.in.Error = func(_ *scanner.Scanner, what string) { p.fail(what) }
	p.next()
	match := p.either(0)
	if p.err == nil && p.token != scanner.EOF {
		p.fail(fmt.Sprintf("unexpected %q", p.text))
	}
	return match, p.err
}

type filterParser struct {
	in    scanner.Scanner
	token rune
	text  string
	err   error
}

func (p *filterParser) next() { p.token = p.in.Scan(); p.text = p.in.TokenText() }

func (p *filterParser) fail(why string) {
	if p.err == nil {
		p.err = errors.New(why)
	}
}

// took goes on when the token is the word given.
func (p *filterParser) took(word string) bool {
	if !strings.EqualFold(p.text, word) || p.token == scanner.String {
		return false
	}
	p.next()
	return true
}

func (p *filterParser) need(word string) {
	if !p.took(word) {
		p.fail(fmt.Sprintf("expected %s, not %q", word, p.text))
	}
}

func (p *filterParser) either(depth int) test {
	match := p.both(depth)
	for p.err == nil && p.took("OR") {
		left, right := match, p.both(depth)
		match = func(s subject) bool { return left(s) || right(s) }
	}
	return match
}

func (p *filterParser) both(depth int) test {
	match := p.one(depth)
	for p.err == nil && p.took("AND") {
		left, right := match, p.one(depth)
		match = func(s subject) bool { return left(s) && right(s) }
	}
	return match
}

func (p *filterParser) one(depth int) test {
	if depth > deepestFilter {
		p.fail("it nests too deep")
		return nil
	}
	switch {
	case p.took("!"):
		inner := p.one(depth + 1)
		return func(s subject) bool { return !inner(s) }
	case p.took("("):
		inner := p.either(depth + 1)
		p.need(")")
		return inner
	case p.took("service"):
		return p.service()
	default:
		return p.keyword()
	}
}

func (p *filterParser) service() test {
	p.need("(")
	name := p.quoted()
	p.need(")")
	return func(s subject) bool { return slices.Contains(s.services, name) }
}

func (p *filterParser) quoted() string {
	value, err := strconv.Unquote(p.text)
	if err != nil || p.token != scanner.String {
		p.fail(fmt.Sprintf("expected a text in quotes, not %q", p.text))
	}
	p.next()
	return value
}

var flags = map[string]func(subject) bool{
	"ok":       func(s subject) bool { return !s.fault && !s.blamed && !s.throttle },
	"error":    func(s subject) bool { return s.blamed },
	"fault":    func(s subject) bool { return s.fault },
	"throttle": func(s subject) bool { return s.throttle },
	"partial":  func(s subject) bool { return s.partial },
}

var numbers = map[string]func(subject) (float64, bool){
	"duration":     func(s subject) (float64, bool) { return s.duration, true },
	"responsetime": func(s subject) (float64, bool) { return s.response, true },
	"http.status": func(s subject) (float64, bool) {
		if s.http == nil || s.http.Response == nil {
			return 0, false
		}
		return float64(s.http.Response.Status), true
	},
}

var texts = map[string]func(subject) (string, bool){
	"http.method": func(s subject) (string, bool) {
		if s.http == nil {
			return "", false
		}
		return s.http.Request.Method, true
	},
	"http.url": func(s subject) (string, bool) {
		if s.http == nil {
			return "", false
		}
		return s.http.Request.URL, true
	},
}

// keyword reads a flag, or a comparison with a number or a text.
func (p *filterParser) keyword() test {
	name := strings.ToLower(p.text)
	p.next()
	if p.token == '.' {
		p.next()
		name += "." + strings.ToLower(p.text)
		p.next()
	}
	if flag, ok := flags[name]; ok {
		return p.flag(flag)
	}
	if number, ok := numbers[name]; ok {
		return p.number(number)
	}
	if text, ok := texts[name]; ok {
		return p.compareText(text)
	}
	p.fail(fmt.Sprintf("%q is not served by the local cluster", name))
	return nil
}

func (p *filterParser) flag(flag func(subject) bool) test {
	want := true
	different := false
	switch p.operator() {
	case "":
		return flag
	case "=":
	case "!=":
		different = true
	default:
		p.fail("a flag is compared with = or !=")
	}
	switch {
	case p.took("true"):
	case p.took("false"):
		want = false
	default:
		p.fail(fmt.Sprintf("expected true or false, not %q", p.text))
	}
	return func(s subject) bool { return flag(s) == (want != different) }
}

// operator reads a comparison; "" when there is none.
func (p *filterParser) operator() string {
	var op strings.Builder
	for p.token == '=' || p.token == '!' || p.token == '<' || p.token == '>' {
		op.WriteString(p.text)
		p.next()
	}
	return op.String()
}

func (p *filterParser) number(of func(subject) (float64, bool)) test {
	op := p.operator()
	value, err := strconv.ParseFloat(p.text, 64)
	if err != nil {
		p.fail(fmt.Sprintf("expected a number, not %q", p.text))
	}
	p.next()
	compare, ok := map[string]func(a, b float64) bool{
		"=": func(a, b float64) bool { return a == b }, "!=": func(a, b float64) bool { return a != b },
		"<": func(a, b float64) bool { return a < b }, "<=": func(a, b float64) bool { return a <= b },
		">": func(a, b float64) bool { return a > b }, ">=": func(a, b float64) bool { return a >= b },
	}[op]
	if !ok {
		p.fail(fmt.Sprintf("%q does not compare numbers", op))
	}
	return func(s subject) bool {
		v, known := of(s)
		return known && compare(v, value)
	}
}

func (p *filterParser) compareText(of func(subject) (string, bool)) test {
	op := p.operator()
	if op == "" {
		op = strings.ToUpper(p.text)
		p.next()
	}
	value := p.quoted()
	compare, ok := map[string]func(a, b string) bool{
		"=": func(a, b string) bool { return a == b }, "!=": func(a, b string) bool { return a != b },
		"CONTAINS": strings.Contains, "BEGINSWITH": strings.HasPrefix, "ENDSWITH": strings.HasSuffix,
	}[op]
	if !ok {
		p.fail(fmt.Sprintf("%q does not compare texts", op))
	}
	return func(s subject) bool {
		v, known := of(s)
		return known && compare(v, value)
	}
}
