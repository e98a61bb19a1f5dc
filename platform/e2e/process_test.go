//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// process is one that runs from below a state folder, or on data in it.
type process struct {
	pid  string
	args string
	// exe is the program's file; empty where the system does not tell.
	exe string
}

func (p process) String() string { return p.pid + " " + p.args }

// processesOf lists the processes that belong to a state folder: the cluster,
// PostgreSQL, and the tasks, whose programs lie below it.
func processesOf(t *testing.T, state string) []process {
	t.Helper()
	out, err := exec.Command("ps", "-axww", "-o", "pid=,stat=,args=").Output()
	if err != nil {
		t.Fatalf("list processes: %v", err)
	}
	var found []process
	for line := range strings.SplitSeq(string(out), "\n") {
		fields := strings.Fields(line)
		if len(fields) < 3 || strings.HasPrefix(fields[1], "Z") {
			continue
		}
		p := process{pid: fields[0], args: strings.Join(fields[2:], " ")}
		p.exe, _ = os.Readlink(filepath.Join("/proc", p.pid, "exe")) // Linux only
		if strings.Contains(p.args, state) || strings.HasPrefix(p.exe, state) {
			found = append(found, p)
		}
	}
	return found
}

// taskProcesses are those of processesOf that run from an unpacked image.
func taskProcesses(t *testing.T, state string) []process {
	t.Helper()
	var tasks []process
	for _, p := range processesOf(t, state) {
		if strings.HasPrefix(p.exe, filepath.Join(state, "images")) {
			tasks = append(tasks, p)
		}
	}
	return tasks
}

// tasksOf are the taskProcesses of one service.
func tasksOf(t *testing.T, state, service string) []process {
	t.Helper()
	return slices.DeleteFunc(taskProcesses(t, state), func(p process) bool { return filepath.Base(p.exe) != service })
}

// postgresProcesses is the database server that tasks and cluster share.
func postgresProcesses(t *testing.T, state string) []process {
	t.Helper()
	return slices.DeleteFunc(processesOf(t, state), func(p process) bool {
		return !strings.Contains(p.args, filepath.Join(state, "postgres", "data")) || filepath.Base(strings.Fields(p.args)[0]) != "postgres"
	})
}

// describe lists processes, a line each.
func describe(list []process) string {
	var b strings.Builder
	for _, p := range list {
		fmt.Fprintln(&b, p)
	}
	return b.String()
}
