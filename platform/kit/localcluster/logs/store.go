// Package logs is the embedded cluster's CloudWatch Logs: groups and streams
// of events in append-only files, bounded in size, that survive the end of the
// process at any moment. Containers' output comes in through Writer, other
// clients through the API; Subscribe follows a group without polling.
package logs

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jonboulle/clockwork"
)

// Config is what a Store needs. Limits of zero take the value in brackets.
type Config struct {
	Dir     string
	Clock   clockwork.Clock // nil: the real one
	Logger  *slog.Logger    // for output that could not be kept; nil: silent
	Region  string          // for ARNs; empty: us-east-1
	Account string          // for ARNs; empty: 000000000000

	SegmentBytes int64 // at which a stream begins a new file [4 MiB]
	StreamBytes  int64 // kept of a stream, newest first [64 MiB]
	GroupBytes   int64 // kept of a group, newest first [256 MiB]
	GroupStreams int   // kept of a group, newest first [1000]
}

func (c *Config) validate() error {
	if c.Dir == "" {
		return errors.New("logs: a folder is needed")
	}
	if c.Clock == nil {
		c.Clock = clockwork.NewRealClock()
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	c.Region = cmp.Or(c.Region, "us-east-1")
	c.Account = cmp.Or(c.Account, "000000000000")
	c.SegmentBytes = cmp.Or(c.SegmentBytes, 4<<20)
	c.StreamBytes = cmp.Or(c.StreamBytes, 64<<20)
	c.GroupBytes = cmp.Or(c.GroupBytes, 256<<20)
	c.GroupStreams = cmp.Or(c.GroupStreams, 1000)
	if c.SegmentBytes < 0 || c.StreamBytes < c.SegmentBytes || c.GroupBytes < c.SegmentBytes || c.GroupStreams < 1 {
		return errors.New("logs: a stream and a group must hold at least one segment")
	}
	return nil
}

// Store holds log groups. Its methods may be called from any goroutine.
type Store struct {
	config Config
	clock  clockwork.Clock
	prefix string // of every ARN

	// number is the last given to an event. It starts at the time of Open in
	// nanoseconds and so is larger than all that were given before.
	number atomic.Uint64

	mu     sync.RWMutex
	groups map[string]*group

	subscribers subscribers
}

// group is one log group.
type group struct {
	dir     string
	info    groupInfo
	streams map[string]*stream
}

// groupInfo is the content of group.json.
type groupInfo struct {
	Name      string
	Created   int64
	Retention int32 // in days; 0: for ever
	Tags      map[string]string
}

// Open opens the logs in a folder, making it where it is missing.
func Open(config Config) (*Store, error) {
	if err := config.validate(); err != nil {
		return nil, err
	}
	s := &Store{
		config: config, clock: config.Clock, groups: map[string]*group{},
		prefix: fmt.Sprintf("arn:aws:logs:%s:%s:log-group:", config.Region, config.Account),
	}
	s.number.Store(uint64(max(0, config.Clock.Now().UnixNano())))
	if err := os.MkdirAll(config.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("open logs: %w", err)
	}
	entries, err := os.ReadDir(config.Dir)
	if err != nil {
		return nil, fmt.Errorf("open logs: %w", err)
	}
	for _, entry := range entries {
		g, err := loadGroup(filepath.Join(config.Dir, entry.Name()))
		if err != nil {
			// One group that cannot be read must not cost the others.
			config.Logger.Warn("skip log group", "folder", entry.Name(), "error", err)
			continue
		}
		s.groups[g.info.Name] = g
	}
	for name := range s.groups {
		s.sweep(name)
	}
	return s, nil
}

func loadGroup(dir string) (*group, error) {
	g := &group{dir: dir, streams: map[string]*stream{}}
	if err := readJSON(filepath.Join(dir, "group.json"), &g.info); err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	for _, entry := range entries {
		if !entry.IsDir() {
			continue
		}
		st, err := loadStream(filepath.Join(dir, entry.Name()))
		if errors.Is(err, os.ErrNotExist) {
			continue // made, but not named, when the process ended
		}
		if err != nil {
			return nil, err
		}
		g.streams[st.info.Name] = st
	}
	return g, nil
}

// Close closes all files and ends all subscriptions. Nothing may write after
// it; what does is lost.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.subscribers.closeAll()
	for _, g := range s.groups {
		for _, st := range g.streams {
			st.mu.Lock()
			st.closeFile()
			st.deleted = true
			st.mu.Unlock()
		}
	}
	return nil
}

// folder is a file name for any group or stream name, which may be longer
// than a file name and hold slashes.
func folder(name string) string {
	sum := sha256.Sum256([]byte(name))
	return hex.EncodeToString(sum[:16])
}

func (s *Store) lookup(groupName, streamName string) (*stream, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	g, ok := s.groups[groupName]
	if !ok {
		return nil, false
	}
	st, ok := g.streams[streamName]
	return st, ok
}

// ensure finds a stream or makes it, and its group.
func (s *Store) ensure(groupName, streamName string) (*stream, error) {
	if st, ok := s.lookup(groupName, streamName); ok {
		return st, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	g, ok := s.groups[groupName]
	if !ok {
		var err error
		if g, err = s.addGroup(groupInfo{Name: groupName}); err != nil {
			return nil, err
		}
	}
	if st, ok := g.streams[streamName]; ok {
		return st, nil
	}
	return s.addStream(g, streamName)
}

func (s *Store) addGroup(info groupInfo) (*group, error) {
	info.Created = s.now()
	g := &group{dir: filepath.Join(s.config.Dir, folder(info.Name)), info: info, streams: map[string]*stream{}}
	if err := os.MkdirAll(g.dir, 0o700); err != nil {
		return nil, fmt.Errorf("create log group: %w", err)
	}
	if err := g.save(); err != nil {
		return nil, err
	}
	s.groups[info.Name] = g
	return g, nil
}

func (g *group) save() error {
	if err := writeJSON(filepath.Join(g.dir, "group.json"), g.info); err != nil {
		return fmt.Errorf("write log group: %w", err)
	}
	return nil
}

func (s *Store) addStream(g *group, name string) (*stream, error) {
	st, err := createStream(filepath.Join(g.dir, folder(name)), streamInfo{Name: name, Created: s.now()})
	if err != nil {
		return nil, err
	}
	g.streams[name] = st
	return st, nil
}

func (s *Store) now() int64 { return s.clock.Now().UnixMilli() }

// horizon is the time before which a group's events are gone.
func (s *Store) horizon(g *group) int64 {
	if g.info.Retention == 0 {
		return 0
	}
	return s.clock.Now().Add(-time.Duration(g.info.Retention) * 24 * time.Hour).UnixMilli()
}

// add stores records and tells those who follow the group.
func (s *Store) add(groupName string, st *stream, records []record) error {
	for i := range records {
		records[i].Number = s.number.Add(1)
	}
	rotated, err := st.append(records, s.config.SegmentBytes)
	if err != nil {
		return err
	}
	s.subscribers.publish(groupName, st.info.Name, records)
	if rotated {
		s.sweep(groupName)
	}
	return nil
}

// sweep holds a group to its limits: retention, bytes, number of streams. It
// runs when logs are opened, when a segment is full and when retention
// changes, so that a group is over its limit by at most a segment a stream.
func (s *Store) sweep(groupName string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	g, ok := s.groups[groupName]
	if !ok {
		return
	}
	if err := s.shrink(g); err != nil {
		s.config.Logger.Warn("sweep log group", "group", groupName, "error", err)
	}
}

func (s *Store) shrink(g *group) error {
	horizon := s.horizon(g)
	streams := slices.SortedFunc(maps.Values(g.streams), func(a, b *stream) int { return cmp.Compare(a.touched(), b.touched()) })
	var total int64
	for _, st := range streams {
		size := st.bytes()
		err := st.dropOldest(func(seg *segment) bool {
			if seg.changed >= horizon && size <= s.config.StreamBytes {
				return false
			}
			size -= seg.size
			return true
		})
		if err != nil {
			return err
		}
		total += size
	}
	for i, st := range streams {
		err := st.dropOldest(func(seg *segment) bool {
			if total <= s.config.GroupBytes && len(streams)-i <= s.config.GroupStreams {
				return false
			}
			total -= seg.size
			return true
		})
		if err != nil {
			return err
		}
		expired := st.info.Created < horizon || len(streams)-i > s.config.GroupStreams || st.touched() != st.info.Created
		if st.isIdle() && expired {
			delete(g.streams, st.info.Name)
			if err := st.remove(); err != nil {
				return err
			}
		}
	}
	return nil
}
