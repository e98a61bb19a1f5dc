package jobs

import (
	"math/rand/v2"
	"time"

	"github.com/riverqueue/river/rivertype"
)

const (
	firstPause   = time.Second
	longestPause = time.Minute
)

// RetryPolicy is the pause after a failed attempt: a second, doubled with each
// attempt up to a minute, with a tenth of random spread. River's own policy
// grows with the fourth power, and a customer's order would wait for hours after
// an outage of minutes.
type RetryPolicy struct{}

// NextRetry is when the job is tried again.
func (RetryPolicy) NextRetry(job *rivertype.JobRow) time.Time {
	return time.Now().Add(pause(len(job.Errors) + 1))
}

// pause is the pause after the given number of failures.
func pause(failures int) time.Duration {
	d := firstPause
	for ; failures > 1 && d < longestPause; failures-- {
		d *= 2
	}
	d = min(d, longestPause)
	return d - d/20 + rand.N(d/10) //nolint:gosec // jitter needs no secrecy
}
