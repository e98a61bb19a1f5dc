package fake

import (
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/slipway-dev/slipway/platform/kit/localcluster/scheduler"
)

// Targets is a load balancer without traffic.
type Targets struct {
	// Judge gives a new target its health; nil finds every target healthy.
	Judge func(group string, t scheduler.Target) string
	// Changed is called after a target's health changed.
	Changed func(group, id string)
	// Busy keeps targets draining until Drain is called.
	Busy bool
	// Missing groups refuse registration.
	Missing []string
	// Deaf swallows every call, as when the process dies before it acts.
	Deaf bool

	// Fixed listener rules cannot be modified.
	Fixed []string

	// Shared is called after a listener rule was modified.
	Shared func(rule string, percent map[string]float64)

	mu      sync.Mutex
	targets map[place]*target
	shares  map[string]map[string]float64
}

type place struct{ group, id string }

type target struct {
	scheduler.Target
	health  string
	drained chan struct{}
}

// Register adds a target.
func (f *Targets) Register(group string, t scheduler.Target) error {
	f.mu.Lock()
	if f.Deaf {
		f.mu.Unlock()
		return nil
	}
	if slices.Contains(f.Missing, group) {
		f.mu.Unlock()
		return fmt.Errorf("register target: no target group %s", group)
	}
	if f.targets == nil {
		f.targets = map[place]*target{}
	}
	health := scheduler.TargetHealthy
	if f.Judge != nil {
		health = f.Judge(group, t)
	}
	f.targets[place{group, t.ID}] = &target{Target: t, health: health}
	f.mu.Unlock()
	f.Changed(group, t.ID)
	return nil
}

// Deregister removes a target, once it is drained.
func (f *Targets) Deregister(group, id string) <-chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	done := make(chan struct{})
	t := f.targets[place{group, id}]
	if f.Deaf {
		return done
	}
	if t == nil || !f.Busy {
		delete(f.targets, place{group, id})
		close(done)
		return done
	}
	if t.drained != nil {
		return t.drained
	}
	t.health, t.drained = scheduler.TargetDraining, done
	return done
}

// Share divides a listener rule's requests.
func (f *Targets) Share(rule string, percent map[string]float64) error {
	if err := f.modify(rule, percent); err != nil {
		return err
	}
	if f.Shared != nil && !f.Deaf {
		f.Shared(rule, percent)
	}
	return nil
}

func (f *Targets) modify(rule string, percent map[string]float64) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.Deaf {
		return nil
	}
	if slices.Contains(f.Fixed, rule) {
		return fmt.Errorf("modify listener rule: no rule %s", rule)
	}
	if f.shares == nil {
		f.shares = map[string]map[string]float64{}
	}
	f.shares[rule] = maps.Clone(percent)
	return nil
}

// Shares is how a listener rule divides its requests, in percent by group.
func (f *Targets) Shares(rule string) map[string]float64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return maps.Clone(f.shares[rule])
}

// Health is a target's state.
func (f *Targets) Health(group, id string) scheduler.TargetHealth {
	f.mu.Lock()
	defer f.mu.Unlock()
	t := f.targets[place{group, id}]
	if t == nil {
		return scheduler.TargetHealth{State: scheduler.TargetUnused, Reason: "Target.NotRegistered"}
	}
	return scheduler.TargetHealth{State: t.health, Description: "Health checks failed with these codes: [500]"}
}

// Set changes a target's health.
func (f *Targets) Set(group, id, health string) {
	f.mu.Lock()
	t := f.targets[place{group, id}]
	known := t != nil && t.drained == nil
	if known {
		t.health = health
	}
	f.mu.Unlock()
	if known {
		f.Changed(group, id)
	}
}

// Drain ends the draining of every target.
func (f *Targets) Drain() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for key, t := range f.targets {
		if t.drained != nil {
			close(t.drained)
			delete(f.targets, key)
		}
	}
}

// Draining reports whether a target has requests to finish, in any group.
func (f *Targets) Draining(id string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	for key, t := range f.targets {
		if key.id == id && t.drained != nil {
			return true
		}
	}
	return false
}

// Registered lists the targets that get traffic in a group, by id.
func (f *Targets) Registered(group string) []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []string
	for key, t := range f.targets {
		if key.group == group && t.drained == nil {
			out = append(out, key.id)
		}
	}
	slices.Sort(out)
	return out
}

// Reset forgets everything, as a restart does.
func (f *Targets) Reset() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, t := range f.targets {
		if t.drained != nil {
			close(t.drained)
		}
	}
	f.targets = nil
}
