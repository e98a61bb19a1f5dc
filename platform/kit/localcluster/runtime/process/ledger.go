package process

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// ledger records running processes, one file each, for Sweep.
type ledger struct{ dir string }

// record is one process. Started tells it from another one that got its number.
type record struct {
	PID     int    `json:"pid"`
	Started string `json:"started"`
	TaskARN string `json:"task_arn"`
}

func openLedger(dir string) (ledger, error) {
	l := ledger{filepath.Join(dir, "processes")}
	if err := os.MkdirAll(l.dir, 0o700); err != nil {
		return l, fmt.Errorf("make process records: %w", err)
	}
	return l, nil
}

// add records a process. The file appears whole or not at all.
func (l ledger) add(id string, pid int, taskARN string) error {
	started, ok := startTime(pid)
	if !ok {
		return nil // it has ended already
	}
	raw, err := json.Marshal(record{pid, started, taskARN})
	if err != nil {
		return err
	}
	at := filepath.Join(l.dir, id+".json")
	if err := os.WriteFile(at+".tmp", raw, 0o600); err != nil {
		return err
	}
	return os.Rename(at+".tmp", at)
}

func (l ledger) remove(id string) { _ = os.Remove(filepath.Join(l.dir, id+".json")) }

// alive lists the recorded processes that still run, and is empty for a folder
// that is not there.
func (l ledger) alive() (map[int]string, error) {
	files, err := filepath.Glob(filepath.Join(l.dir, "*.json"))
	if err != nil {
		return nil, err
	}
	out := map[int]string{}
	for _, f := range files {
		raw, err := os.ReadFile(f)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("read process record: %w", err)
		}
		var r record
		if json.Unmarshal(raw, &r) != nil || r.PID <= 1 {
			continue // torn by a power cut; the mark finds the process
		}
		if started, ok := startTime(r.PID); ok && started == r.Started {
			out[r.PID] = started
		}
	}
	return out, nil
}

func (l ledger) clear() error {
	files, err := filepath.Glob(filepath.Join(l.dir, "*"))
	if err != nil {
		return err
	}
	for _, f := range files {
		if err := os.Remove(f); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("remove process record: %w", err)
		}
	}
	return nil
}
