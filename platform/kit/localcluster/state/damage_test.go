package state_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/slipway-dev/slipway/platform/kit/localcluster/state"
)

// filled makes a closed store of some hundred records on several levels of
// pages, and returns what is in it.
func filled(t *testing.T, dir string) map[string]string {
	t.Helper()
	store := open(t, dir)
	want := map[string]string{}
	err := store.Update(func(tx *state.Tx) error {
		for i := range 600 {
			bucket, key := fmt.Sprintf("bucket%d", i%3), fmt.Sprintf("key/%05d", i)
			value := strings.Repeat(key, 1+i%60)
			want[bucket+" "+key] = value
			if err := tx.Put(bucket, key, value); err != nil {
				return err
			}
		}
		want["small one"] = "1"
		return tx.Put("small", "one", "1")
	})
	if err = errors.Join(err, store.Close()); err != nil {
		t.Fatal(err)
	}
	return want
}

func contents(t interface{ Fatal(...any) }, store *state.Store, keys map[string]string) map[string]string {
	got := map[string]string{}
	err := store.View(func(tx *state.Tx) error {
		for name := range keys {
			bucket, key, _ := strings.Cut(name, " ")
			var value string
			found, err := tx.Get(bucket, key, &value)
			if err != nil {
				return err
			}
			if found {
				got[name] = value
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestDamageIsNamedAndLeftAlone(t *testing.T) {
	t.Parallel()
	good := filepath.Join(t.TempDir(), "good")
	filled(t, good)
	open(t, good).Close()                                        // the backup holds the records now
	raw, err := os.ReadFile(filepath.Join(good, "state.db.bak")) // without unused space at the end
	if err != nil {
		t.Fatal(err)
	}
	cases := map[string]struct {
		data []byte
		want string
	}{
		"empty":          {[]byte{}, "it is empty"},
		"garbage":        {bytes.Repeat([]byte("garbage "), 10000), "not a state file"},
		"zeros":          {make([]byte, 1<<16), "not a state file"},
		"one page":       {raw[:4096], "cut off"},
		"head only":      {raw[:100], "cut off"},
		"a byte short":   {raw[:len(raw)-1], "cut off"},
		"half":           {raw[:len(raw)/2], "cut off"},
		"zeroed records": {patch(raw, 2*os.Getpagesize(), make([]byte, len(raw))), ""},
	}
	for name, c := range cases {
		dir := t.TempDir()
		path := filepath.Join(dir, "state.db")
		backup, err := os.ReadFile(filepath.Join(good, "state.db.bak"))
		if err = errors.Join(err, os.WriteFile(path, c.data, 0o600), os.WriteFile(path+".bak", backup, 0o600)); err != nil {
			t.Fatal(err)
		}
		_, err = state.Open(dir)
		var damage *state.CorruptError
		if !errors.As(err, &damage) {
			t.Errorf("%s: got %v", name, err)
			continue
		}
		if !strings.Contains(damage.Problem, c.want) || damage.Path != path || damage.Backup != path+".bak" {
			t.Errorf("%s: got %+v", name, damage)
		}
		after, _ := os.ReadFile(path)
		kept, _ := os.ReadFile(path + ".bak")
		if !bytes.Equal(after, c.data) || !bytes.Equal(kept, backup) {
			t.Errorf("%s: a file was written to", name)
		}
	}
}

// TestWayBack does what the error says and finds the state of the last start.
func TestWayBack(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	want := filled(t, dir)
	open(t, dir).Close()
	path := filepath.Join(dir, "state.db")
	if err := os.WriteFile(path, []byte("oh no"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := state.Open(dir)
	if next := fmt.Sprintf("next: mv %s %s.damaged && cp %s.bak %s && go tool mage up", path, path, path, path); err == nil || !strings.HasSuffix(err.Error(), next) {
		t.Fatalf("got %v, want the end %q", err, next)
	}
	backup, err := os.ReadFile(path + ".bak")
	if err = errors.Join(err, os.Rename(path, path+".damaged")); err != nil {
		t.Fatal(err)
	}
	if _, err := state.Open(dir); err == nil || !strings.Contains(err.Error(), "the file is gone") {
		t.Fatalf("without the file: got %v", err)
	}
	if err := os.WriteFile(path, backup, 0o600); err != nil {
		t.Fatal(err)
	}
	store := open(t, dir)
	defer store.Close()
	if got := contents(t, store, want); len(got) != len(want) {
		t.Errorf("%d of %d records are back", len(got), len(want))
	}
}

// TestAnyDamage overwrites random parts of the file. Whatever they are, Open
// either refuses or gives every record exactly as it was, or, when it was the
// newest head that was hit, as it was one transaction earlier.
func TestAnyDamage(t *testing.T) {
	t.Parallel()
	good := t.TempDir()
	want := filled(t, good)
	raw, err := os.ReadFile(filepath.Join(good, "state.db"))
	if err != nil {
		t.Fatal(err)
	}
	base, runs := t.TempDir(), 0
	rapid.Check(t, func(t *rapid.T) {
		data := bytes.Clone(raw)
		for range rapid.IntRange(1, 3).Draw(t, "places") {
			at := rapid.IntRange(0, len(data)-1).Draw(t, "at")
			switch rapid.IntRange(0, 3).Draw(t, "kind") {
			case 0:
				data[at] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
			case 1:
				copy(data[at:], rapid.SliceOfN(rapid.Byte(), 1, 64).Draw(t, "bytes"))
			case 2:
				clear(data[at:min(len(data), at+4096)])
			case 3: // the heads of pages and elements, where it hurts
				copy(data[at/4096*4096+rapid.IntRange(0, 80).Draw(t, "head"):], rapid.SliceOfN(rapid.Byte(), 1, 8).Draw(t, "bytes"))
			}
		}
		runs++
		dir := filepath.Join(base, strconv.Itoa(runs))
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, "state.db")
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		store, err := state.Open(dir)
		if _, ok := errors.AsType[*state.CorruptError](err); ok {
			if after, _ := os.ReadFile(path); !bytes.Equal(after, data) {
				t.Fatal("the damaged file was written to")
			}
			return
		}
		if err != nil {
			t.Fatalf("got %v", err)
		}
		defer store.Close()
		got := contents(t, store, want)
		if len(got) != 0 && len(got) != len(want) {
			t.Fatalf("%d of %d records", len(got), len(want))
		}
		for name, value := range got {
			if value != want[name] {
				t.Fatalf("%s came back changed", name)
			}
		}
	})
}

func patch(data []byte, at int, with []byte) []byte {
	out := bytes.Clone(data)
	copy(out[at:], with)
	return out
}
