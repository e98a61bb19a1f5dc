package plan

import (
	"cmp"
	"slices"
)

// tally is a view counted.
type tally struct {
	active  int // starting or running, of any deployment
	healthy int // healthy, of any deployment
	// Tasks of the primary deployment and of all others, live ones only.
	primary, others []Task
	primaryHealthy  int
}

func count(v View) tally {
	var t tally
	for _, task := range v.Tasks {
		if task.Stopping {
			continue
		}
		t.active++
		if task.Healthy {
			t.healthy++
		}
		if task.Deployment != v.Primary {
			t.others = append(t.others, task)
			continue
		}
		t.primary = append(t.primary, task)
		if task.Healthy {
			t.primaryHealthy++
		}
	}
	return t
}

// Rolling is the rolling update: start as many new tasks as the upper bound
// allows, and give up an old task only for a healthy new one, or, where there
// is no room to start one, down to the lower bound.
func Rolling(v View) Step {
	t := count(v)
	if v.Draining {
		return Step{Stop: ids(append(t.primary, t.others...))}
	}
	var s Step
	s.Stop = append(s.Stop, surplus(v, t)...)
	want := max(0, v.Desired-len(t.primary))
	stops, freed := replaced(v, t, want)
	s.Stop = append(s.Stop, stops...)
	if v.Halted || v.Throttled {
		return s
	}
	room := max(0, v.Bounds.Max-t.active+len(s.Stop))
	s.Start = min(want, room)
	s.Stuck = want > 0 && s.Start == 0 && !freed && t.healthy == t.active && settled(v)
	return s
}

// settled reports whether nothing is on its way that could make room.
func settled(v View) bool {
	return !slices.ContainsFunc(v.Tasks, func(t Task) bool { return t.Stopping })
}

// surplus picks the primary deployment's tasks above the desired count: those
// that are not healthy first, then the youngest.
func surplus(v View, t tally) []string {
	n := len(t.primary) - v.Desired
	if n <= 0 {
		return nil
	}
	tasks := slices.Clone(t.primary)
	slices.SortFunc(tasks, func(a, b Task) int {
		return cmp.Or(worth(a)-worth(b), b.CreatedAt.Compare(a.CreatedAt), cmp.Compare(a.ID, b.ID))
	})
	return ids(tasks[:n])
}

// worth orders tasks by how much would be lost with them.
func worth(t Task) int {
	switch {
	case t.Healthy:
		return 2
	case t.Proven:
		return 1
	default:
		return 0
	}
}

// replaced picks the tasks of earlier deployments that can go now. freed says
// whether the choice makes room for a start.
func replaced(v View, t tally, want int) (stop []string, freed bool) {
	var healthy, proven []Task
	for _, task := range t.others {
		switch worth(task) {
		case 0:
			// It never served: nothing is lost, and it is in the way.
			stop = append(stop, task.ID)
		case 1:
			proven = append(proven, task)
		default:
			healthy = append(healthy, task)
		}
	}
	slices.SortFunc(healthy, func(a, b Task) int {
		return cmp.Or(a.CreatedAt.Compare(b.CreatedAt), cmp.Compare(a.ID, b.ID))
	})
	if t.primaryHealthy >= v.Desired {
		return append(append(stop, ids(proven)...), ids(healthy)...), true
	}
	n := min(replaceable(v, t, want, len(healthy), len(stop)), t.healthy-v.Bounds.Min, len(healthy))
	if n > 0 {
		stop = append(stop, ids(healthy[:n])...)
	}
	return stop, len(stop) > 0
}

// replaceable is how many of the old healthy tasks are not needed any more: as
// many as there are healthy tasks above the desired count, or as there are
// starts without room. A failed deployment's tasks replace nothing.
func replaceable(v View, t tally, want, old, stopping int) int {
	if v.Halted {
		return old - v.Desired
	}
	n := t.healthy - v.Desired
	if v.Throttled {
		return n
	}
	return max(n, want-(v.Bounds.Max-t.active+stopping))
}

// Complete reports whether the primary deployment has every task, each
// healthy, and nothing of another deployment is left.
func Complete(v View) bool {
	healthy := 0
	for _, task := range v.Tasks {
		switch {
		case task.Deployment != v.Primary:
			return false
		case task.Stopping:
			continue
		case !task.Healthy:
			return false
		}
		healthy++
	}
	return healthy == v.Desired
}

func ids(tasks []Task) []string {
	out := make([]string, 0, len(tasks))
	for _, t := range tasks {
		out = append(out, t.ID)
	}
	return out
}
