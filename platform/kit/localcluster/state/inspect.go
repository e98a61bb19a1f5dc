package state

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
)

// The layout of a bbolt file, version 2 (go.etcd.io/bbolt/internal/common).
const (
	boltMagic   = 0xED0CDAED
	boltVersion = 2

	pageHeader  = 16 // id u64, flags u16, count u16, overflow u32
	elementSize = 16 // of a branch (pos, ksize u32, page u64) and of a leaf (flags, pos, ksize, vsize u32)
	metaSize    = 64
	bucketSize  = 16 // root u64, sequence u64

	branchPage = 0x01
	leafPage   = 0x02
	bucketLeaf = 0x01

	maxDepth = 64 // far above what a tree of 2^40 pages needs
)

// meta is what a valid meta page says.
type meta struct {
	pageSize, root, limit, version uint64
}

// inspector walks every page that the newest meta page reaches. It reads a
// copy of the file in memory, so that a damaged file can neither fault nor
// be written to, which handing it to bbolt first could not promise.
type inspector struct {
	data []byte
	meta meta
	seen map[uint64]bool
}

// inspect says what is wrong with a state file, nil when nothing is, and how
// many of its bytes are in use.
func inspect(data []byte) (used uint64, err error) {
	m, err := newestMeta(data)
	if err != nil {
		return 0, err
	}
	if m.limit > uint64(len(data))/m.pageSize {
		return 0, fmt.Errorf("it is cut off: %d bytes where %d pages of %d are in use", len(data), m.limit, m.pageSize)
	}
	in := &inspector{data: data, meta: m, seen: map[uint64]bool{}}
	return m.limit * m.pageSize, in.page(m.root, nil, 0)
}

// newestMeta finds the meta pages, of which the second is one page in, and
// returns the one with the higher transaction number. After a power failure
// one of them may be half written; the other is then the last durable state.
func newestMeta(data []byte) (meta, error) {
	if len(data) == 0 {
		return meta{}, errors.New("it is empty")
	}
	best, found := readMeta(data, 0)
	for size := uint64(1 << 10); size <= 1<<16; size <<= 1 {
		if found && size != best.pageSize {
			continue
		}
		second, ok := readMeta(data, size)
		if ok && second.pageSize == size && (!found || second.version > best.version) {
			return second, nil
		}
	}
	if !found {
		return meta{}, errors.New("it is not a state file, or its head is overwritten")
	}
	return best, nil
}

func readMeta(data []byte, offset uint64) (meta, bool) {
	if uint64(len(data)) < offset+pageHeader+metaSize {
		return meta{}, false
	}
	raw := data[offset+pageHeader:][:metaSize]
	word := func(at int) uint64 { return binary.NativeEndian.Uint64(raw[at:]) }
	half := func(at int) uint32 { return binary.NativeEndian.Uint32(raw[at:]) }
	sum := fnv.New64a()
	_, _ = sum.Write(raw[:metaSize-8])
	if half(0) != boltMagic || half(4) != boltVersion || word(metaSize-8) != sum.Sum64() {
		return meta{}, false
	}
	m := meta{pageSize: uint64(half(8)), root: word(16), limit: word(40), version: word(48)}
	return m, m.pageSize >= 1<<10 && m.pageSize <= 1<<16
}

// page checks the page id and all below it; bucket is the name of the bucket
// that the page belongs to, nil for the root.
func (in *inspector) page(id uint64, bucket []byte, depth int) error {
	if depth > maxDepth {
		return fmt.Errorf("page %d: the tree is too deep", id)
	}
	if id < 2 || id >= in.meta.limit {
		return fmt.Errorf("page %d is outside of the file", id)
	}
	head := in.data[id*in.meta.pageSize:]
	if got := binary.NativeEndian.Uint64(head); got != id {
		return fmt.Errorf("page %d says that it is page %d", id, got)
	}
	pages := uint64(binary.NativeEndian.Uint32(head[12:])) + 1
	if pages > in.meta.limit-id {
		return fmt.Errorf("page %d runs past the end of the file", id)
	}
	for i := id; i < id+pages; i++ {
		if in.seen[i] {
			return fmt.Errorf("page %d is used twice", i)
		}
		in.seen[i] = true
	}
	if err := in.elements(head[:pages*in.meta.pageSize], bucket, depth); err != nil {
		return fmt.Errorf("page %d: %w", id, err)
	}
	return nil
}

// elements checks the body of a page, on its own or inside a bucket's record.
func (in *inspector) elements(page, bucket []byte, depth int) error {
	if len(page) < pageHeader {
		return errors.New("it is shorter than a page head")
	}
	kind := binary.NativeEndian.Uint16(page[8:])
	count := int(binary.NativeEndian.Uint16(page[10:]))
	if kind != branchPage && kind != leafPage {
		return fmt.Errorf("unknown kind %#x", kind)
	}
	if pageHeader+count*elementSize > len(page) {
		return fmt.Errorf("%d elements do not fit", count)
	}
	var last []byte
	for i := range count {
		element := page[pageHeader+i*elementSize:]
		var key []byte
		var err error
		if kind == branchPage {
			key, err = in.branch(element, bucket, depth)
		} else {
			key, err = in.leaf(element, bucket, depth)
		}
		if err != nil {
			return err
		}
		if i > 0 && bytes.Compare(last, key) >= 0 {
			return fmt.Errorf("key %q is out of order", key)
		}
		last = key
	}
	return nil
}

func (in *inspector) branch(element, bucket []byte, depth int) ([]byte, error) {
	pos, size := binary.NativeEndian.Uint32(element), binary.NativeEndian.Uint32(element[4:])
	key, err := part(element, uint64(pos), uint64(size))
	if err != nil {
		return nil, err
	}
	return key, in.page(binary.NativeEndian.Uint64(element[8:]), bucket, depth+1)
}

func (in *inspector) leaf(element, bucket []byte, depth int) ([]byte, error) {
	flags, pos := binary.NativeEndian.Uint32(element), uint64(binary.NativeEndian.Uint32(element[4:]))
	keySize := uint64(binary.NativeEndian.Uint32(element[8:]))
	valueSize := uint64(binary.NativeEndian.Uint32(element[12:]))
	key, err := part(element, pos, keySize)
	if err != nil {
		return nil, err
	}
	value, err := part(element, pos+keySize, valueSize)
	if err != nil {
		return nil, err
	}
	switch {
	case flags == 0 && bucket == nil:
		return nil, fmt.Errorf("record %q is in no bucket", key)
	case flags == 0:
		_, err = unseal(bucket, key, value)
		return key, err
	case flags != bucketLeaf || bucket != nil:
		return nil, fmt.Errorf("key %q has unknown flags %#x", key, flags)
	case len(value) < bucketSize:
		return nil, fmt.Errorf("bucket %q is %d bytes long", key, len(value))
	}
	if root := binary.NativeEndian.Uint64(value); root != 0 {
		return key, in.page(root, key, depth+1)
	}
	if err := in.elements(value[bucketSize:], key, depth+1); err != nil {
		return nil, fmt.Errorf("bucket %q: %w", key, err)
	}
	return key, nil
}

// part is size bytes at pos, counted from the start of the element.
func part(element []byte, pos, size uint64) ([]byte, error) {
	if pos > uint64(len(element)) || size > uint64(len(element))-pos {
		return nil, errors.New("an element points outside of its page")
	}
	return element[pos : pos+size], nil
}
