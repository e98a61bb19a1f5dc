//go:build e2e

package e2e

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"
)

// processesOf lists processes whose command line names the state folder:
// the cluster, PostgreSQL with its children, and every task, since they all
// run from below it.
func processesOf(t *testing.T, state string) []string {
	t.Helper()
	out, err := exec.Command("ps", "-axww", "-o", "pid=,stat=,args=").Output()
	if err != nil {
		t.Fatalf("list processes: %v", err)
	}
	var found []string
	for line := range strings.SplitSeq(string(out), "\n") {
		fields := strings.Fields(line)
		if len(fields) < 3 || strings.HasPrefix(fields[1], "Z") || !strings.Contains(line, state) {
			continue
		}
		found = append(found, fmt.Sprintf("%s %s", fields[0], strings.Join(fields[2:], " ")))
	}
	return found
}
