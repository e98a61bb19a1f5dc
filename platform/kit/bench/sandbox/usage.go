package sandbox

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// Usage is what a running cluster takes at one moment.
type Usage struct {
	// Memory is the resident set of the cluster's process, TaskMemory that of its
	// tasks together, in bytes.
	Memory, TaskMemory int64
	// Files and Threads are the open files and the threads of the cluster's
	// process; 0 where the system does not tell, which is everywhere but on Linux.
	Files, Threads int
	// Processes are all that the cluster runs, Tasks those of an image, and
	// Connections PostgreSQL's for clients.
	Processes, Tasks, Connections int
	// State is the size of the cluster's records, images and registry, Logs that
	// of what tasks logged and traced, Database PostgreSQL's, in bytes.
	State, Logs, Database int64
}

// Usage looks at the cluster.
func (s *Sandbox) Usage(ctx context.Context) (Usage, error) {
	info, err := s.Info(ctx)
	if err != nil {
		return Usage{}, err
	}
	out, err := exec.CommandContext(ctx, "ps", "-axww", "-o", "pid=,ppid=,rss=,args=").Output()
	if err != nil {
		return Usage{}, fmt.Errorf("list processes: %w", err)
	}
	u := usageOf(parseProcesses(out), info.PID, filepath.Join(s.State, "images"))
	proc := filepath.Join("/proc", strconv.Itoa(info.PID))
	u.Files, u.Threads = entries(filepath.Join(proc, "fd")), entries(filepath.Join(proc, "task"))
	u.State, u.Logs, u.Database = sizes(s.State)
	return u, nil
}

// running is a process as ps lists it.
type running struct {
	pid, parent int
	memory      int64 // bytes
	args        string
}

func parseProcesses(out []byte) []running {
	var all []running
	lines := bufio.NewScanner(bytes.NewReader(out))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) < 4 {
			continue
		}
		var r running
		var kib int64
		if _, err := fmt.Sscan(strings.Join(fields[:3], " "), &r.pid, &r.parent, &kib); err != nil {
			continue
		}
		r.memory, r.args = kib<<10, strings.Join(fields[3:], " ")
		all = append(all, r)
	}
	return all
}

// client is the title of a PostgreSQL process that serves a connection: user,
// database, address and port.
var client = regexp.MustCompile(`^postgres: .*\S+ \S+ [^ ]+\([0-9]+\)`)

// usageOf counts a process and those below it. A task runs from below images.
func usageOf(all []running, pid int, images string) Usage {
	children := map[int][]running{}
	var u Usage
	for _, r := range all {
		children[r.parent] = append(children[r.parent], r)
		if r.pid == pid {
			u.Memory = r.memory
		}
	}
	for below := children[pid]; len(below) > 0; below = below[1:] {
		r := below[0]
		u.Processes++
		switch {
		case strings.HasPrefix(r.args, images) || strings.HasPrefix(exeOf(r.pid), images):
			u.Tasks++
			u.TaskMemory += r.memory
		case client.MatchString(r.args):
			u.Connections++
		}
		below = append(below, children[r.pid]...)
	}
	return u
}

// exeOf is a process's program, where the system tells.
func exeOf(pid int) string {
	exe, _ := os.Readlink(filepath.Join("/proc", strconv.Itoa(pid), "exe"))
	return exe
}

func entries(dir string) int {
	list, err := os.ReadDir(dir)
	if err != nil {
		return 0
	}
	return len(list)
}

// sizes adds up the files of a state folder. What goes away meanwhile counts not.
func sizes(state string) (records, logs, database int64) {
	_ = filepath.WalkDir(state, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return nil //nolint:nilerr // it is gone
		}
		info, err := entry.Info()
		if err != nil {
			return nil //nolint:nilerr // it is gone
		}
		rel, _ := filepath.Rel(state, path)
		switch first, _, _ := strings.Cut(filepath.ToSlash(rel), "/"); first {
		case "postgres":
			database += info.Size()
		case "logs", "traces", "cluster.log":
			logs += info.Size()
		default:
			records += info.Size()
		}
		return nil
	})
	return records, logs, database
}
