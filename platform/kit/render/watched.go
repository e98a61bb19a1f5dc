package render

import (
	"io"
	"os"
	"strings"

	"golang.org/x/term"
)

// watched keeps the lines of results that take one another's place.
type watched struct{ lines []string }

// change takes the next screen in and returns the lines that the one before did
// not have.
func (s *watched) change(text string) (news []string) {
	words := func(l string) string { return strings.Join(strings.Fields(l), " ") } // columns may move
	before := map[string]bool{}
	for _, l := range s.lines {
		before[words(l)] = true
	}
	s.lines = strings.Split(strings.TrimRight(text, "\n"), "\n")
	for _, l := range s.lines {
		if !before[words(l)] {
			news = append(news, l)
		}
	}
	return news
}

// write writes the lines that are new.
func (s *watched) write(out io.Writer, text string) {
	if news := s.change(text); len(news) > 0 {
		write(out, strings.Join(news, "\n")+"\n")
	}
}

// piped reports whether results go somewhere else than to the terminal.
func piped(out io.Writer) bool {
	f, ok := out.(*os.File)
	return ok && !term.IsTerminal(int(f.Fd()))
}
