package plan

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestBoundsOf(t *testing.T) {
	tests := map[string]struct {
		desired  int
		min, max int32
		want     Bounds
	}{
		"defaults":            {2, 100, 200, Bounds{2, 4}},
		"minimum rounds up":   {3, 50, 200, Bounds{2, 6}},
		"maximum rounds down": {3, 100, 150, Bounds{3, 4}},
		"one of one":          {1, 50, 100, Bounds{1, 1}},
		"none":                {0, 100, 200, Bounds{0, 0}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := BoundsOf(tt.desired, tt.min, tt.max); got != tt.want {
				t.Errorf("BoundsOf(%d, %d, %d) = %+v, want %+v", tt.desired, tt.min, tt.max, got, tt.want)
			}
		})
	}
}

func TestThreshold(t *testing.T) {
	for desired, want := range map[int]int{0: 3, 1: 3, 6: 3, 7: 4, 10: 5, 25: 13, 399: 200, 400: 200, 1000: 200} {
		if got := Threshold(desired); got != want {
			t.Errorf("Threshold(%d) = %d, want %d", desired, got, want)
		}
	}
}

func TestBackoffDoublesUpToItsLimit(t *testing.T) {
	b := Backoff{Free: 3, First: time.Second, Max: 10 * time.Second}
	var got []time.Duration
	for n := range 9 {
		got = append(got, b.After(n)/time.Second)
	}
	if want := []time.Duration{0, 0, 0, 1, 2, 4, 8, 10, 10}; !slices.Equal(got, want) {
		t.Errorf("waits = %v, want %v", got, want)
	}
}

// old and fresh build tasks; a capital letter is a healthy one.
func tasks(deployment, spec string) []Task {
	var out []Task
	for i, r := range spec {
		task := Task{ID: deployment + string(rune('0'+i)), Deployment: deployment, CreatedAt: time.Unix(int64(i), 0)}
		switch r {
		case 'H':
			task.Running, task.Healthy, task.Proven = true, true, true
		case 'u':
			task.Running, task.Proven = true, true
		case 's':
			task.Stopping = true
		}
		out = append(out, task)
	}
	return out
}

func TestRolling(t *testing.T) {
	tests := map[string]struct {
		view  View
		start int
		stop  []string
		stuck bool
	}{
		"first start":             {View{Desired: 2, Bounds: Bounds{2, 4}}, 2, nil, false},
		"throttled":               {View{Desired: 2, Bounds: Bounds{2, 4}, Throttled: true}, 0, nil, false},
		"new beside old":          {View{Desired: 2, Bounds: Bounds{2, 4}, Tasks: tasks("a", "HH")}, 2, nil, false},
		"nothing until healthy":   {View{Desired: 2, Bounds: Bounds{2, 4}, Tasks: slices.Concat(tasks("a", "HH"), tasks("b", "pp"))}, 0, nil, false},
		"one for one":             {View{Desired: 2, Bounds: Bounds{2, 4}, Tasks: slices.Concat(tasks("a", "HH"), tasks("b", "Hp"))}, 0, []string{"a0"}, false},
		"all for all":             {View{Desired: 2, Bounds: Bounds{2, 4}, Tasks: slices.Concat(tasks("a", "HH"), tasks("b", "HH"))}, 0, []string{"a0", "a1"}, false},
		"no room: stop first":     {View{Desired: 2, Bounds: Bounds{1, 2}, Tasks: tasks("a", "HH")}, 1, []string{"a0"}, false},
		"no room, no slack":       {View{Desired: 1, Bounds: Bounds{1, 1}, Tasks: tasks("a", "H")}, 0, nil, true},
		"unproven old goes":       {View{Desired: 1, Bounds: Bounds{1, 2}, Tasks: tasks("a", "p")}, 1, []string{"a0"}, false},
		"proven old stays":        {View{Desired: 1, Bounds: Bounds{1, 2}, Tasks: tasks("a", "u")}, 1, nil, false},
		"scale in youngest":       {View{Desired: 1, Bounds: Bounds{1, 2}, Tasks: tasks("b", "HH")}, 0, []string{"b1"}, false},
		"scale in the sick":       {View{Desired: 1, Bounds: Bounds{1, 2}, Tasks: tasks("b", "pH")}, 0, []string{"b0"}, false},
		"scale to none":           {View{Desired: 0, Tasks: slices.Concat(tasks("a", "Hu"), tasks("b", "p"))}, 0, []string{"b0", "a1", "a0"}, false},
		"failed starts nothing":   {View{Desired: 2, Bounds: Bounds{2, 4}, Halted: true, Tasks: tasks("a", "HH")}, 0, nil, false},
		"failed replaces nothing": {View{Desired: 2, Bounds: Bounds{2, 4}, Halted: true, Tasks: slices.Concat(tasks("a", "HH"), tasks("b", "H"))}, 0, nil, false},
		"draining":                {View{Desired: 2, Bounds: Bounds{2, 4}, Draining: true, Tasks: tasks("b", "Hp")}, 0, []string{"b0", "b1"}, false},
		"crashed is replaced":     {View{Desired: 2, Bounds: Bounds{2, 4}, Tasks: tasks("b", "sH")}, 1, nil, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			tt.view.Primary = "b"
			got := Rolling(tt.view)
			if got.Start != tt.start || !slices.Equal(got.Stop, tt.stop) || got.Stuck != tt.stuck {
				t.Errorf("Rolling = %+v, want start %d, stop %v, stuck %v", got, tt.start, tt.stop, tt.stuck)
			}
		})
	}
}

// TestRollingKeepsItsBounds checks any snapshot: a step never starts above the
// maximum and never takes healthy tasks below the minimum.
func TestRollingKeepsItsBounds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		desired := rapid.IntRange(0, 6).Draw(t, "desired")
		v := View{
			Desired:   desired,
			Bounds:    BoundsOf(desired, int32(rapid.IntRange(0, 100).Draw(t, "min")), int32(rapid.IntRange(100, 300).Draw(t, "max"))),
			Primary:   "b",
			Halted:    rapid.Bool().Draw(t, "halted"),
			Throttled: rapid.Bool().Draw(t, "throttled"),
		}
		spec := rapid.StringOfN(rapid.RuneFrom([]rune("Hups")), 0, 6, -1)
		v.Tasks = slices.Concat(tasks("a", spec.Draw(t, "old")), tasks("b", spec.Draw(t, "new")))
		step := Rolling(v)
		before, after, active := 0, 0, 0
		seen := map[string]bool{}
		for _, id := range step.Stop {
			if seen[id] {
				t.Fatalf("task %s is stopped twice: %+v", id, step)
			}
			seen[id] = true
		}
		for _, task := range v.Tasks {
			if task.Stopping {
				if seen[task.ID] {
					t.Fatalf("task %s is stopping already: %+v", task.ID, step)
				}
				continue
			}
			gone := seen[task.ID]
			if !gone {
				active++
			}
			if task.Healthy {
				before++
				if !gone {
					after++
				}
			}
		}
		if after < min(before, v.Bounds.Min) {
			t.Fatalf("healthy %d -> %d, minimum %d: %+v", before, after, v.Bounds.Min, step)
		}
		if step.Start > 0 && active+step.Start > v.Bounds.Max {
			t.Fatalf("%d tasks and %d starts, maximum %d: %+v", active, step.Start, v.Bounds.Max, step)
		}
	})
}
