package build

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/slipway-dev/slipway/platform/kit/bench/subject"
	"github.com/slipway-dev/slipway/platform/kit/image"
	"github.com/slipway-dev/slipway/platform/kit/release"
)

// row is one way of building.
type row struct {
	name     string
	do       func(context.Context) (usage, error)
	took     []time.Duration
	cpu      []time.Duration // zero where the work is not a process of its own
	peak     int64           // bytes, of the largest process
	own      int64           // bytes, of the kit's process
	ratio    []float64       // of the time to the floor's of the same round
	cpuRatio []float64
}

// measure runs every way in turn, runs times, after one round that is not counted.
func (b *bench) measure(ctx context.Context, runs int, change bool) ([]*row, error) {
	rows := []*row{
		{name: "go build", do: b.floor},
		{name: "build and push, in process", do: b.inProcess},
		{name: "build and push, whole process", do: b.process},
	}
	for round := range runs + 1 {
		for _, r := range rows {
			if change {
				if err := b.change(); err != nil {
					return nil, err
				}
			}
			start := b.clock.Now()
			used, err := r.do(ctx)
			took := b.clock.Since(start)
			if err != nil {
				return nil, fmt.Errorf("measure %s: %w", r.name, err)
			}
			if round == 0 {
				continue
			}
			r.took = append(r.took, took)
			r.ratio = append(r.ratio, float64(took)/float64(rows[0].took[round-1]))
			if used.cpu > 0 {
				r.cpu = append(r.cpu, used.cpu)
				r.cpuRatio = append(r.cpuRatio, float64(used.cpu)/float64(rows[0].cpu[round-1]))
				r.peak, r.own = max(r.peak, used.peak), max(r.own, used.own)
			}
		}
	}
	return rows, nil
}

func median[T float64 | time.Duration](values []T) T {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	if n := len(sorted); n%2 == 0 {
		return (sorted[n/2-1] + sorted[n/2]) / 2
	}
	return sorted[len(sorted)/2]
}

func table(w io.Writer, name string, goal float64, rows []*row) {
	fmt.Fprintf(w, "\n%s (goal: at most %.2f times go build)\n", name, goal)
	fmt.Fprintf(w, "  %-30s %7s %7s %7s %7s %7s %7s %9s %8s\n", "",
		"min s", "median", "max", "ratio", "cpu s", "ratio", "peak MiB", "own MiB")
	mib := func(bytes int64) string {
		if bytes == 0 {
			return "-"
		}
		return fmt.Sprintf("%.0f", float64(bytes)/(1<<20))
	}
	for _, r := range rows {
		cpu, cpuRatio := "-", "-"
		if len(r.cpu) > 0 {
			cpu, cpuRatio = fmt.Sprintf("%.2f", median(r.cpu).Seconds()), fmt.Sprintf("%.2f", median(r.cpuRatio))
		}
		fmt.Fprintf(w, "  %-30s %7.2f %7.2f %7.2f %7.2f %7s %7s %9s %8s\n", r.name,
			slices.Min(r.took).Seconds(), median(r.took).Seconds(), slices.Max(r.took).Seconds(), median(r.ratio),
			cpu, cpuRatio, mib(r.peak), mib(r.own))
	}
}

// size compares what is pushed with the bare necessities, packed the same way.
func (b *bench) size(ctx context.Context, w io.Writer) error {
	_, result, err := release.Build(ctx, subject.Settings(b.root, b.host, b.temp+"/cache-in"))
	if err != nil {
		return err
	}
	built := result.Images[0]
	binary, err := os.ReadFile(built.Binary)
	if err != nil {
		return fmt.Errorf("read binary: %w", err)
	}
	encoder, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedDefault))
	if err != nil {
		return fmt.Errorf("make zstd encoder: %w", err)
	}
	program := len(encoder.EncodeAll(binary, nil))
	certificates := len(encoder.EncodeAll(image.Certificates(), nil))
	pushed := built.BaseBytes + built.AppBytes
	fmt.Fprintf(w, "\nsize (goal: at most 1.03 times compressed binary and certificates)\n")
	fmt.Fprintf(w, "  binary %d bytes; layers pushed %d (program %d, base %d)\n", built.BinaryBytes, pushed, built.AppBytes, built.BaseBytes)
	fmt.Fprintf(w, "  zstd of binary %d, of certificates %d: ratio %.3f\n", program, certificates,
		float64(pushed)/float64(program+certificates))
	return nil
}
