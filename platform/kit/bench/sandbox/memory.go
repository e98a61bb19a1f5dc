package sandbox

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Memory is how large processes got, in bytes; 0 where the system does not tell
// (only Linux does, by the files of proc(5)).
type Memory struct {
	// Kit is the kit's own process, Go the largest of the go command's, Tools the
	// largest of all others: compiler, linker, git.
	Kit, Go, Tools int64
}

// Larger returns the larger of each.
func (m Memory) Larger(n Memory) Memory {
	return Memory{Kit: max(m.Kit, n.Kit), Go: max(m.Go, n.Go), Tools: max(m.Tools, n.Tools)}
}

// lookEvery is how often a command's processes are looked at. Each look reads
// their high-water marks, so that what lies between two looks is not missed but
// for a process that ends.
const lookEvery = 25 * time.Millisecond

// watch looks at a process and those it starts until the returned function is
// called, which tells how large they got.
func watch(pid int) (stop func() Memory) {
	done, result := make(chan struct{}), make(chan Memory)
	go func() {
		tick := time.NewTicker(lookEvery)
		defer tick.Stop()
		var m Memory
		for {
			look(pid, &m)
			select {
			case <-done:
				result <- m
				return
			case <-tick.C:
			}
		}
	}()
	return func() Memory { close(done); return <-result }
}

// look adds a process and those below it. Mage becomes the kit, which it compiles
// under its own name.
func look(pid int, m *Memory) {
	dir := filepath.Join("/proc", strconv.Itoa(pid))
	peak := peakOf(dir)
	comm, _ := os.ReadFile(filepath.Join(dir, "comm"))
	switch strings.TrimSpace(string(comm)) {
	case "mage":
		m.Kit = max(m.Kit, peak)
	case "go":
		m.Go = max(m.Go, peak)
	default:
		m.Tools = max(m.Tools, peak)
	}
	threads, _ := filepath.Glob(filepath.Join(dir, "task", "*", "children"))
	for _, file := range threads {
		children, _ := os.ReadFile(file)
		for child := range bytes.FieldsSeq(children) {
			if n, err := strconv.Atoi(string(child)); err == nil {
				look(n, m)
			}
		}
	}
}

// Peak is the largest resident set that a process had, in bytes; 0 where that
// is not known.
func Peak(pid int) int64 { return peakOf(filepath.Join("/proc", strconv.Itoa(pid))) }

// peakOf reads VmHWM (proc_pid_status(5)).
func peakOf(dir string) int64 {
	status, err := os.ReadFile(filepath.Join(dir, "status"))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(status)) {
		var kib int64
		if n, _ := fmt.Sscanf(line, "VmHWM: %d kB", &kib); n == 1 {
			return kib << 10
		}
	}
	return 0
}
