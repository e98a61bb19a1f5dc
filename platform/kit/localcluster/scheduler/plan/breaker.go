package plan

import "time"

// Limits of the circuit breaker's threshold.
// Source: "How the Amazon ECS deployment circuit breaker detects failures".
const (
	minThreshold = 3
	maxThreshold = 200
)

// Threshold is the number of failed tasks at which the circuit breaker fails a
// deployment: half the desired count, at least 3, at most 200.
func Threshold(desired int) int { return BoundedThreshold(desired, 50) }

// BoundedThreshold is percent of the desired count rounded up, at least 3, at
// most 200 (threshold type BOUNDED_PERCENT).
func BoundedThreshold(desired int, percent int32) int {
	return min(maxThreshold, max(minThreshold, UnboundedThreshold(desired, percent)))
}

// UnboundedThreshold is percent of the desired count rounded up, at least 1
// (threshold type UNBOUNDED_PERCENT).
func UnboundedThreshold(desired int, percent int32) int {
	return max(1, (desired*int(percent)+99)/100)
}

// Backoff is how the starts of failing tasks are spaced: Free failures cost
// nothing, the next waits First, and each after it twice as long up to Max.
type Backoff struct {
	Free       int
	First, Max time.Duration
}

// After is the wait after the given number of failures in a row.
func (b Backoff) After(failures int) time.Duration {
	n := failures - b.Free
	if n < 0 {
		return 0
	}
	wait := b.First
	for range n {
		wait *= 2
		if wait >= b.Max {
			return b.Max
		}
	}
	return min(wait, b.Max)
}
