package traces

import (
	"bytes"
	"errors"
	"io/fs"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"testing"

	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"pgregory.net/rapid"
)

func TestSpansOfATraceComeTogether(t *testing.T) {
	s := open(t, Config{})
	put(t, s, spans("orders", numbered(1), 3, 0), spans("catalog", numbered(2), 1, 0))
	late := spans("catalog", numbered(1), 1, 0)
	late.ScopeSpans[0].Spans[0].SpanId[0] = 0xff
	put(t, s, late)
	got := read(t, s, numbered(1))
	if len(got.Spans) != 4 || !slices.Equal(got.Services(), []string{"catalog", "orders"}) || got.Partial {
		t.Errorf("trace 1 has %d spans of %v, partial %v", len(got.Spans), got.Services(), got.Partial)
	}
	if _, found, err := s.Trace("69000000000000000000000000000009"); found || err != nil {
		t.Errorf("an unknown trace: found %v, %v", found, err)
	}
	id1, id2 := numbered(1), numbered(2)
	if ids := s.between(0, math.MaxInt64); len(ids) != 2 || ids[0] != idOf(id2[:]) || ids[1] != idOf(id1[:]) {
		t.Errorf("newest first: %v", ids)
	}
}

func TestTheHistoryIsBounded(t *testing.T) {
	const limit = 64 << 10
	s := open(t, Config{MaxBytes: limit})
	for n := range uint64(500) {
		put(t, s, spans("orders", numbered(n), 2, 300))
	}
	var size int64
	err := filepath.WalkDir(s.cfg.Dir, func(_ string, e fs.DirEntry, err error) error {
		info, _ := e.Info()
		if err == nil && !e.IsDir() {
			size += info.Size()
		}
		return err
	})
	if err != nil || size > limit || size < limit/2 {
		t.Errorf("the files hold %d bytes, %v; the limit is %d", size, err, limit)
	}
	newest, oldest := numbered(499), numbered(0)
	if _, found, _ := s.Trace(idOf(newest[:])); !found {
		t.Error("the newest trace is gone")
	}
	if _, found, _ := s.Trace(idOf(oldest[:])); found {
		t.Error("the oldest trace is still there")
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	places := 0
	for _, e := range s.index {
		places += len(e.at)
	}
	if places > limit/600 || len(s.chunks) > 2*chunksKept {
		t.Errorf("the index names %d records in %d chunks", places, len(s.chunks))
	}
}

func TestTheNumberOfTracesIsBounded(t *testing.T) {
	s := open(t, Config{MaxTraces: 64})
	for n := range uint64(500) {
		put(t, s, spans("orders", numbered(n), 1, 0))
	}
	if ids := s.between(0, math.MaxInt64); len(ids) > 64 || len(ids) < 32 {
		t.Errorf("%d traces are kept, at most 64 may", len(ids))
	}
}

func TestATraceIsBounded(t *testing.T) {
	s := open(t, Config{})
	for range 3 {
		put(t, s, spans("orders", numbered(1), maxSpans/2, 0))
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	if e := s.index[numbered(1)]; e.spans != maxSpans || !e.partial {
		t.Errorf("%d spans are kept, partial %v", e.spans, e.partial)
	}
}

func TestATraceThatLostItsBeginningSaysSo(t *testing.T) {
	s := open(t, Config{MaxBytes: 16 << 10})
	for n := range uint64(100) {
		put(t, s, spans("orders", numbered(1), 1, 0), spans("orders", numbered(100+n), 2, 300))
	}
	if got := read(t, s, numbered(1)); !got.Partial {
		t.Error("it is not partial")
	}
}

func TestTheHistoryOutlivesTheStore(t *testing.T) {
	dir := t.TempDir()
	s := open(t, Config{Dir: dir})
	put(t, s, spans("orders", numbered(1), 3, 0))
	want := read(t, s, numbered(1))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.add(nil); !errors.Is(err, ErrClosed) {
		t.Errorf("add to a closed store: %v", err)
	}
	s = open(t, Config{Dir: dir})
	put(t, s, spans("orders", numbered(2), 1, 0))
	if got := read(t, s, numbered(1)); len(got.Spans) != len(want.Spans) || !got.Spans[0].Start.Equal(want.Spans[0].Start) {
		t.Errorf("after a restart the trace is %+v, want %+v", got, want)
	}
	if numbers, err := chunkNumbers(dir); err != nil || len(numbers) != 1 {
		t.Errorf("chunks %v, %v; want one", numbers, err)
	}
}

// A process that is killed leaves a file cut anywhere; a power failure may
// leave anything behind the last sync. Whole records before that survive, and
// the store goes on.
func TestATornChunkIsCutBack(t *testing.T) {
	dir := t.TempDir()
	s := open(t, Config{Dir: dir})
	const count = 8
	ends := make([]int64, count)
	for n := range count {
		put(t, s, spans("orders", numbered(uint64(n)), 1+n%3, 10*n))
		ends[n] = s.chunks[0].size
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(chunkPath(dir, 1))
	if err != nil {
		t.Fatal(err)
	}
	tries := 0
	rapid.Check(t, func(rt *rapid.T) {
		cut := rapid.IntRange(0, len(whole)).Draw(rt, "cut")
		data := bytes.Clone(whole[:cut])
		kept := 0
		for kept < count && ends[kept] <= int64(cut) {
			kept++
		}
		switch rapid.IntRange(0, 2).Draw(rt, "damage") {
		case 1:
			data = append(data, make([]byte, rapid.IntRange(1, 200).Draw(rt, "zeros"))...)
		case 2:
			if cut > 0 {
				at := rapid.IntRange(0, cut-1).Draw(rt, "at")
				data[at] ^= 0x40
				for kept > 0 && ends[kept-1] > int64(at) {
					kept--
				}
			}
		}
		tries++
		folder := filepath.Join(dir, strconv.Itoa(tries))
		if err := os.Mkdir(folder, 0o700); err != nil {
			rt.Fatal(err)
		}
		if err := os.WriteFile(chunkPath(folder, 1), data, 0o600); err != nil {
			rt.Fatal(err)
		}
		s, err := Open(Config{Dir: folder})
		if err != nil {
			rt.Fatalf("open: %v", err)
		}
		defer func() { _ = s.Close() }()
		if ids := s.between(0, math.MaxInt64); len(ids) != kept {
			rt.Fatalf("%d traces survive a cut at %d, want %d", len(ids), cut, kept)
		}
		put(t, s, spans("orders", numbered(99), 1, 0))
		read(t, s, numbered(99))
		for n := range kept {
			if got := read(t, s, numbered(uint64(n))); len(got.Spans) != 1+n%3 {
				rt.Errorf("trace %d has %d spans", n, len(got.Spans))
			}
		}
	})
}

func TestManyWritersAndReaders(t *testing.T) {
	s := open(t, Config{MaxBytes: 256 << 10})
	var work sync.WaitGroup
	for w := range uint64(4) {
		work.Go(func() {
			for n := range uint64(200) {
				records, _, err := split([]*tracepb.ResourceSpans{spans("orders", numbered(w<<32|n), 2, 200)})
				if err != nil {
					t.Error(err)
				}
				if err := s.add(records); err != nil && !errors.Is(err, ErrBusy) {
					t.Error(err)
				}
			}
		})
		work.Go(func() {
			for range 200 {
				for _, id := range s.between(0, math.MaxInt64) {
					if rand.IntN(20) > 0 {
						continue
					}
					if got, found, err := s.Trace(id); err != nil || found && len(got.Spans) != 2 {
						t.Errorf("trace %s: %d spans, %v", id, len(got.Spans), err)
					}
				}
			}
		})
	}
	work.Wait()
	flushed(t, s)
}

func TestTheQueueIsBounded(t *testing.T) {
	s := open(t, Config{MaxQueue: 2000})
	s.mu.Lock() // nothing can be written now
	records, _, err := split([]*tracepb.ResourceSpans{spans("orders", numbered(1), 1, 900)})
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		err = s.add(records)
	}
	if !errors.Is(err, ErrBusy) {
		t.Errorf("the third batch: %v, want %v", err, ErrBusy)
	}
	s.mu.Unlock()
	eventually(t, "there is room again", func() bool { return s.add(records) == nil })
}

func TestADiskThatFailsCostsSpansOnly(t *testing.T) {
	s := open(t, Config{})
	put(t, s, spans("orders", numbered(1), 1, 0))
	s.mu.Lock()
	good := s.chunks[0].file
	broken, err := os.Open(good.Name()) // for reading only
	if err != nil {
		t.Fatal(err)
	}
	s.chunks[0].file = broken
	s.mu.Unlock()
	put(t, s, spans("orders", numbered(2), 1, 0))
	s.mu.Lock()
	if s.failed != 1 {
		t.Errorf("%d spans count as dropped", s.failed)
	}
	s.chunks[0].file = good
	s.mu.Unlock()
	_ = broken.Close()
	put(t, s, spans("orders", numbered(3), 1, 0))
	read(t, s, numbered(1))
	read(t, s, numbered(3))
}
