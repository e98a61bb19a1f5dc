package request

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"time"
)

// Generators of load. Builtin checks every answer, byte by byte; wrk
// (github.com/wg/wrk) looks at the status alone, and takes a third of the
// processor, which is the programs' own.
const (
	Builtin = "builtin"
	Wrk     = "wrk"
)

//go:embed wrk.lua
var wrkScript []byte

// wrkReport is what the script writes; times are microseconds.
type wrkReport struct {
	Requests, Microseconds, P50, P99, Refused, Broken int64
}

// findWrk says where wrk is and writes its script into the folder.
func findWrk(folder string) (program, script string, err error) {
	program, err = exec.LookPath(Wrk)
	if err != nil {
		return "", "", fmt.Errorf("find wrk: %w\nnext: install wrk, or leave out --generator", err)
	}
	script = filepath.Join(folder, "wrk.lua")
	if err := os.WriteFile(script, wrkScript, 0o600); err != nil {
		return "", "", fmt.Errorf("write script: %w", err)
	}
	return program, script, nil
}

// byWrk loads the subject with wrk.
func byWrk(program, script string) generator {
	return func(ctx context.Context, s *subject, d time.Duration) (sample, error) {
		cmd := exec.CommandContext(ctx, program, "--threads", strconv.Itoa(runtime.NumCPU()), "--connections", strconv.Itoa(connections),
			"--duration", strconv.Itoa(max(1, int(d.Seconds())))+"s", "--script", script, "http://"+s.address)
		cmd.Env = []string{"TOKEN=" + s.token, "PREFIX=" + productPath, "COUNT=" + strconv.Itoa(products)}
		var figures bytes.Buffer
		cmd.Stderr = &figures
		if err := cmd.Run(); err != nil {
			return sample{}, fmt.Errorf("run wrk: %w\n%s", err, figures.Bytes())
		}
		return readWrk(figures.Bytes(), cmd.ProcessState.UserTime()+cmd.ProcessState.SystemTime())
	}
}

// readWrk takes the figures over; an answer that is no 200 makes them worthless.
func readWrk(figures []byte, processor time.Duration) (sample, error) {
	var r wrkReport
	if err := json.Unmarshal(figures, &r); err != nil {
		return sample{}, fmt.Errorf("read what wrk says: %w: %s", err, figures)
	}
	if r.Refused > 0 || r.Broken > 0 || r.Requests == 0 {
		return sample{}, fmt.Errorf("wrk got %d answers, %d of them no success, and lost %d", r.Requests, r.Refused, r.Broken)
	}
	return sample{
		requests: int(r.Requests), took: time.Duration(r.Microseconds) * time.Microsecond, generator: processor,
		p50: time.Duration(r.P50) * time.Microsecond, p99: time.Duration(r.P99) * time.Microsecond,
	}, nil
}
