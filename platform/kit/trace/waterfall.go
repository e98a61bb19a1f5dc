package trace

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// View says how to draw a trace.
type View struct {
	// Columns is the width of the terminal; less than 60 counts as 60.
	Columns int
	// Verbose adds every span's attributes, and its service's resource.
	Verbose bool
}

const (
	leastColumns = 60
	numberWidth  = 10
)

// Waterfall draws the trace as a tree with a time line.
func (t Trace) Waterfall(view View) string {
	start, _ := t.Bounds()
	roots := t.Tree()
	var b strings.Builder
	fmt.Fprintf(&b, "trace %s   %s\n", t.ID, t.ID.XRay())
	fmt.Fprintf(&b, "%s   %s   %s   %s   %s\n", start.UTC().Format("2006-01-02 15:04:05.000 UTC"), Length(t.Duration()), t.Status(),
		count(len(t.Spans), "span"), oneLine(strings.Join(t.Services(), ", ")))
	if t.Partial {
		b.WriteString("some spans of this trace were not kept\n")
	}
	b.WriteString("\n")
	total := max(leastColumns, view.Columns)
	d := drawing{out: &b, view: view, bar: max(12, (total-2*numberWidth)/3), names: map[string]string{}}
	d.label = total - 2*numberWidth - d.bar - 2
	d.whole = extent(roots)
	for _, s := range t.Spans {
		d.names[s.ID] = s.Service + " " + s.Name
	}
	fmt.Fprintf(&b, "%s%s%s\n", pad("span", d.label), right("after"), right("took"))
	for _, r := range roots {
		d.node(r, "", "", "", t.ID)
	}
	return b.String()
}

// extent is the time from the first offset to the last end.
func extent(list []*Node) (end time.Duration) {
	for _, n := range list {
		end = max(end, n.Offset+n.Span.Duration, extent(n.Children))
	}
	return end
}

type drawing struct {
	out        *strings.Builder
	view       View
	label, bar int
	whole      time.Duration
	names      map[string]string // by span id
}

// node writes a span and all below it. The service is named where it changes.
func (d *drawing) node(n *Node, first, rest, service string, id ID) {
	name := brief(oneLine(n.Span.Name))
	if n.Span.Service != service {
		name = oneLine(n.Span.Service) + ": " + name
	}
	if n.Span.Status == Error {
		name = "! " + name
	}
	offset := Length(n.Offset)
	if n.Skew != 0 {
		offset = "~" + offset
	}
	line := pad(cut(first+name, d.label), d.label) + right(offset) + right(Length(n.Span.Duration)) + "  " + d.line(n)
	d.out.WriteString(strings.TrimRight(line, " ") + "\n")
	below := rest
	if len(n.Children) > 0 {
		below += "│ "
	} else {
		below += "  "
	}
	d.notes(n, below, service, id)
	for i, c := range n.Children {
		if i == len(n.Children)-1 {
			d.node(c, rest+"└ ", rest+"  ", n.Span.Service, id)
		} else {
			d.node(c, rest+"├ ", rest+"│ ", n.Span.Service, id)
		}
	}
}

// brief leaves the proto package off a method's name.
func brief(name string) string {
	service, method, ok := strings.Cut(strings.TrimPrefix(name, "/"), "/")
	if !ok || strings.ContainsAny(service, " :") || !strings.Contains(service, ".") {
		return name
	}
	return service[strings.LastIndexByte(service, '.')+1:] + "/" + method
}

// line is the span's bar on the time line, at least one mark wide.
func (d *drawing) line(n *Node) string {
	if d.whole <= 0 {
		return strings.Repeat("█", d.bar)
	}
	at := func(t time.Duration) int { return int(float64(t) / float64(d.whole) * float64(d.bar)) }
	from := min(at(n.Offset), d.bar-1)
	length := min(at(n.Offset+n.Span.Duration), d.bar) - from
	if length < 1 {
		return strings.Repeat(" ", from) + "▏"
	}
	return strings.Repeat(" ", from) + strings.Repeat("█", length)
}

// notes are the lines below a span.
func (d *drawing) notes(n *Node, prefix, service string, id ID) {
	note := func(format string, args ...any) {
		d.out.WriteString(prefix + oneLine(fmt.Sprintf(format, args...)) + "\n")
	}
	if n.Span.Status == Error && n.Span.Message != "" {
		note("error: %s", n.Span.Message)
	}
	if n.Orphan {
		note("its parent %s is not here", n.Span.Parent)
	}
	for _, l := range n.Span.Links {
		switch name, here := d.names[l.Span]; {
		case l.Trace == id && here:
			note("follows from %s (%s)", name, l.Span)
		case l.Trace == id:
			note("follows from span %s", l.Span)
		default:
			note("follows from trace %s, span %s", l.Trace, l.Span)
		}
	}
	if !d.view.Verbose {
		return
	}
	for _, key := range slices.Sorted(maps.Keys(n.Span.Attributes)) {
		note("%s: %v", key, n.Span.Attributes[key])
	}
	if n.Span.Service != service {
		for _, key := range slices.Sorted(maps.Keys(n.Span.Resource)) {
			note("resource %s: %v", key, n.Span.Resource[key])
		}
	}
}

// count is "1 span", "2 spans".
func count(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return strconv.Itoa(n) + " " + what
}
