package fake

import (
	"slices"
	"sync"
)

// Alarms are CloudWatch alarms that fire when they are told to.
type Alarms struct {
	mu     sync.Mutex
	firing []string
}

// Fire puts exactly the named alarms into state ALARM.
func (f *Alarms) Fire(names ...string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.firing = names
}

// Firing tells which of the names are in state ALARM.
func (f *Alarms) Firing(names []string) ([]string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []string
	for _, name := range names {
		if slices.Contains(f.firing, name) {
			out = append(out, name)
		}
	}
	return out, nil
}
