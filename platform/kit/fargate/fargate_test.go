package fargate_test

import (
	"testing"

	"github.com/slipway-dev/slipway/platform/kit/fargate"
)

func TestSizes(t *testing.T) {
	t.Parallel()
	want := map[int]struct{ count, least, most int }{
		256: {3, 512, 2048}, 512: {4, 1024, 4096}, 1024: {7, 2048, 8192}, 2048: {13, 4096, 16384},
		4096: {23, 8192, 30720}, 8192: {12, 16384, 61440}, 16384: {12, 32768, 122880}, 300: {},
	}
	for cpu, w := range want {
		got := fargate.Memory(cpu)
		if len(got) != w.count || w.count > 0 && (got[0] != w.least || got[len(got)-1] != w.most) {
			t.Errorf("cpu %d: %v; want %d from %d to %d", cpu, got, w.count, w.least, w.most)
		}
	}
}

func TestList(t *testing.T) {
	t.Parallel()
	for want, numbers := range map[string][]int{
		"512":                                   {512},
		"512, 1024 or 2048":                     fargate.Memory(256),
		"2048, 3072, ... 10240 (steps of 1024)": {2048, 3072, 4096, 5120, 6144, 7168, 8192, 9216, 10240},
	} {
		if got := fargate.List(numbers); got != want {
			t.Errorf("%v: got %q, want %q", numbers, got, want)
		}
	}
}
