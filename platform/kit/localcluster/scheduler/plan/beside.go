package plan

// Beside is the plan of the strategies that run the old release and the new one
// side by side (blue/green, canary, linear): the new one is brought up whole,
// whatever the upper bound says, and the settled deployment keeps every task
// until the traffic has moved for good. What belongs to neither goes at once.
// Source: "Amazon ECS blue/green service deployments workflow".
func Beside(v View) Step {
	t := count(v)
	if v.Draining {
		return Step{Stop: ids(append(t.primary, t.others...))}
	}
	s := Step{Stop: surplus(v, t)}
	kept := 0
	for _, task := range t.others {
		if task.Deployment != v.Settled || v.Moved {
			s.Stop = append(s.Stop, task.ID)
		} else {
			kept++
		}
	}
	if v.Settled != "" && !v.Moved && !v.Rest {
		s.Restore = max(0, v.Desired-kept) // it still carries traffic
	}
	if !v.Halted && !v.Throttled {
		s.Start = max(0, v.Desired-len(t.primary))
	}
	return s
}

// Up reports whether the primary deployment has every task, each healthy,
// whatever else there is.
func Up(v View) bool {
	healthy := 0
	for _, task := range v.Tasks {
		switch {
		case task.Deployment != v.Primary || task.Stopping:
		case !task.Healthy:
			return false
		default:
			healthy++
		}
	}
	return healthy == v.Desired
}
