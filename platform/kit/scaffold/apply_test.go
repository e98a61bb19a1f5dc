package scaffold

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jonboulle/clockwork"

	"github.com/slipway-dev/slipway/platform/kit/event"
)

func TestPlaceIsAllOrNothing(t *testing.T) {
	fresh := func(path string) File { return File{Path: path, content: []byte("new\n")} }
	for name, c := range map[string]struct {
		files func(root string) []File
		want  string
	}{
		"all": {func(root string) []File {
			owners, err := os.ReadFile(local(root, ownersFile))
			if err != nil {
				t.Fatal(err)
			}
			return []File{fresh("services/new/a/b.go"), {Path: ownersFile, Edit: true, before: owners, content: []byte("edited\n")}}
		}, ""},
		"a file that cannot be written": {func(string) []File {
			return []File{fresh("services/new/a/b.go"), fresh("services/orders/new.go"), fresh("proto/slipway/orders")}
		}, "write proto/slipway/orders"},
		"a folder that cannot be made": {func(string) []File {
			return []File{fresh("services/new/b.go"), fresh("go.work/new/b.go")}
		}, "write go.work/new/b.go"},
		"an edit that came in between": {func(string) []File {
			return []File{fresh("services/new/b.go"), {Path: ownersFile, Edit: true, before: []byte("other\n"), content: []byte("edited\n")}}
		}, "it has changed meanwhile"},
	} {
		t.Run(name, func(t *testing.T) {
			root := newCheckout(t)
			before := files(t, root)
			err := place(root, c.files(root))
			after := files(t, root)
			if c.want == "" {
				if err != nil || after["services/new/a/b.go"] != "new\n" || after[ownersFile] != "edited\n" {
					t.Errorf("place = %v; files %v", err, after)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("place = %v, want %q", err, c.want)
			}
			if diff := cmp.Diff(before, after); diff != "" {
				t.Errorf("something was left (-before +after):\n%s", diff)
			}
		})
	}
}

// TestAFailureLeavesNothing fails in the first generator, which finds no tools
// in this checkout, and by an interrupt before it.
func TestAFailureLeavesNothing(t *testing.T) {
	interrupted, cancel := context.WithCancel(t.Context())
	cancel()
	for name, ctx := range map[string]context.Context{"a tool fails": t.Context(), "an interrupt": interrupted} {
		t.Run(name, func(t *testing.T) {
			temp := t.TempDir()
			t.Setenv("TMPDIR", temp)
			root := newCheckout(t)
			before := files(t, root)
			p, err := NewPlan(Config{Root: root, Name: "gift-cards"})
			if err != nil {
				t.Fatal(err)
			}
			recorder := &event.Recorder{}
			_, err = Apply(ctx, p, event.NewEmitter(recorder, clockwork.NewRealClock()))
			if err == nil || ctx.Err() != nil && !errors.Is(err, ctx.Err()) {
				t.Errorf("Apply = %v", err)
			}
			if diff := cmp.Diff(before, files(t, root)); diff != "" {
				t.Errorf("something was left in the checkout:\n%s", diff)
			}
			if left := files(t, temp); ctx.Err() != nil && len(left) > 0 {
				t.Errorf("something was left beside it: %v", left)
			}
			for left := range files(t, temp) {
				if strings.HasPrefix(left, "slipway-new-") {
					t.Errorf("left beside the checkout: %s", left)
				}
			}
		})
	}
}
