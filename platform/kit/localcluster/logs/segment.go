package logs

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
)

// A segment is a file of records, each
//
//	size u32 | CRC-32C u32 of all that follows | time i64 | ingested i64 | number u64 | message
//
// in little endian, times in milliseconds since 1970, size counting from time
// on. It is only ever appended to: of a crash remains at most a torn last
// record, which readers ignore and the next writer cuts off.
const (
	headSize   = 8
	fixedSize  = 24
	maxMessage = 1 << 20 // CloudWatch Logs quotas: event size
)

// position orders events: by time, then by arrival.
type position struct {
	Time   int64
	Number uint64
}

func (p position) compare(q position) int {
	return cmp.Or(cmp.Compare(p.Time, q.Time), cmp.Compare(p.Number, q.Number))
}

// record is one stored event.
type record struct {
	position

	Ingested int64
	Message  string
}

func appendRecord(buf []byte, r record) []byte {
	start := len(buf)
	buf = binary.LittleEndian.AppendUint32(buf, uint32(fixedSize+len(r.Message))) //nolint:gosec // at most maxMessage
	buf = append(buf, 0, 0, 0, 0)
	buf = binary.LittleEndian.AppendUint64(buf, uint64(r.Time))     //nolint:gosec // kept bit for bit
	buf = binary.LittleEndian.AppendUint64(buf, uint64(r.Ingested)) //nolint:gosec // kept bit for bit
	buf = binary.LittleEndian.AppendUint64(buf, r.Number)
	buf = append(buf, r.Message...)
	binary.LittleEndian.PutUint32(buf[start+4:], checksum(buf[start+headSize:]))
	return buf
}

func checksum(b []byte) uint32 { return crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)) }

// scan calls fn for the records in the first size bytes of data until fn
// returns false, and returns how many bytes hold whole records.
func scan(data []byte, fn func(record) bool) (whole int64) {
	rest := data
	for len(rest) >= headSize+fixedSize {
		size := int(binary.LittleEndian.Uint32(rest))
		if size < fixedSize || size > fixedSize+maxMessage || size > len(rest)-headSize {
			break
		}
		body := rest[headSize : headSize+size]
		if checksum(body) != binary.LittleEndian.Uint32(rest[4:]) {
			break
		}
		rest = rest[headSize+size:]
		more := fn(record{
			position: position{
				Time:   int64(binary.LittleEndian.Uint64(body)), //nolint:gosec // kept bit for bit
				Number: binary.LittleEndian.Uint64(body[16:]),
			},
			Ingested: int64(binary.LittleEndian.Uint64(body[8:])), //nolint:gosec // kept bit for bit
			Message:  string(body[fixedSize:]),
		})
		if !more {
			break
		}
	}
	return int64(len(data) - len(rest))
}

// segment is what is known of one file.
type segment struct {
	path    string
	size    int64
	changed int64 // when it was last written to
	indexed bool  // whether the following are known
	first   int64 // time of the oldest event
	last    int64 // time of the newest event
	arrived int64 // when the newest event came
	events  int
}

func (s *segment) note(r record) {
	if s.events == 0 || r.Time < s.first {
		s.first = r.Time
	}
	if s.events == 0 || r.Time > s.last {
		s.last = r.Time
	}
	s.arrived = max(s.arrived, r.Ingested)
	s.events++
}

// read gives the first size bytes of the file; a file that retention has
// removed meanwhile reads as empty.
func (s *segment) read() ([]byte, error) {
	f, err := os.Open(s.path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read log segment: %w", err)
	}
	data, err := io.ReadAll(io.LimitReader(f, s.size))
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, fmt.Errorf("read log segment: %w", err)
	}
	return data, nil
}

// index reads the file to learn its times, and its whole size.
func (s *segment) index() error {
	if s.indexed {
		return nil
	}
	data, err := s.read()
	if err != nil {
		return err
	}
	s.size = scan(data, func(r record) bool { s.note(r); return true })
	s.indexed = true
	return nil
}
