package process

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/jonboulle/clockwork"
)

// sweepLimit bounds how long Sweep waits for killed processes to be gone.
const sweepLimit = 10 * time.Second

// Sweep kills every process that a runtime with this folder has started and
// that still runs, waits until they are gone, and removes their records and
// scratch folders. It needs no running cluster and must not be called beside
// one. It returns how many it killed; a folder that is not there has none.
func Sweep(ctx context.Context, dir string) (int, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return 0, fmt.Errorf("sweep processes: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, sweepLimit)
	defer cancel()
	l := ledger{filepath.Join(dir, "processes")}
	killed := map[int]string{}
	clock := clockwork.NewRealClock()
	for {
		left, err := leftovers(l, dir)
		if err != nil {
			return len(killed), fmt.Errorf("sweep processes: %w", err)
		}
		if len(left) == 0 {
			break
		}
		for pid, started := range left {
			killed[pid] = started
			killGroup(pid) // a group leader's group; else there is no such group
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
		select {
		case <-ctx.Done():
			return len(killed), fmt.Errorf("sweep processes: %d of them do not end: %w", len(left), ctx.Err())
		case <-clock.After(5 * time.Millisecond):
		}
	}
	if err := l.clear(); err != nil {
		return len(killed), err
	}
	scratch, err := filepath.Glob(filepath.Join(dir, scratchFolder, "*"))
	if err != nil {
		return len(killed), err
	}
	for _, s := range scratch {
		if err := os.RemoveAll(s); err != nil {
			return len(killed), fmt.Errorf("remove scratch folder: %w", err)
		}
	}
	return len(killed), nil
}

// leftovers are the recorded and the marked processes that run, with their start
// times.
func leftovers(l ledger, dir string) (map[int]string, error) {
	left, err := l.alive()
	if err != nil {
		return nil, err
	}
	marked, err := marked(markVariable + "=" + dir)
	if err != nil {
		return nil, err
	}
	self := os.Getpid()
	for _, pid := range marked {
		if started, ok := startTime(pid); ok && pid != self {
			left[pid] = started
		}
	}
	return left, nil
}
