package ledger

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/slipway-dev/slipway/platform/kit/localcluster/state"
)

// Table is one kind of record, wholly in memory, with the keys that differ
// from the store marked. Rows are changed through the pointer Get returns,
// followed by Touch. Slices and pointers inside a row are replaced, never
// written through: a shallow copy of a row is then a snapshot.
type Table[T any] struct {
	bucket string
	rows   map[string]*T
	dirty  map[string]struct{}
	order  []string
}

func newTable[T any](bucket string) Table[T] {
	return Table[T]{bucket: bucket, rows: map[string]*T{}, dirty: map[string]struct{}{}}
}

// Get returns the row of key, or nil.
func (t *Table[T]) Get(key string) *T { return t.rows[key] }

// Put adds or replaces a row and marks it.
func (t *Table[T]) Put(key string, row *T) {
	if _, there := t.rows[key]; !there {
		t.order = nil
	}
	t.rows[key] = row
	t.dirty[key] = struct{}{}
}

// Touch marks a row as changed.
func (t *Table[T]) Touch(key string) { t.dirty[key] = struct{}{} }

// Delete removes a row and marks it.
func (t *Table[T]) Delete(key string) {
	if _, there := t.rows[key]; !there {
		return
	}
	delete(t.rows, key)
	t.order = nil
	t.dirty[key] = struct{}{}
}

// All visits the rows in key order. Rows added or removed meanwhile may or may
// not be visited.
func (t *Table[T]) All(yield func(string, *T) bool) {
	if t.order == nil {
		t.order = slices.Sorted(maps.Keys(t.rows))
	}
	for _, key := range t.order {
		row, there := t.rows[key]
		if there && !yield(key, row) {
			return
		}
	}
}

// Len is the number of rows.
func (t *Table[T]) Len() int { return len(t.rows) }

func (t *Table[T]) load(tx *state.Tx) error {
	t.rows, t.order = map[string]*T{}, nil
	clear(t.dirty)
	return tx.List(t.bucket, "", func(key string, raw []byte) error {
		row := new(T)
		if err := json.Unmarshal(raw, row); err != nil {
			return fmt.Errorf("decode %s %s: %w", t.bucket, key, err)
		}
		t.rows[key] = row
		return nil
	})
}

func (t *Table[T]) save(tx *state.Tx) error {
	for _, key := range slices.Sorted(maps.Keys(t.dirty)) {
		row, there := t.rows[key]
		if !there {
			if err := tx.Delete(t.bucket, key); err != nil {
				return fmt.Errorf("delete %s %s: %w", t.bucket, key, err)
			}
			continue
		}
		if err := tx.Put(t.bucket, key, row); err != nil {
			return fmt.Errorf("write %s %s: %w", t.bucket, key, err)
		}
	}
	return nil
}

func (t *Table[T]) changed() bool { return len(t.dirty) > 0 }

func (t *Table[T]) clean() { clear(t.dirty) }
