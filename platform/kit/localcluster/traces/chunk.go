package traces

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// A chunk is a file of records, each
//
//	size u32 | CRC-32C u32 of all that follows | trace id 16 | start i64 | end i64 | spans u32 | payload
//
// in little endian, times in nanoseconds since 1970, size counting from the
// trace id on. The payload is a ResourceSpans message of OTLP with spans of
// that one trace. A chunk is only ever appended to: of a crash remains at most
// a torn last record, which is cut off when the store is opened.
const (
	headSize  = 8
	fixedSize = 36
	chunkName = ".trace"
)

// traceID is a trace id as it stands in OTLP.
type traceID [16]byte

// record is one stored batch of spans.
type record struct {
	id         traceID
	start, end int64
	spans      uint32
	payload    []byte
}

func (r record) size() int { return headSize + fixedSize + len(r.payload) }

func (r record) appendTo(buf []byte) []byte {
	at := len(buf)
	buf = binary.LittleEndian.AppendUint32(buf, uint32(fixedSize+len(r.payload))) //nolint:gosec // at most maxRequest
	buf = append(buf, 0, 0, 0, 0)
	buf = append(buf, r.id[:]...)
	buf = binary.LittleEndian.AppendUint64(buf, uint64(r.start)) //nolint:gosec // kept bit for bit
	buf = binary.LittleEndian.AppendUint64(buf, uint64(r.end))   //nolint:gosec // kept bit for bit
	buf = binary.LittleEndian.AppendUint32(buf, r.spans)
	buf = append(buf, r.payload...)
	binary.LittleEndian.PutUint32(buf[at+4:], crc32.Checksum(buf[at+headSize:], castagnoli))
	return buf
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// first reads the record at the beginning of data; ok is false when there is
// no whole one. The payload shares data's memory.
func first(data []byte) (r record, ok bool) {
	if len(data) < headSize+fixedSize {
		return r, false
	}
	size := int(binary.LittleEndian.Uint32(data))
	if size < fixedSize || size > len(data)-headSize {
		return r, false
	}
	body := data[headSize : headSize+size]
	if crc32.Checksum(body, castagnoli) != binary.LittleEndian.Uint32(data[4:]) {
		return r, false
	}
	copy(r.id[:], body)
	r.start = int64(binary.LittleEndian.Uint64(body[16:])) //nolint:gosec // kept bit for bit
	r.end = int64(binary.LittleEndian.Uint64(body[24:]))   //nolint:gosec // kept bit for bit
	r.spans = binary.LittleEndian.Uint32(body[32:])
	r.payload = body[fixedSize:]
	return r, true
}

// chunk is one file.
type chunk struct {
	number int
	file   *os.File
	size   int64
	traces map[traceID]struct{} // those with a record in it
}

func chunkPath(dir string, number int) string {
	return filepath.Join(dir, fmt.Sprintf("%010d%s", number, chunkName))
}

// chunkNumbers lists the chunks of a folder, oldest first.
func chunkNumbers(dir string) ([]int, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("list traces: %w", err)
	}
	var numbers []int
	for _, e := range entries {
		name, found := strings.CutSuffix(e.Name(), chunkName)
		if n, err := strconv.Atoi(name); found && err == nil {
			numbers = append(numbers, n)
		}
	}
	slices.Sort(numbers)
	return numbers, nil
}

// openChunk opens a chunk, creating it if need be, calls see for every whole
// record, and cuts off what follows the last one.
func openChunk(dir string, number int, see func(r record, at int64)) (*chunk, error) {
	f, err := os.OpenFile(chunkPath(dir, number), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open traces: %w", err)
	}
	c := &chunk{number: number, file: f, traces: map[traceID]struct{}{}}
	data, err := io.ReadAll(f)
	for err == nil {
		r, ok := first(data[c.size:])
		if !ok {
			break
		}
		see(r, c.size)
		c.traces[r.id] = struct{}{}
		c.size += int64(r.size())
	}
	if err == nil && c.size < int64(len(data)) {
		err = f.Truncate(c.size)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open traces: %w", err), f.Close())
	}
	return c, nil
}

// write appends to the chunk. After an error the chunk is as it was before.
func (c *chunk) write(buf []byte) error {
	if _, err := c.file.WriteAt(buf, c.size); err != nil {
		return errors.Join(fmt.Errorf("write traces: %w", err), c.file.Truncate(c.size))
	}
	c.size += int64(len(buf))
	return nil
}

// read gives the record at an offset.
func (c *chunk) read(at int64, size int) (record, error) {
	buf := make([]byte, size)
	if _, err := c.file.ReadAt(buf, at); err != nil {
		return record{}, fmt.Errorf("read traces: %w", err)
	}
	r, ok := first(buf)
	if !ok {
		return record{}, errors.New("read traces: a record is damaged")
	}
	return r, nil
}

// remove deletes the chunk.
func (c *chunk) remove() error {
	if err := errors.Join(c.file.Close(), os.Remove(c.file.Name())); err != nil {
		return fmt.Errorf("drop old traces: %w", err)
	}
	return nil
}
