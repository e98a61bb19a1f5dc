package scheduler

// Idle reports whether no effect waits or is being executed.
func (s *Scheduler) Idle() bool {
	s.queue.mu.Lock()
	defer s.queue.mu.Unlock()
	return !s.queue.draining && len(s.queue.waiting) == 0
}
