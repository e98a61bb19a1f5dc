// Package fargate knows the task sizes that AWS Fargate sells.
package fargate

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// size is one row of the table of task sizes in the ECS developer
// guide ("Task CPU and memory"), Linux, platform version 1.4.0 and later.
type size struct{ cpu, from, to, step int }

var sizes = []size{
	{256, 512, 2048, 0}, // 512, 1024 and 2048 alone
	{512, 1024, 4096, 1024},
	{1024, 2048, 8192, 1024},
	{2048, 4096, 16384, 1024},
	{4096, 8192, 30720, 1024},
	{8192, 16384, 61440, 4096},
	{16384, 32768, 122880, 8192},
}

// Memory returns the memory sizes in MiB that Fargate sells with a
// number of CPU units, ascending; nil when it does not sell that number.
func Memory(cpu int) []int {
	i := slices.IndexFunc(sizes, func(s size) bool { return s.cpu == cpu })
	if i < 0 {
		return nil
	}
	row := sizes[i]
	var sold []int
	for m := row.from; m <= row.to; {
		sold = append(sold, m)
		if row.step == 0 {
			m *= 2
		} else {
			m += row.step
		}
	}
	return sold
}

// CPUs returns the numbers of CPU units that are sold, ascending.
func CPUs() []int {
	cpus := make([]int, len(sizes))
	for i, s := range sizes {
		cpus[i] = s.cpu
	}
	return cpus
}

// List writes numbers as "1, 2 or 3", and a long even series by its step.
func List(numbers []int) string {
	if len(numbers) == 1 {
		return strconv.Itoa(numbers[0])
	}
	if step := numbers[1] - numbers[0]; len(numbers) > 8 {
		return fmt.Sprintf("%d, %d, ... %d (steps of %d)", numbers[0], numbers[1], numbers[len(numbers)-1], step)
	}
	words := make([]string, len(numbers))
	for i, n := range numbers {
		words[i] = strconv.Itoa(n)
	}
	return strings.Join(words[:len(words)-1], ", ") + " or " + words[len(words)-1]
}
