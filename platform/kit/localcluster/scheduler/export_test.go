package scheduler

import "time"

// Idle reports whether no effect waits or is being executed.
func (s *Scheduler) Idle() bool {
	s.queue.mu.Lock()
	defer s.queue.mu.Unlock()
	return !s.queue.draining && len(s.queue.waiting) == 0
}

// NextDue is the time until a timer is due, or 0 when none is set.
func (s *Scheduler) NextDue() time.Duration {
	wait, _ := s.untilNext()
	return wait
}
