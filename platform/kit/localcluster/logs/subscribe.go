package logs

import (
	"sync"
)

// Event is one log event as a subscriber sees it.
type Event struct {
	Stream  string
	Time    int64 // in milliseconds since 1970
	Message string
	// Missed counts events that were not delivered before this one, because
	// the subscriber was slower than the group. They are in the store.
	Missed int
}

// backlog is how many events a subscriber may be behind.
const backlog = 4096

// Subscribe delivers the events that arrive in a group from now on, those only
// that match the filter pattern (see FilterLogEvents; empty: all). The channel
// is closed by cancel, which may be called more than once, and by Close. The
// group need not exist yet. A pattern that cannot be read is an error.
func (s *Store) Subscribe(group, filter string) (events <-chan Event, cancel func(), err error) {
	matches, err := compile(filter)
	if err != nil {
		return nil, nil, invalidPattern(err)
	}
	sub := &subscriber{group: group, matches: matches, events: make(chan Event, backlog)}
	s.subscribers.add(sub)
	return sub.events, func() { s.subscribers.remove(sub) }, nil
}

type subscriber struct {
	group   string
	matches matcher
	events  chan Event
	missed  int
}

// subscribers are those of a store; the zero value has none.
type subscribers struct {
	mu   sync.Mutex
	subs map[*subscriber]bool
}

func (s *subscribers) add(sub *subscriber) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.subs == nil {
		s.subs = map[*subscriber]bool{}
	}
	s.subs[sub] = true
}

func (s *subscribers) remove(sub *subscriber) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.subs[sub] {
		delete(s.subs, sub)
		close(sub.events)
	}
}

func (s *subscribers) closeAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for sub := range s.subs {
		close(sub.events)
	}
	clear(s.subs)
}

// publish never waits: a task's output must not depend on who watches it.
func (s *subscribers) publish(group, stream string, records []record) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for sub := range s.subs {
		if sub.group != group {
			continue
		}
		for _, r := range records {
			if !sub.matches(r.Message) {
				continue
			}
			select {
			case sub.events <- Event{Stream: stream, Time: r.Time, Message: r.Message, Missed: sub.missed}:
				sub.missed = 0
			default:
				sub.missed++
			}
		}
	}
}
