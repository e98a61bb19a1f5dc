package logs

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"sync"
)

// maxLine is where a line without an end is cut into two events, as the
// awslogs driver of containers does.
const maxLine = 256<<10 - 26

// Writer gives a container's output a stream, which is made (with its group)
// at the first line. Each line becomes an event with the time of its arrival;
// empty lines are dropped. Lines are in the stream when Write returns; the
// beginning of one waits for its end, for Close, or for its 256th KiB.
//
// Write never fails, for a task must not block on or die of its log: what
// cannot be stored is dropped, counted, and reported to the Logger.
func (s *Store) Writer(group, stream string) io.WriteCloser {
	return &writer{store: s, group: group, name: stream}
}

type writer struct {
	store       *Store
	group, name string

	mu      sync.Mutex
	stream  *stream
	partial []byte
	dropped int
	closed  bool
}

func (w *writer) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return 0, io.ErrClosedPipe
	}
	now := w.store.now()
	var records []record
	rest := p
	for {
		line, after, ended := bytes.Cut(rest, []byte{'\n'})
		if !ended {
			break
		}
		rest = after
		if len(w.partial) > 0 {
			line = append(w.partial, line...)
			w.partial = nil
		}
		records = appendLine(records, line, now)
	}
	w.partial = append(w.partial, rest...)
	for len(w.partial) >= maxLine {
		records = appendLine(records, w.partial[:maxLine], now)
		w.partial = bytes.Clone(w.partial[maxLine:])
	}
	w.keep(records)
	return len(p), nil
}

// appendLine makes one event of a line, or several of a very long one.
func appendLine(records []record, line []byte, now int64) []record {
	line = bytes.TrimSuffix(line, []byte{'\r'})
	for len(line) > 0 {
		n := min(len(line), maxLine)
		records = append(records, record{
			position: position{Time: now}, Ingested: now, Message: strings.ToValidUTF8(string(line[:n]), "\uFFFD"),
		})
		line = line[n:]
	}
	return records
}

// keep stores records, or counts them as dropped.
func (w *writer) keep(records []record) {
	if len(records) == 0 {
		return
	}
	err := w.try(records)
	if errors.Is(err, errDeleted) { // by a client; the output goes on
		w.stream = nil
		err = w.try(records)
	}
	switch {
	case err != nil:
		if w.dropped == 0 {
			w.store.config.Logger.Error("drop container output", "group", w.group, "stream", w.name, "error", err)
		}
		w.dropped += len(records)
	case w.dropped > 0:
		w.store.config.Logger.Warn("container output was dropped", "group", w.group, "stream", w.name, "lines", w.dropped)
		w.dropped = 0
	}
}

func (w *writer) try(records []record) error {
	if w.stream == nil {
		st, err := w.store.ensure(w.group, w.name)
		if err != nil {
			return err
		}
		st.hold(1)
		w.stream = st
	}
	return w.store.add(w.group, w.stream, records)
}

// Close stores what was begun of a line.
func (w *writer) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return nil
	}
	w.keep(appendLine(nil, w.partial, w.store.now()))
	w.closed, w.partial = true, nil
	if w.stream != nil {
		w.stream.hold(-1)
	}
	return nil
}
