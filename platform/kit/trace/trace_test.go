package trace

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

var update = flag.Bool("update", false, "write the golden files instead of comparing with them")

var began = time.Date(2026, 11, 22, 10, 0, 0, 123e6, time.UTC)

func span(id, parent, service, name string, kind Kind, after, took float64) Span {
	ms := func(v float64) time.Duration { return time.Duration(v * float64(time.Millisecond)) }
	return Span{ID: id, Parent: parent, Service: service, Name: name, Kind: kind, Start: began.Add(ms(after)), Duration: ms(took), Status: OK}
}

// order is a request as it goes through the whole system.
func order() Trace {
	const id = "6921c0a04bf92f3577b34da6a3ce929d"
	failed := span("a7", "a3", "orders", "INSERT outbox", Client, 121, 0.4)
	failed.Status, failed.Message = Error, "duplicate key\nvalue"
	job := span("b1", "", "orders", "job confirm_order", Consumer, 260, 31)
	job.Links = []Link{{Trace: id, Span: "a3"}, {Trace: "6921c0a0000000000000000000000001", Span: "ff"}}
	entry := span("a1", "", GatewayService, "POST /v1/orders", Server, 0, 182)
	entry.Attributes = map[string]any{"http.response.status_code": int64(201), "url.path": "/v1/orders"}
	root := span("a2", "", "orders", "POST /v1/orders", Server, 1.2, 180)
	root.Resource = map[string]any{"aws.ecs.task.arn": "arn:aws:ecs:task/1"}
	return Trace{ID: id, Spans: []Span{
		job, root, entry,
		span("a3", "a2", "orders", "slipway.orders.v1.OrderService/CreateOrder", Internal, 2, 178),
		span("a4", "a3", "orders", "slipway.catalog.v1.CatalogService/BatchGetProducts", Client, 4, 40),
		span("a5", "a4", "catalog", "slipway.catalog.v1.CatalogService/BatchGetProducts", Server, 10, 30),
		span("a6", "a5", "catalog", "SELECT products", Client, 12, 4),
		failed,
		span("c1", "lost", "inventory", "orphan", Internal, 50, 1),
	}}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s differs (-want +got); -update writes it:\n%s", path, diff)
	}
}

func TestViews(t *testing.T) {
	whole := order()
	whole.Tidy()
	raw, err := json.MarshalIndent(whole, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	partial := Trace{ID: "6921c0a0000000000000000000000002", Partial: true, Spans: []Span{span("d1", "", "catalog", "job sweep", Internal, 0, 0.085)}}
	for name, got := range map[string]string{
		"waterfall_80":      order().Waterfall(View{Columns: 80}),
		"waterfall_140":     order().Waterfall(View{Columns: 140}),
		"waterfall_narrow":  order().Waterfall(View{Columns: 10}),
		"waterfall_verbose": order().Waterfall(View{Columns: 80, Verbose: true}),
		"waterfall_one":     partial.Waterfall(View{Columns: 80}),
		"table":             Table([]Trace{order(), partial}),
		"table_empty":       Table(nil),
		"json":              string(raw) + "\n",
	} {
		t.Run(name, func(t *testing.T) { golden(t, name, got) })
	}
}

// shape writes a tree as "a(b c(d)) e".
func shape(list []*Node) string {
	var parts []string
	for _, n := range list {
		text := n.Span.ID
		if n.Orphan {
			text += "?"
		}
		if len(n.Children) > 0 {
			text += "(" + shape(n.Children) + ")"
		}
		parts = append(parts, text)
	}
	return strings.Join(parts, " ")
}

func TestTree(t *testing.T) {
	s := func(id, parent string, after float64) Span { return span(id, parent, "a", id, Internal, after, 10) }
	in := func(service, id, parent string, kind Kind, after, took float64) Span {
		return span(id, parent, service, id, kind, after, took)
	}
	tests := map[string]struct {
		spans []Span
		want  string
	}{
		"none":                            {nil, ""},
		"in any order":                    {[]Span{s("c", "b", 2), s("b", "a", 1), s("a", "", 0)}, "a(b(c))"},
		"siblings by start":               {[]Span{s("a", "", 0), s("c", "a", 2), s("b", "a", 1)}, "a(b c)"},
		"several roots":                   {[]Span{s("b", "", 1), s("a", "", 0)}, "a b"},
		"a missing parent":                {[]Span{s("a", "", 0), s("b", "x", 1), s("c", "b", 2)}, "a b?(c)"},
		"its own parent":                  {[]Span{s("a", "a", 0)}, "a?"},
		"a circle":                        {[]Span{s("b", "c", 1), s("c", "a", 2), s("a", "b", 0), s("r", "", 3)}, "a?(c(b)) r"},
		"a circle with a tail":            {[]Span{s("a", "b", 0), s("b", "a", 1), s("c", "b", 2)}, "a?(b(c))"},
		"a span sent twice":               {[]Span{s("a", "", 0), s("b", "a", 1), s("b", "a", 1)}, "a(b)"},
		"the gateway adopts":              {[]Span{in("gateway", "g", "", Server, 0, 10), in("orders", "o", "", Server, 1, 8)}, "g(o)"},
		"the gateway adopts a stranger's": {[]Span{in("gateway", "g", "client", Server, 0, 10), in("orders", "o", "client", Server, 1, 8)}, "g?(o)"},
		"not a span of another parent":    {[]Span{in("gateway", "g", "", Server, 0, 10), in("orders", "o", "x", Server, 1, 8)}, "g o?"},
		"not a job":                       {[]Span{in("gateway", "g", "", Server, 0, 10), in("orders", "o", "", Consumer, 1, 8)}, "g o"},
		"not what began long after":       {[]Span{in("gateway", "g", "", Server, 0, 10), in("orders", "o", "", Server, 500, 8)}, "g o"},
		"each request its own gateway's": {
			[]Span{in("gateway", "g", "", Server, 0, 10), in("gateway", "h", "", Server, 20, 10), in("orders", "o", "", Server, 1, 8), in("orders", "p", "", Server, 21, 8)},
			"g(o) h(p)",
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if got := shape(Trace{Spans: tc.spans}.Tree()); got != tc.want {
				t.Errorf("tree %q, want %q", got, tc.want)
			}
		})
	}
}

func TestClockSkewIsCorrected(t *testing.T) {
	call := span("a", "", "orders", "call", Client, 100, 40)
	tests := map[string]struct {
		child      Span
		skew, want float64 // milliseconds
	}{
		"within the call":              {span("b", "a", "catalog", "serve", Server, 110, 20), 0, 10},
		"before the call":              {span("b", "a", "catalog", "serve", Server, 60, 20), 50, 10},
		"after the call":               {span("b", "a", "catalog", "serve", Server, 150, 20), -40, 10},
		"longer than the call":         {span("b", "a", "catalog", "serve", Server, 90, 80), 0, -10},
		"work that outlives its cause": {span("b", "a", "catalog", "work", Consumer, 150, 20), 0, 50},
		"the same clock":               {span("b", "a", "orders", "serve", Server, 150, 20), 0, 50},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			roots := Trace{Spans: []Span{call, tc.child, span("c", "b", tc.child.Service, "below", Internal, 0, 1)}}.Tree()
			n := roots[0].Children[0]
			ms := func(d time.Duration) float64 { return float64(d) / 1e6 }
			if got := ms(n.Skew); got != tc.skew {
				t.Errorf("skew %v ms, want %v", got, tc.skew)
			}
			if got := ms(n.Offset - roots[0].Offset); got != tc.want {
				t.Errorf("%v ms after the call, want %v", got, tc.want)
			}
			if below := n.Children[0]; below.Skew != n.Skew {
				t.Errorf("what is below is moved by %s, not by %s", below.Skew, n.Skew)
			}
		})
	}
}

// Whatever spans arrive, each is drawn once and no line is wider than asked.
func TestAnySpansMakeATree(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(0, 30).Draw(t, "spans")
		var spans []Span
		for range n {
			id := fmt.Sprint(rapid.IntRange(1, 20).Draw(t, "id"))
			parent := rapid.SampledFrom([]string{"", "1", "2", "3", "5", "8", "13", "99"}).Draw(t, "parent")
			service := rapid.SampledFrom([]string{GatewayService, "orders", "catalog"}).Draw(t, "service")
			kind := rapid.SampledFrom([]Kind{Server, Client, Internal, Consumer}).Draw(t, "kind")
			s := span(id, parent, service, rapid.String().Draw(t, "name"), kind, rapid.Float64Range(-1e6, 1e6).Draw(t, "after"), rapid.Float64Range(-10, 1e5).Draw(t, "took"))
			spans = append(spans, s)
		}
		seen := map[string]int{}
		var walk func(list []*Node)
		walk = func(list []*Node) {
			for _, n := range list {
				seen[n.Span.ID]++
				if n.Offset < 0 {
					t.Errorf("span %s begins %s before the trace", n.Span.ID, -n.Offset)
				}
				walk(n.Children)
			}
		}
		whole := Trace{ID: "x", Spans: spans}
		walk(whole.Tree())
		want := map[string]int{}
		for _, s := range spans {
			want[s.ID] = 1
		}
		if diff := cmp.Diff(want, seen); diff != "" {
			t.Errorf("spans in the tree (-want +got):\n%s", diff)
		}
		_, drawing, _ := strings.Cut(whole.Waterfall(View{Columns: 100}), "\n\n")
		for line := range strings.Lines(drawing) {
			if strings.Contains(line, "its parent") {
				continue
			}
			if width := utf8.RuneCountInString(strings.TrimRight(line, "\n")); width > 100 {
				t.Errorf("a line of %d columns: %q", width, line)
			}
		}
	})
}

func TestParseID(t *testing.T) {
	const whole = "4bf92f3577b34da6a3ce929d0e0e4736"
	for name, tc := range map[string]struct {
		in       string
		want     ID
		complete bool
	}{
		"W3C":                  {whole, whole, true},
		"upper case":           {strings.ToUpper(whole), whole, true},
		"X-Ray":                {"1-4bf92f35-77b34da6a3ce929d0e0e4736", whole, true},
		"a beginning":          {"4bf92f35", "4bf92f35", false},
		"a beginning of X-Ray": {"1-4bf92f35-77", "4bf92f3577", false},
		"short X-Ray":          {"1-4bf92f", "4bf92f", false},
		"too short":            {"4bf", "", false},
		"too long":             {whole + "0", "", false},
		"not hexadecimal":      {"catalog", "", false},
		"a dash too early":     {"1-4bf9-77b34da6", "", false},
		"nothing":              {"", "", false},
		"zeros":                {strings.Repeat("0", 32), ID(strings.Repeat("0", 32)), false},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := ParseID(tc.in)
			if got != tc.want || (err == nil) != (tc.want != "") || got.Complete() != tc.complete {
				t.Errorf("ParseID(%q) = %q, %v, complete %v", tc.in, got, err, got.Complete())
			}
		})
	}
}
