package ecsapi

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/slipway-dev/slipway/platform/kit/fargate"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/scheduler/ecserr"
)

// taskSize checks a task's cpu and memory, given in units and MiB or as in
// "1 vCPU" and "2 GB", and returns them in units and MiB.
func taskSize(cpu, memory string) (string, string, error) {
	if cpu == "" || memory == "" {
		return "", "", ecserr.Client("Fargate requires that 'cpu' and 'memory' be defined at the task level.")
	}
	c, err := amount(cpu, "vcpu")
	if err != nil {
		return "", "", ecserr.Client("Invalid 'cpu' setting for task: %s.", cpu)
	}
	m, err := amount(memory, "gb")
	if err != nil {
		return "", "", ecserr.Client("Invalid 'memory' setting for task: %s.", memory)
	}
	sold := fargate.Memory(c)
	switch {
	case sold == nil:
		return "", "", ecserr.Client("No Fargate configuration exists for given values: cpu %d. It is one of %s.", c, fargate.List(fargate.CPUs()))
	case !slices.Contains(sold, m):
		return "", "", ecserr.Client("No Fargate configuration exists for given values: %d CPU, %d memory. With cpu %d, memory is %s.",
			c, m, c, fargate.List(sold))
	}
	return strconv.Itoa(c), strconv.Itoa(m), nil
}

// amount reads "512", or "0.5 GB" with a unit that stands for 1024.
func amount(text, unit string) (int, error) {
	low := strings.ToLower(strings.ReplaceAll(text, " ", ""))
	number, scaled := strings.CutSuffix(low, unit)
	if !scaled {
		return strconv.Atoi(low)
	}
	f, err := strconv.ParseFloat(number, 64)
	if err != nil {
		return 0, fmt.Errorf("read %q: %w", text, err)
	}
	return int(f * 1024), nil
}
