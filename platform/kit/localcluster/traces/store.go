package traces

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"sync"

	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/slipway-dev/slipway/platform/kit/trace"
)

// Config says where and how much to keep.
type Config struct {
	// Dir is the folder of the history.
	Dir string
	// MaxBytes bounds the history on disk, 64 MiB by default: the oldest part is
	// dropped beyond it, a sixteenth at a time.
	MaxBytes int64
	// MaxTraces bounds the index in memory, 100,000 by default.
	MaxTraces int
	// MaxQueue bounds what waits to be written, 8 MiB by default.
	MaxQueue int
	// Logger gets what went wrong. Nil discards.
	Logger *slog.Logger
}

func (c *Config) validate() error {
	if c.Dir == "" {
		return errors.New("traces config: Dir is needed")
	}
	c.MaxBytes = cmp.Or(c.MaxBytes, 64<<20)
	c.MaxTraces = cmp.Or(c.MaxTraces, 100_000)
	c.MaxQueue = cmp.Or(c.MaxQueue, 8<<20)
	if c.MaxBytes < 0 || c.MaxTraces < 0 || c.MaxQueue < 0 {
		return errors.New("traces config: a bound is negative")
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return nil
}

// chunksKept is into how many files the history is divided.
const chunksKept = 16

// maxSpans bounds one trace: what comes after is dropped.
const maxSpans = 10_000

// ErrBusy says that more waits to be written than may.
var ErrBusy = errors.New("too many spans wait to be written")

// ErrClosed says that the store is closed.
var ErrClosed = errors.New("the trace store is closed")

// Store is a bounded history of traces. Its methods may be called by many at
// once.
type Store struct {
	cfg Config

	queueMu sync.Mutex
	queue   []record
	queued  int // bytes
	closed  bool
	wake    chan struct{}
	done    chan struct{}

	mu     sync.RWMutex
	chunks []*chunk // oldest first; the last is written to
	total  int64
	index  map[traceID]*entry
	failed int // spans dropped since the last successful write
}

// entry is what is known of a trace without reading it.
type entry struct {
	at         []place
	start, end int64
	spans      int
	partial    bool
}

// place is where a record is.
type place struct {
	chunk int
	at    int64
	size  int
	spans uint32
}

// Open opens the history, or begins one. What a crash left torn is dropped.
func Open(cfg Config) (*Store, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("open traces: %w", err)
	}
	s := &Store{cfg: cfg, index: map[traceID]*entry{}, wake: make(chan struct{}, 1), done: make(chan struct{})}
	numbers, err := chunkNumbers(cfg.Dir)
	if err != nil {
		return nil, err
	}
	if len(numbers) == 0 {
		numbers = []int{1}
	}
	for _, n := range numbers {
		c, err := openChunk(cfg.Dir, n, func(r record, at int64) { s.note(n, r, at) })
		if err != nil {
			return nil, errors.Join(err, s.closeFiles())
		}
		s.chunks = append(s.chunks, c)
		s.total += c.size
		s.trim() // so that what is indexed never exceeds the bounds
	}
	go s.run()
	return s, nil
}

// note puts a record into the index.
func (s *Store) note(chunk int, r record, at int64) {
	e := s.index[r.id]
	if e == nil {
		e = &entry{start: r.start, end: r.end}
		s.index[r.id] = e
	}
	e.at = append(e.at, place{chunk: chunk, at: at, size: r.size(), spans: r.spans})
	e.start, e.end = min(e.start, r.start), max(e.end, r.end)
	e.spans += int(r.spans)
}

// add queues records, all or none. It does not wait.
func (s *Store) add(records []record) error {
	size := 0
	for _, r := range records {
		size += r.size()
	}
	s.queueMu.Lock()
	defer s.queueMu.Unlock()
	switch {
	case s.closed:
		return ErrClosed
	case s.queued > 0 && s.queued+size > s.cfg.MaxQueue:
		return ErrBusy
	}
	s.queue = append(s.queue, records...)
	s.queued += size
	select {
	case s.wake <- struct{}{}:
	default:
	}
	return nil
}

// run writes what is queued until the store is closed.
func (s *Store) run() {
	defer close(s.done)
	for range s.wake {
		s.queueMu.Lock()
		records := s.queue
		s.queue = nil
		s.queueMu.Unlock()
		size := 0
		for _, r := range records {
			size += r.size()
			s.write(r)
		}
		s.queueMu.Lock()
		s.queued -= size
		s.queueMu.Unlock()
	}
}

// write appends a record; one that cannot be written is dropped.
func (s *Store) write(r record) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := s.index[r.id]; e != nil && e.spans+int(r.spans) > maxSpans {
		e.partial = true
		return
	}
	err := s.roll(int64(r.size()))
	current := s.chunks[len(s.chunks)-1]
	at := current.size
	if err == nil {
		err = current.write(r.appendTo(make([]byte, 0, r.size())))
	}
	if err != nil {
		if s.failed == 0 {
			s.cfg.Logger.Error("drop spans", "error", err)
		}
		s.failed += int(r.spans)
		return
	}
	if s.failed > 0 {
		s.cfg.Logger.Warn("spans were dropped", "spans", s.failed)
		s.failed = 0
	}
	s.total += int64(r.size())
	current.traces[r.id] = struct{}{}
	s.note(current.number, r, at)
	s.trim()
}

// roll begins a new chunk where the last one has no room.
func (s *Store) roll(size int64) error {
	last := s.chunks[len(s.chunks)-1]
	if last.size == 0 || last.size+size <= s.cfg.MaxBytes/chunksKept && len(last.traces) <= s.cfg.MaxTraces/chunksKept {
		return nil
	}
	c, err := openChunk(s.cfg.Dir, last.number+1, func(record, int64) {})
	if err != nil {
		return err
	}
	s.chunks = append(s.chunks, c)
	return nil
}

// trim drops the oldest chunks while there is too much.
func (s *Store) trim() {
	for len(s.chunks) > 1 && (s.total > s.cfg.MaxBytes || len(s.index) > s.cfg.MaxTraces) {
		oldest := s.chunks[0]
		s.chunks = s.chunks[1:]
		s.total -= oldest.size
		for id := range oldest.traces {
			s.forget(id, oldest.number)
		}
		if err := oldest.remove(); err != nil {
			s.cfg.Logger.Error("drop old traces", "error", err)
		}
	}
}

// forget drops a trace's records in a chunk.
func (s *Store) forget(id traceID, chunk int) {
	e := s.index[id]
	e.partial = true
	e.at = slices.DeleteFunc(e.at, func(p place) bool {
		if p.chunk == chunk {
			e.spans -= int(p.spans)
		}
		return p.chunk == chunk
	})
	if len(e.at) == 0 {
		delete(s.index, id)
	}
}

// Trace reads one trace; found is false when there is none of that id.
func (s *Store) Trace(id trace.ID) (t trace.Trace, found bool, err error) {
	key, ok := keyOf(id)
	if !ok {
		return t, false, nil
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	e := s.index[key]
	if e == nil {
		return t, false, nil
	}
	t = trace.Trace{ID: id, Partial: e.partial}
	for _, p := range e.at {
		i, ok := slices.BinarySearchFunc(s.chunks, p.chunk, func(c *chunk, n int) int { return c.number - n })
		if !ok {
			continue
		}
		r, err := s.chunks[i].read(p.at, p.size)
		if err != nil {
			return t, true, err
		}
		var spans tracepb.ResourceSpans
		if err := proto.Unmarshal(r.payload, &spans); err != nil {
			return t, true, fmt.Errorf("read traces: %w", err)
		}
		t.Spans = appendSpans(t.Spans, &spans)
	}
	t.Tidy()
	return t, true, nil
}

// between lists the ids of the traces that began in the time from start to end
// (nanoseconds since 1970), newest first.
func (s *Store) between(start, end int64) []trace.ID {
	type found struct {
		id    traceID
		start int64
	}
	var list []found
	s.mu.RLock()
	for id, e := range s.index {
		if e.start >= start && e.start <= end {
			list = append(list, found{id, e.start})
		}
	}
	s.mu.RUnlock()
	slices.SortFunc(list, func(a, b found) int {
		return cmp.Or(cmp.Compare(b.start, a.start), slices.Compare(a.id[:], b.id[:]))
	})
	ids := make([]trace.ID, len(list))
	for i, f := range list {
		ids[i] = idOf(f.id[:])
	}
	return ids
}

// Close writes what is queued and closes the history.
func (s *Store) Close() error {
	s.queueMu.Lock()
	again := s.closed
	s.closed = true
	if !again {
		close(s.wake)
	}
	s.queueMu.Unlock()
	<-s.done
	if again {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closeFiles()
}

func (s *Store) closeFiles() error {
	var errs []error
	for _, c := range s.chunks {
		errs = append(errs, c.file.Sync(), c.file.Close())
	}
	s.chunks, s.index = nil, nil
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("close traces: %w", err)
	}
	return nil
}
