package logs_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"

	"github.com/slipway-dev/slipway/platform/kit/localcluster/logs"
)

// role makes the test binary write lines for ever: see TestMain.
const role = "SLIPWAY_LOGS_TEST_ROLE"

func TestMain(m *testing.M) {
	if os.Getenv(role) == "" {
		os.Exit(m.Run())
	}
	store, err := logs.Open(logs.Config{Dir: os.Args[1], SegmentBytes: 2000, StreamBytes: 1 << 30, GroupBytes: 1 << 30})
	if err != nil {
		fmt.Fprintln(os.Stdout, err)
		os.Exit(1)
	}
	w := store.Writer("g", os.Args[2])
	for i := 0; ; i++ {
		_, _ = fmt.Fprintf(w, "line %d %s\n", i, strings.Repeat("x", i%100))
		fmt.Fprintln(os.Stdout, i)
	}
}

// TestKill kills a writer at random; each line whose Write returned is there,
// once and in order, and the store goes on after the torn end.
func TestKill(t *testing.T) {
	t.Parallel()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for round := range 6 {
		stream := fmt.Sprint("s", round)
		cmd := exec.CommandContext(context.Background(), exe, dir, stream)
		cmd.Env = append(os.Environ(), role+"=write")
		out, err := cmd.StdoutPipe()
		if err = errors.Join(err, cmd.Start()); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		for range 1 + rand.IntN(300) {
			lines.Scan()
		}
		_ = cmd.Process.Kill()
		last := lines.Text()
		for lines.Scan() {
			last = lines.Text()
		}
		_ = cmd.Wait()
		var acknowledged int
		if _, err := fmt.Sscan(last, &acknowledged); err != nil {
			t.Fatalf("the writer said %q", last)
		}
		b := setup(t, logs.Config{Dir: dir, SegmentBytes: 2000, StreamBytes: 1 << 30, GroupBytes: 1 << 30})
		got := b.filter(t, cloudwatchlogs.FilterLogEventsInput{LogGroupName: aws.String("g"), LogStreamNames: []string{stream}})
		if len(got) < acknowledged+1 || len(got) > acknowledged+2 {
			t.Errorf("%d lines, %d acknowledged", len(got), acknowledged+1)
		}
		for i, line := range got {
			if want := fmt.Sprintf("%s line %d ", stream, i); !strings.HasPrefix(line, want) {
				t.Fatalf("line %d is %q", i, line)
			}
		}
		_, _ = b.store.Writer("g", stream).Write([]byte("after\n"))
		again := b.filter(t, cloudwatchlogs.FilterLogEventsInput{LogGroupName: aws.String("g"), LogStreamNames: []string{stream}})
		found := 0
		for _, line := range again {
			if strings.HasSuffix(line, "after") {
				found++
			}
		}
		if found != 1 || len(again) != len(got)+1 {
			t.Errorf("after the crash: %d lines of %d", len(again), len(got)+1)
		}
		_ = b.store.Close()
	}
}

// TestTornEnd cuts the file at every byte of its last record.
func TestTornEnd(t *testing.T) {
	t.Parallel()
	base := t.TempDir()
	b := setup(t, logs.Config{Dir: base})
	w := b.store.Writer("g", "s")
	_, _ = w.Write([]byte("first\nsecond\n"))
	_ = errors.Join(w.Close(), b.store.Close())
	files, err := filepath.Glob(filepath.Join(base, "*", "*", "*.log"))
	if err != nil || len(files) != 1 {
		t.Fatal(files, err)
	}
	whole, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	for size := len(whole)/2 + 1; size < len(whole); size++ {
		if err := os.WriteFile(files[0], whole[:size], 0o600); err != nil {
			t.Fatal(err)
		}
		b := setup(t, logs.Config{Dir: base})
		if got := b.all(t, "g"); got != "s first" {
			t.Errorf("cut at %d: %q", size, got)
		}
		_, _ = b.store.Writer("g", "s").Write([]byte("third\n"))
		if got := b.all(t, "g"); got != "s first|s third" {
			t.Errorf("cut at %d, then written: %q", size, got)
		}
		_ = b.store.Close()
	}
}

func TestRetention(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	b := setup(t, logs.Config{Dir: dir, SegmentBytes: 100})
	w := b.store.Writer("g", "s")
	for day := range 5 {
		_, _ = fmt.Fprintf(w, "day %d %s\n", day, strings.Repeat("x", 100))
		b.clock.Advance(24 * time.Hour)
	}
	if _, err := b.PutRetentionPolicy(t.Context(), &cloudwatchlogs.PutRetentionPolicyInput{LogGroupName: aws.String("g"), RetentionInDays: aws.Int32(3)}); err != nil {
		t.Fatal(err)
	}
	got := b.all(t, "g")
	if strings.Contains(got, "day 1") || !strings.Contains(got, "day 2") || !strings.Contains(got, "day 4") {
		t.Errorf("got %q", got)
	}
	if n := segments(t, dir); n != 3 {
		t.Errorf("%d segments", n)
	}
	if _, err := b.PutRetentionPolicy(t.Context(), &cloudwatchlogs.PutRetentionPolicyInput{LogGroupName: aws.String("g"), RetentionInDays: aws.Int32(4)}); codeOf(err) != "InvalidParameterException" {
		t.Errorf("4 days: %v", err)
	}
}

func segments(t *testing.T, dir string) int {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*", "*", "*.log"))
	if err != nil {
		t.Fatal(err)
	}
	return len(files)
}

// TestBounds writes far more than fits: the newest is kept, the disk use is
// bounded, old streams go.
func TestBounds(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	b := setup(t, logs.Config{Dir: dir, SegmentBytes: 1000, StreamBytes: 4000, GroupBytes: 20000, GroupStreams: 10})
	for task := range 40 {
		w := b.store.Writer("g", fmt.Sprintf("s/%03d", task))
		for i := range 100 {
			_, _ = fmt.Fprintf(w, "task %d line %d %s\n", task, i, strings.Repeat("x", 60))
		}
		_ = w.Close()
		b.clock.Advance(time.Second)
	}
	var size int64
	files, _ := filepath.Glob(filepath.Join(dir, "*", "*", "*.log"))
	for _, name := range files {
		info, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		size += info.Size()
	}
	if size > 22000 || size < 10000 {
		t.Errorf("%d bytes in %d files", size, len(files))
	}
	got := b.all(t, "g")
	if !strings.Contains(got, "task 39 line 99") || strings.Contains(got, "task 1 ") {
		t.Error("the wrong events were kept")
	}
	streams, err := b.DescribeLogStreams(t.Context(), &cloudwatchlogs.DescribeLogStreamsInput{LogGroupName: aws.String("g")})
	if err != nil || len(streams.LogStreams) > 10 {
		t.Errorf("%d streams, %v", len(streams.LogStreams), err)
	}
}

// TestReadersAndWriters runs both at once; each reader sees each stream's
// lines in order.
func TestReadersAndWriters(t *testing.T) {
	t.Parallel()
	b := setup(t, logs.Config{SegmentBytes: 4000})
	var group sync.WaitGroup
	for n := range 4 {
		group.Go(func() {
			w := b.store.Writer("g", fmt.Sprint("s", n))
			for i := range 500 {
				_, _ = fmt.Fprintf(w, "%d\n", i)
			}
			_ = w.Close()
		})
	}
	_, _ = b.store.Writer("g", "first").Write([]byte("0\n"))
	for range 20 {
		next := map[string]int{}
		for _, line := range b.filter(t, cloudwatchlogs.FilterLogEventsInput{LogGroupName: aws.String("g")}) {
			stream, number, _ := strings.Cut(line, " ")
			if number != fmt.Sprint(next[stream]) {
				t.Fatalf("%s after %d", line, next[stream])
			}
			next[stream]++
		}
	}
	group.Wait()
	if got := len(b.filter(t, cloudwatchlogs.FilterLogEventsInput{LogGroupName: aws.String("g")})); got != 2001 {
		t.Errorf("%d lines", got)
	}
}

func BenchmarkWriter(b *testing.B) {
	store, err := logs.Open(logs.Config{Dir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	defer store.Close()
	w := store.Writer("g", "s")
	line := []byte(strings.Repeat("x", 150) + "\n")
	b.SetBytes(int64(len(line)))
	for b.Loop() {
		_, _ = w.Write(line)
	}
}
