// Package state keeps what the embedded cluster must remember across a crash:
// small JSON records in named buckets of one bbolt file. A returned Update is
// on disk. The package is not for logs or images, which have stores of their
// own made for bulk.
package state

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"
)

const (
	fileName   = "state.db"
	backupName = "state.db.bak"
	lockName   = "state.lock"

	// reservedAddress is how much address space is mapped up front. Growing
	// past it makes a writer wait for every open View.
	reservedAddress = 256 << 20
	// growth is the step in which the file grows.
	growth = 256 << 10
	// sumSize is the length of the checksum in front of every stored record.
	sumSize = 4
)

// Store is one open state file. Its methods may be called from any goroutine.
type Store struct {
	path string
	db   *bbolt.DB
	lock *lock
}

// Tx is a consistent view of the store, valid only inside the function that
// Update or View called with it.
type Tx struct {
	path string
	tx   *bbolt.Tx
}

// Open opens the state file in dir, making both where they are missing.
//
// The whole file is checked before anything maps it, and a copy of what was
// found good replaces state.db.bak. Errors: *LockedError when another process
// has the store, *CorruptError when the file is damaged or was removed (it is
// left exactly as found), *StorageError when the disk is full or the folder
// cannot be written.
func Open(dir string) (*Store, error) {
	// Tasks and PostgreSQL run as other users and pass through this folder to
	// theirs; the files of this package are readable by their owner only.
	if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // see above
		return nil, storageError(dir, err)
	}
	held, err := acquire(filepath.Join(dir, lockName))
	if err != nil {
		return nil, err
	}
	store, err := openLocked(dir, held)
	if err != nil {
		held.release()
		return nil, err
	}
	return store, nil
}

func openLocked(dir string, held *lock) (*Store, error) {
	path, backup := filepath.Join(dir, fileName), filepath.Join(dir, backupName)
	switch _, err := os.Stat(path); {
	case errors.Is(err, os.ErrNotExist):
		if _, err := os.Stat(backup); err == nil {
			return nil, &CorruptError{Path: path, Backup: backup, Problem: "the file is gone, its backup is not"}
		}
		if err := create(path); err != nil {
			return nil, storageError(path, err)
		}
	case err != nil:
		return nil, storageError(path, err)
	}
	if err := verify(path, backup); err != nil {
		return nil, err
	}
	db, err := openFile(path)
	if err != nil {
		return nil, err
	}
	return &Store{path: path, db: db, lock: held}, nil
}

// create makes an empty store under another name first, so that a state.db
// that is too short is always damage and never an interrupted start.
func create(path string) error {
	fresh := path + ".new"
	if err := os.Remove(fresh); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	db, err := openFile(fresh)
	if err != nil {
		return err
	}
	if err := db.Update(func(*bbolt.Tx) error { return nil }); err != nil {
		return errors.Join(err, db.Close())
	}
	if err := db.Close(); err != nil {
		return err
	}
	if err := os.Rename(fresh, path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// openFile opens a file that inspect found good. What bbolt still panics
// about is reported as damage.
func openFile(path string) (db *bbolt.DB, err error) {
	defer func() {
		if r := recover(); r != nil {
			db, err = nil, corrupt(path, fmt.Sprintf("open: %v", r))
		}
	}()
	db, err = bbolt.Open(path, 0o600, &bbolt.Options{
		// Our own lock is held; this one can only be taken by another tool.
		Timeout:         time.Second,
		NoFreelistSync:  true, // rebuilt from the pages: one thing less that can be damaged
		FreelistType:    bbolt.FreelistMapType,
		InitialMmapSize: reservedAddress,
	})
	switch {
	case errors.Is(err, berrors.ErrTimeout):
		return nil, &LockedError{Path: path}
	case err != nil:
		return nil, storageError(path, err)
	}
	db.AllocSize = growth
	return db, nil
}

// verify checks the file and replaces the backup by the very bytes checked.
func verify(path, backup string) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return storageError(path, err)
	}
	used, err := inspect(data)
	if err != nil {
		return &CorruptError{Path: path, Backup: existing(backup), Problem: err.Error()}
	}
	if err := writeFile(backup, data[:used]); err != nil {
		return storageError(backup, err)
	}
	return nil
}

// Close waits for running transactions and gives the store free to others.
func (s *Store) Close() error {
	err := s.db.Close()
	s.lock.release()
	if err != nil {
		return fmt.Errorf("close state: %w", err)
	}
	return nil
}

// Update runs fn in the one read-write transaction there is at a time. All of
// its writes are on disk when Update returns nil, none of them are kept
// otherwise. fn must not call Update or View.
func (s *Store) Update(fn func(*Tx) error) error {
	var own error
	err := s.db.Update(func(tx *bbolt.Tx) error {
		own = fn(&Tx{path: s.path, tx: tx})
		return own
	})
	if err != nil && own == nil {
		return storageError(s.path, err)
	}
	return err
}

// View runs fn on a snapshot. Views run beside each other and beside Update.
func (s *Store) View(fn func(*Tx) error) error {
	return s.db.View(func(tx *bbolt.Tx) error { return fn(&Tx{path: s.path, tx: tx}) })
}

// Put stores v, as encoding/json writes it, under key.
func (t *Tx) Put(bucket, key string, v any) error {
	raw, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode %s/%s: %w", bucket, key, err)
	}
	b, err := t.tx.CreateBucketIfNotExists([]byte(bucket))
	if err != nil {
		return fmt.Errorf("make bucket %s: %w", bucket, err)
	}
	record := make([]byte, sumSize, sumSize+len(raw))
	binary.BigEndian.PutUint32(record, checksum([]byte(bucket), []byte(key), raw))
	if err := b.Put([]byte(key), append(record, raw...)); err != nil {
		return fmt.Errorf("put %s/%s: %w", bucket, key, err)
	}
	return nil
}

// Get decodes the record under key into v, and says whether there was one.
func (t *Tx) Get(bucket, key string, v any) (found bool, err error) {
	b := t.tx.Bucket([]byte(bucket))
	if b == nil {
		return false, nil
	}
	record := b.Get([]byte(key))
	if record == nil {
		return false, nil
	}
	raw, err := unseal([]byte(bucket), []byte(key), record)
	if err != nil {
		return false, corrupt(t.path, err.Error())
	}
	if err := json.Unmarshal(raw, v); err != nil {
		return false, fmt.Errorf("decode %s/%s: %w", bucket, key, err)
	}
	return true, nil
}

// Delete removes the record under key. That there is none is no error.
func (t *Tx) Delete(bucket, key string) error {
	b := t.tx.Bucket([]byte(bucket))
	if b == nil {
		return nil
	}
	if err := b.Delete([]byte(key)); err != nil {
		return fmt.Errorf("delete %s/%s: %w", bucket, key, err)
	}
	return nil
}

// List calls fn for every record whose key starts with prefix, in key order,
// until fn returns an error, which List returns. The records are those at the
// time of the call: fn may put and delete, and may keep raw.
func (t *Tx) List(bucket, prefix string, fn func(key string, raw []byte) error) error {
	b := t.tx.Bucket([]byte(bucket))
	if b == nil {
		return nil
	}
	type record struct {
		key string
		raw []byte
	}
	var records []record
	cursor := b.Cursor()
	for k, v := cursor.Seek([]byte(prefix)); k != nil && bytes.HasPrefix(k, []byte(prefix)); k, v = cursor.Next() {
		raw, err := unseal([]byte(bucket), k, v)
		if err != nil {
			return corrupt(t.path, err.Error())
		}
		records = append(records, record{string(k), bytes.Clone(raw)})
	}
	for _, r := range records {
		if err := fn(r.key, r.raw); err != nil {
			return err
		}
	}
	return nil
}

func checksum(bucket, key, raw []byte) uint32 {
	table := crc32.MakeTable(crc32.Castagnoli)
	sum := crc32.Update(0, table, bucket)
	sum = crc32.Update(sum, table, []byte{0})
	sum = crc32.Update(sum, table, key)
	sum = crc32.Update(sum, table, []byte{0})
	return crc32.Update(sum, table, raw)
}

func unseal(bucket, key, record []byte) ([]byte, error) {
	if len(record) < sumSize {
		return nil, fmt.Errorf("record %s/%q is %d bytes long", bucket, key, len(record))
	}
	raw := record[sumSize:]
	if binary.BigEndian.Uint32(record) != checksum(bucket, key, raw) {
		return nil, fmt.Errorf("record %s/%q does not match its checksum", bucket, key)
	}
	return raw, nil
}

// syncDir makes a rename durable. Some file systems cannot sync a folder and
// say EINVAL; they order renames themselves.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	err = d.Sync()
	if runtime.GOOS != "linux" || errors.Is(err, os.ErrInvalid) {
		err = nil
	}
	return errors.Join(err, d.Close())
}

// writeFile replaces path by data, whole or not at all.
func writeFile(path string, data []byte) error {
	fresh := path + ".new"
	f, err := os.OpenFile(fresh, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, os.Remove(fresh))
	}
	if err := os.Rename(fresh, path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}
