package policy

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/slipway-dev/slipway/platform/policy/internal/check"
)

// prefix begins the import path of everything in this repository.
const prefix = "github.com/slipway-dev/slipway"

// TestMain keeps the go command from reusing an earlier result: it would look
// for changes in this module only, and these tests read all the others. A
// result that depends on a file changed just now is never reused.
func TestMain(m *testing.M) {
	stamp, now := filepath.Join("testdata", "stamp"), time.Now()
	if err := os.Chtimes(stamp, now, now); err == nil {
		_, _ = os.ReadFile(stamp) // a read-only checkout cannot have changed
	}
	os.Exit(m.Run())
}

// root is the top of the checkout.
var root = sync.OnceValues(func() (string, error) {
	return filepath.Abs(filepath.Join("..", ".."))
})

var readRepository = sync.OnceValues(func() (*check.Tree, error) {
	dir, err := root()
	if err != nil {
		return nil, err
	}
	return check.Repository(context.Background(), dir)
})

// tree is the repository, read once for all tests.
func tree(t *testing.T) *check.Tree {
	t.Helper()
	repo, err := readRepository()
	if err != nil {
		t.Fatalf("read the repository: %v", err)
	}
	return repo
}

// report fails the test for each finding.
func report(t *testing.T, found []check.Finding) {
	t.Helper()
	for _, f := range found {
		t.Error(f)
	}
}
