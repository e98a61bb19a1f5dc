package process

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
)

// startTime is when the process started, in the kernel's ticks since boot, and
// whether it runs. One that has ended and was not waited for does not run.
func startTime(pid int) (string, bool) {
	raw, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return "", false
	}
	// The second field is the program's name in parentheses and may hold
	// anything; count from its end. State is field 3, start time field 22 (proc(5)).
	i := bytes.LastIndexByte(raw, ')')
	if i < 0 {
		return "", false
	}
	fields := bytes.Fields(raw[i+1:])
	if len(fields) < 20 || fields[0][0] == 'Z' || fields[0][0] == 'X' {
		return "", false
	}
	return string(fields[19]), true
}

// marked lists the processes that have the variable in their environment.
func marked(variable string) ([]int, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	var out []int
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		raw, err := os.ReadFile("/proc/" + e.Name() + "/environ")
		if err != nil {
			continue // it has ended, or is another user's
		}
		for v := range bytes.SplitSeq(raw, []byte{0}) {
			if string(v) == variable {
				out = append(out, pid)
				break
			}
		}
	}
	return out, nil
}
