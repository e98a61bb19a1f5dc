package ecsapi

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/slipway-dev/slipway/platform/kit/localcluster/scheduler/ecserr"
)

// size is the memory, in MiB, that Fargate sells with a number of CPU units.
type size struct{ cpu, from, to, step int }

// sizes is every task size.
// Source: "Task CPU and memory" in "Amazon ECS task definition parameters for Fargate".
func sizes() []size {
	return []size{
		{256, 512, 1024, 512},
		{256, 2048, 2048, 1},
		{512, 1024, 4096, 1024},
		{1024, 2048, 8192, 1024},
		{2048, 4096, 16384, 1024},
		{4096, 8192, 30720, 1024},
		{8192, 16384, 61440, 4096},
		{16384, 32768, 122880, 8192},
	}
}

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
	var choices []string
	for _, s := range sizes() {
		if s.cpu != c {
			continue
		}
		if m >= s.from && m <= s.to && (m-s.from)%s.step == 0 {
			return strconv.Itoa(c), strconv.Itoa(m), nil
		}
		choices = append(choices, span(s))
	}
	if choices == nil {
		return "", "", ecserr.Client("No Fargate configuration exists for given values: cpu %d. It is one of 256, 512, 1024, 2048, 4096, 8192, 16384.", c)
	}
	return "", "", ecserr.Client("No Fargate configuration exists for given values: %d CPU, %d memory. With cpu %d, memory is %s.",
		c, m, c, strings.Join(choices, " or "))
}

func span(s size) string {
	if s.from == s.to {
		return strconv.Itoa(s.from)
	}
	return fmt.Sprintf("%d to %d in steps of %d", s.from, s.to, s.step)
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
