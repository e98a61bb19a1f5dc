package logs

import "testing"

func TestPatterns(t *testing.T) {
	t.Parallel()
	const event = `{"level":"ERROR","status":503,"ok":false,"none":null,"user":{"name":"ann lee"},"tags":["a","b"],"ratio":0.5}`
	cases := []struct {
		pattern, message string
		want             bool
	}{
		{"", "anything", true},
		{"ERROR", "an ERROR here", true},
		{"ERROR", "an error here", false},
		{"ERROR here", "here is an ERROR", true},
		{"ERROR there", "here is an ERROR", false},
		{`"an ERROR"`, "here is an ERROR", true},
		{`"ERROR an"`, "here is an ERROR", false},
		{`"say \"x\""`, `they say "x"`, true},
		{"ERROR -ignored", "ERROR ignored", false},
		{"ERROR -ignored", "ERROR", true},
		{`-"a b"`, "a b", false},
		{"?WARN ?ERROR", "an ERROR", true},
		{"?WARN ?ERROR", "fine", false},
		{"%5[0-9]{2}%", "status 503", true},
		{"%5[0-9]{2}%", "status 404", false},
		{`{ $.level = "ERROR" }`, event, true},
		{`{ $.level = ERROR }`, event, true},
		{`{ $.level = "ERR*" }`, event, true},
		{`{ $.level = "ERR" }`, event, false},
		{`{ $.level != "INFO" }`, event, true},
		{`{ $.missing != "INFO" }`, event, false},
		{`{ $.status >= 500 && $.status < 600 }`, event, true},
		{`{$.status=503}`, event, true},
		{`{ $.status > 503 }`, event, false},
		{`{ $.status <= 503 }`, event, true},
		{`{ $.status = 5* }`, event, true},
		{`{ $.ratio = 0.5 }`, event, true},
		{`{ $.user.name = "ann *" }`, event, true},
		{`{ $.tags[1] = "b" }`, event, true},
		{`{ $["level"] = "ERROR" }`, event, true},
		{`{ $.tags[2] = "b" }`, event, false},
		{`{ $.ok IS FALSE }`, event, true},
		{`{ $.ok is true }`, event, false},
		{`{ $.none IS NULL }`, event, true},
		{`{ $.missing NOT EXISTS }`, event, true},
		{`{ $.level NOT EXISTS }`, event, false},
		{`{ $.level = %^ERR% }`, event, true},
		{`{ $.level = "INFO" || $.status = 503 && $.ok IS FALSE }`, event, true},
		{`{ ($.level = "INFO" || $.status = 503) && $.ok IS TRUE }`, event, false},
		{`{ $.level = "ERROR" }`, "not JSON ERROR", false},
		{`{ $.level = "ERROR" }`, `"ERROR"`, false},
	}
	for _, c := range cases {
		matches, err := compile(c.pattern)
		if err != nil {
			t.Errorf("%s: %v", c.pattern, err)
			continue
		}
		if got := matches(c.message); got != c.want {
			t.Errorf("%s on %s: got %t", c.pattern, c.message, got)
		}
	}
	for _, bad := range []string{
		`"open`, "%open", "%(%", "[a, b]", "{", "{ }", "{ level = 1 }", "{ $.a }", "{ $.a = }", "{ $.a > x }", "{ $.a = 1 ) }",
		"{ ($.a = 1 }", "{ $.a NOT NULL }", "{ $.a IS 1 }", "{ $. = 1 }", "{ $.a[0 = 1 }", "{ $.a = 1 && }", `{ $.a = "x }`, "{ $.a = %x }",
	} {
		if _, err := compile(bad); err == nil {
			t.Errorf("%s: no error", bad)
		}
	}
}

func FuzzCompile(f *testing.F) {
	f.Add(`{ ($.a = "x*" || $.b[0] >= 2) && $.c NOT EXISTS }`, `{"a":"x"}`)
	f.Add(`a "b c" -d ?e %f%`, "a b c")
	f.Fuzz(func(_ *testing.T, pattern, message string) {
		if matches, err := compile(pattern); err == nil {
			matches(message)
		}
	})
}
