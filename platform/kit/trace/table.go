package trace

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Table lists traces, one a line, in the order given.
func Table(traces []Trace) string {
	if len(traces) == 0 {
		return "no traces\n"
	}
	rows := [][]string{{"trace", "start", "duration", "name", "status", "services", "spans"}}
	for _, t := range traces {
		start, _ := t.Bounds()
		root := t.Root()
		status := string(t.Status())
		if code := root.Code(); code != 0 {
			status += " " + strconv.Itoa(code)
		}
		spans := strconv.Itoa(len(t.Spans))
		if t.Partial {
			spans += "+"
		}
		rows = append(rows, []string{
			string(t.ID), start.UTC().Format("15:04:05.000"), Length(t.Duration()), cut(oneLine(root.Name), 40),
			status, oneLine(strings.Join(t.Services(), ",")), spans,
		})
	}
	return columns(rows)
}

// columns pads each column to its widest cell.
func columns(rows [][]string) string {
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	var b strings.Builder
	for _, row := range rows {
		var line strings.Builder
		for i, cell := range row {
			line.WriteString(pad(cell, widths[i]+2))
		}
		b.WriteString(strings.TrimRight(line.String(), " ") + "\n")
	}
	return b.String()
}

// Length writes a duration with three digits or so: "85 µs", "1.25 ms", "12.5
// ms", "182 ms", "2.40 s".
func Length(d time.Duration) string {
	ms := float64(d) / float64(time.Millisecond)
	switch {
	case d < 0:
		return "-" + Length(-d)
	case d == 0:
		return "0"
	case d < time.Millisecond:
		return strconv.FormatInt(d.Microseconds(), 10) + " µs"
	case ms < 10:
		return fmt.Sprintf("%.2f ms", ms)
	case ms < 100:
		return fmt.Sprintf("%.1f ms", ms)
	case ms < 1000:
		return fmt.Sprintf("%.0f ms", ms)
	case d < 100*time.Second:
		return fmt.Sprintf("%.2f s", d.Seconds())
	default:
		return d.Round(time.Second).String()
	}
}

// pad fills text with blanks to a width.
func pad(text string, width int) string {
	return text + strings.Repeat(" ", max(0, width-utf8.RuneCountInString(text)))
}

// right sets a number in its column.
func right(number string) string {
	return strings.Repeat(" ", max(0, numberWidth-utf8.RuneCountInString(number))) + number
}

// cut shortens text to a width, and shows that it did.
func cut(text string, width int) string {
	if utf8.RuneCountInString(text) <= width {
		return text
	}
	return string([]rune(text)[:max(0, width-1)]) + "…"
}

// oneLine keeps what others wrote from breaking the layout.
func oneLine(text string) string {
	return strings.Map(func(c rune) rune {
		if c < ' ' || c == 0x7f {
			return ' '
		}
		return c
	}, strings.ToValidUTF8(text, "\uFFFD"))
}
