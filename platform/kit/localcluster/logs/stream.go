package logs

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
)

const segmentSuffix = ".log"

// stream is one log stream: a folder of segments, oldest first, of which the
// last may be open for writing.
type stream struct {
	dir  string
	info streamInfo

	mu       sync.Mutex
	segments []*segment
	file     *os.File // the last segment, nil until something is written
	deleted  bool
	writers  int // that are not closed; such a stream is not swept
}

// streamInfo is the content of stream.json.
type streamInfo struct {
	Name    string
	Created int64
}

func createStream(dir string, info streamInfo) (*stream, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("create log stream: %w", err)
	}
	if err := writeJSON(filepath.Join(dir, "stream.json"), info); err != nil {
		return nil, fmt.Errorf("create log stream: %w", err)
	}
	return &stream{dir: dir, info: info}, nil
}

// loadStream lists a stream's folder. It reads no segment: see segment.index.
func loadStream(dir string) (*stream, error) {
	s := &stream{dir: dir}
	if err := readJSON(filepath.Join(dir, "stream.json"), &s.info); err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(dir) // in order of name, which is the order of numbers
	if err != nil {
		return nil, err
	}
	for _, entry := range entries {
		if !strings.HasSuffix(entry.Name(), segmentSuffix) {
			continue
		}
		info, err := entry.Info()
		if err != nil {
			return nil, err
		}
		s.segments = append(s.segments, &segment{
			path: filepath.Join(dir, entry.Name()), size: info.Size(), changed: info.ModTime().UnixMilli(),
		})
	}
	return s, nil
}

// append writes records with one system call: once it returns, they survive
// the end of this process. It says whether a new segment was begun.
func (s *stream) append(records []record, limit int64) (rotated bool, err error) {
	if len(records) == 0 {
		return false, nil
	}
	var buf []byte
	for _, r := range records {
		buf = appendRecord(buf, r)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.deleted {
		return false, errDeleted
	}
	rotated, err = s.ready(records[0], limit)
	if err != nil {
		return rotated, err
	}
	current := s.segments[len(s.segments)-1]
	if _, err := s.file.WriteAt(buf, current.size); err != nil {
		// Half a batch would make what comes after it unreadable.
		return rotated, errors.Join(fmt.Errorf("write log segment: %w", err), s.file.Truncate(current.size))
	}
	current.size += int64(len(buf))
	for _, r := range records {
		current.note(r)
		current.changed = r.Ingested
	}
	return rotated, nil
}

var errDeleted = errors.New("the log stream is deleted")

// ready opens a segment with room: the last one, after cutting off what a
// crash tore, or a new one.
func (s *stream) ready(first record, limit int64) (rotated bool, err error) {
	if len(s.segments) > 0 {
		last := s.segments[len(s.segments)-1]
		if s.file != nil && last.size < limit {
			return false, nil
		}
		if s.file == nil && last.size < limit {
			if err := last.index(); err != nil {
				return false, err
			}
			f, err := os.OpenFile(last.path, os.O_WRONLY, 0)
			if err != nil {
				return false, fmt.Errorf("open log segment: %w", err)
			}
			if err := f.Truncate(last.size); err != nil {
				return false, errors.Join(fmt.Errorf("mend log segment: %w", err), f.Close())
			}
			s.file = f
			return false, nil
		}
	}
	path := filepath.Join(s.dir, fmt.Sprintf("%020d%s", first.Number, segmentSuffix))
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return false, fmt.Errorf("create log segment: %w", err)
	}
	s.closeFile()
	s.file = f
	s.segments = append(s.segments, &segment{path: path, indexed: true, changed: first.Ingested})
	return true, nil
}

// closeFile ends the writing of a segment. What it holds was written already.
func (s *stream) closeFile() {
	if s.file != nil {
		_ = s.file.Close()
		s.file = nil
	}
}

// snapshot copies what is known of the segments, with their times.
func (s *stream) snapshot() ([]segment, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]segment, 0, len(s.segments))
	for _, seg := range s.segments {
		if err := seg.index(); err != nil {
			return nil, err
		}
		out = append(out, *seg)
	}
	return out, nil
}

// bytes is the size of the stream on disk.
func (s *stream) bytes() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	var n int64
	for _, seg := range s.segments {
		n += seg.size
	}
	return n
}

// touched is when the stream was last written to, or created.
func (s *stream) touched() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.segments) == 0 {
		return s.info.Created
	}
	return s.segments[len(s.segments)-1].changed
}

// dropOldest removes segments from the old end while fn says so, but never
// the one that is written to.
func (s *stream) dropOldest(fn func(*segment) bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.segments) > 0 && !(len(s.segments) == 1 && s.writers > 0) && fn(s.segments[0]) {
		if len(s.segments) == 1 {
			s.closeFile()
		}
		if err := os.Remove(s.segments[0].path); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("remove log segment: %w", err)
		}
		s.segments = slices.Delete(s.segments, 0, 1)
	}
	return nil
}

// isIdle reports a stream without content and writers.
func (s *stream) isIdle() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.segments) == 0 && s.writers == 0
}

// remove deletes the stream's folder.
func (s *stream) remove() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.deleted = true
	s.closeFile()
	if err := os.RemoveAll(s.dir); err != nil {
		return fmt.Errorf("remove log stream: %w", err)
	}
	return nil
}

func (s *stream) hold(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.writers += n
	if s.writers == 0 {
		s.closeFile()
	}
}

func writeJSON(path string, v any) error {
	raw, err := json.Marshal(v)
	if err != nil {
		return err
	}
	if err := os.WriteFile(path+".new", raw, 0o600); err != nil {
		return errors.Join(err, os.Remove(path+".new"))
	}
	return os.Rename(path+".new", path)
}

func readJSON(path string, v any) error {
	raw, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(raw, v); err != nil {
		return fmt.Errorf("decode %s: %w", path, err)
	}
	return nil
}
