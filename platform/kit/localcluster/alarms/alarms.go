// Package alarms is the part of CloudWatch that deployments need: metric alarms
// over what the gateway measures of its target groups. It keeps the alarms,
// evaluates them every second over sliding windows, and serves the operations
// that make and read them. It sends no notifications.
package alarms

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"

	"github.com/slipway-dev/slipway/platform/kit/localcluster/site"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/state"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/wire"
)

const (
	bucket = "alarms"
	// tick is how often the gateway is asked and every alarm evaluated. In AWS
	// the shortest is ten seconds.
	tick = time.Second
)

// Counters is what a target group has seen so far. Numbers only grow.
type Counters struct {
	Requests     uint64
	Errors5xx    uint64 // answers of targets with 5xx
	GRPCFailures uint64 // answers of targets with a gRPC status that is the server's fault
	Latency      []Bucket
	// Seconds is the sum of all latencies.
	Seconds float64
}

// Bucket counts the requests that took at most UpTo and more than the bucket
// before; the last one has UpTo 0, no bound.
type Bucket struct {
	UpTo  time.Duration
	Count uint64
}

// Source is where the numbers come from, by target group in the form of a
// dimension: targetgroup/NAME/ID.
type Source interface {
	Counters() map[string]Counters
}

// Config is what a Store needs.
type Config struct {
	site.Config

	Source Source
	Logger *slog.Logger // nil: silent
}

// Store holds alarms and their states.
type Store struct {
	cfg Config

	mu     sync.Mutex
	alarms map[string]*types.MetricAlarm
	past   []sample // oldest first
}

// New opens the alarms on the cluster's state.
func New(cfg Config) (*Store, error) {
	if err := cfg.Complete("alarms"); err != nil {
		return nil, err
	}
	if cfg.Source == nil {
		return nil, errors.New("alarms: a source of metrics is needed")
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	s := &Store{cfg: cfg, alarms: map[string]*types.MetricAlarm{}}
	err := cfg.State.View(func(tx *state.Tx) error {
		return tx.List(bucket, "", func(name string, raw []byte) error {
			var a types.MetricAlarm
			if err := json.Unmarshal(raw, &a); err != nil {
				return fmt.Errorf("read alarm %s: %w", name, err)
			}
			s.alarms[name] = &a
			return nil
		})
	})
	if err != nil {
		return nil, err
	}
	return s, nil
}

// API describes the operations that are served.
func (s *Store) API() wire.API {
	return wire.API{
		Protocol: wire.Protocol{Target: "GraniteServiceVersion20100801", Signing: "monitoring", Names: wire.Pascal},
		Operations: map[string]wire.Operation{
			"DeleteAlarms":   wire.Op(s.DeleteAlarms),
			"DescribeAlarms": wire.Op(s.DescribeAlarms),
			"PutMetricAlarm": wire.Op(s.PutMetricAlarm),
			"SetAlarmState":  wire.Op(s.SetAlarmState),
		},
	}
}

// Run evaluates every alarm once a second until ctx ends.
func (s *Store) Run(ctx context.Context) {
	ticker := s.cfg.Clock.NewTicker(tick)
	defer ticker.Stop()
	for {
		s.Evaluate(ctx)
		select {
		case <-ctx.Done():
			return
		case <-ticker.Chan():
		}
	}
}

// Firing tells which of the named alarms are in state ALARM. One that does not
// exist is an error.
func (s *Store) Firing(names []string) ([]string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var firing, missing []string
	for _, name := range names {
		switch a := s.alarms[name]; {
		case a == nil:
			missing = append(missing, name)
		case a.StateValue == types.StateValueAlarm:
			firing = append(firing, name)
		}
	}
	if len(missing) > 0 {
		return firing, fmt.Errorf("there is no alarm %s", strings.Join(missing, ", "))
	}
	return firing, nil
}

// Evaluate takes a sample and brings every alarm's state up to date.
func (s *Store) Evaluate(ctx context.Context) {
	now := s.cfg.Clock.Now()
	taken := sample{at: now, groups: s.cfg.Source.Counters()}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.past = append(s.past, taken)
	s.trim(now)
	for _, a := range s.alarms {
		value, reason := s.judge(a, now)
		if value == a.StateValue || value == "" {
			continue
		}
		s.cfg.Logger.InfoContext(ctx, "alarm changes its state", "alarm", *a.AlarmName, "from", a.StateValue, "to", value, "reason", reason)
		next := *a
		move(&next, value, reason, now)
		if err := s.keep(&next); err != nil {
			s.cfg.Logger.ErrorContext(ctx, "keep alarm", "alarm", *a.AlarmName, "error", err)
		}
		*a = next
	}
}

// move puts an alarm into a state.
func move(a *types.MetricAlarm, value types.StateValue, reason string, now time.Time) {
	a.StateValue, a.StateReason = value, aws.String(reason)
	a.StateUpdatedTimestamp, a.StateTransitionedTimestamp = aws.Time(now.UTC()), aws.Time(now.UTC())
}

// trim forgets the samples that no alarm looks back to, but the one before.
func (s *Store) trim(now time.Time) {
	longest := time.Minute
	for _, a := range s.alarms {
		longest = max(longest, window(a))
	}
	first := slices.IndexFunc(s.past, func(p sample) bool { return now.Sub(p.at) <= longest })
	if first > 1 {
		s.past = slices.Delete(s.past, 0, first-1)
	}
}

// keep writes an alarm to the state.
func (s *Store) keep(a *types.MetricAlarm) error {
	return s.cfg.State.Update(func(tx *state.Tx) error { return tx.Put(bucket, *a.AlarmName, a) })
}
