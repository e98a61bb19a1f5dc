package state_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/slipway-dev/slipway/platform/kit/localcluster/state"
)

func open(t interface{ Fatal(...any) }, dir string) *state.Store {
	store, err := state.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return store
}

func TestPutGetDeleteList(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	store := open(t, dir)
	type record struct{ A int }
	err := store.Update(func(tx *state.Tx) error {
		for i, key := range []string{"b/2", "a/1", "b/1", "c"} {
			if err := tx.Put("things", key, record{i}); err != nil {
				return err
			}
		}
		return tx.Delete("things", "c")
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}

	store = open(t, dir)
	defer store.Close()
	err = store.View(func(tx *state.Tx) error {
		var got record
		if found, err := tx.Get("things", "b/1", &got); !found || err != nil || got.A != 2 {
			t.Errorf("b/1: got %v, %t, %v", got, found, err)
		}
		for _, missing := range [][2]string{{"things", "c"}, {"nothing", "c"}} {
			if found, err := tx.Get(missing[0], missing[1], &got); found || err != nil {
				t.Errorf("%v: got %t, %v", missing, found, err)
			}
		}
		var keys []string
		err := tx.List("things", "b/", func(key string, raw []byte) error {
			keys = append(keys, key+string(raw))
			return nil
		})
		if want := []string{`b/1{"A":2}`, `b/2{"A":0}`}; !slices.Equal(keys, want) {
			t.Errorf("got %q, want %q", keys, want)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestFailedUpdateLeavesNothing(t *testing.T) {
	t.Parallel()
	store := open(t, t.TempDir())
	defer store.Close()
	boom := errors.New("boom")
	err := store.Update(func(tx *state.Tx) error {
		if err := tx.Put("b", "k", 1); err != nil {
			return err
		}
		return boom
	})
	if !errors.Is(err, boom) {
		t.Fatalf("got %v", err)
	}
	func() {
		defer func() { _ = recover() }()
		_ = store.Update(func(tx *state.Tx) error {
			_ = tx.Put("b", "k", 1)
			panic(boom)
		})
	}()
	var v int
	if err := store.View(func(tx *state.Tx) error {
		found, err := tx.Get("b", "k", &v)
		if found {
			t.Error("a failed update left a record")
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if err := store.View(func(tx *state.Tx) error { return tx.Put("b", "k", 1) }); err == nil {
		t.Error("a view may write")
	}
}

func TestListMayChangeWhatItLists(t *testing.T) {
	t.Parallel()
	store := open(t, t.TempDir())
	defer store.Close()
	err := store.Update(func(tx *state.Tx) error {
		for i := range 500 {
			if err := tx.Put("b", fmt.Sprintf("%04d", i), i); err != nil {
				return err
			}
		}
		seen := 0
		err := tx.List("b", "", func(key string, _ []byte) error {
			seen++
			return errors.Join(tx.Delete("b", key), tx.Put("b", "x"+key, 0))
		})
		if seen != 500 {
			t.Errorf("saw %d records", seen)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestModel compares the store with a map over random transactions and
// restarts.
func TestModel(t *testing.T) {
	t.Parallel()
	base, runs := t.TempDir(), 0
	rapid.Check(t, func(t *rapid.T) {
		runs++
		dir := filepath.Join(base, strconv.Itoa(runs))
		store := open(t, dir)
		defer func() { _ = store.Close() }()
		model := map[string]string{}
		keys := rapid.SampledFrom([]string{"a", "a/b", "b", "ü", "long" + strings.Repeat("x", 200)})
		t.Repeat(map[string]func(*rapid.T){
			"put": func(t *rapid.T) {
				key, value := keys.Draw(t, "key"), rapid.StringN(0, 9000, 9000).Draw(t, "value")
				if err := store.Update(func(tx *state.Tx) error { return tx.Put("b", key, value) }); err != nil {
					t.Fatal(err)
				}
				model[key] = strings.ToValidUTF8(value, "\uFFFD")
			},
			"delete": func(t *rapid.T) {
				key := keys.Draw(t, "key")
				if err := store.Update(func(tx *state.Tx) error { return tx.Delete("b", key) }); err != nil {
					t.Fatal(err)
				}
				delete(model, key)
			},
			"reopen": func(t *rapid.T) {
				if err := store.Close(); err != nil {
					t.Fatal(err)
				}
				store = open(t, dir)
			},
			"": func(t *rapid.T) {
				found := 0
				_ = store.View(func(tx *state.Tx) error {
					for key, want := range model {
						var got string
						if ok, err := tx.Get("b", key, &got); !ok || err != nil || got != want {
							t.Fatalf("%q: got %q, %t, %v", key, got, ok, err)
						}
					}
					return tx.List("b", "", func(string, []byte) error { found++; return nil })
				})
				if found != len(model) {
					t.Fatalf("%d records, want %d", found, len(model))
				}
			},
		})
	})
}

func TestFilesArePrivate(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	store := open(t, dir)
	defer store.Close()
	for _, name := range []string{"state.db", "state.db.bak", "state.lock"} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if mode := info.Mode().Perm(); mode != 0o600 {
			t.Errorf("%s has mode %o", name, mode)
		}
	}
}

func TestSecondInstanceIsRefused(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	store := open(t, dir)
	_, err := state.Open(dir)
	var locked *state.LockedError
	if !errors.As(err, &locked) || locked.PID != os.Getpid() {
		t.Fatalf("got %v", err)
	}
	for _, want := range []string{fmt.Sprintf("process %d", os.Getpid()), "next: go tool mage down"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in %q", want, err)
		}
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	store = open(t, dir)
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
}
