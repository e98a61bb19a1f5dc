package rollout_test

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/slipway-dev/slipway/platform/kit/contract"
	"github.com/slipway-dev/slipway/platform/kit/rollout"
)

func (f *fakeAWS) Platforms(_ context.Context, _, digest string) ([]string, error) {
	if p, ok := f.platforms[digest]; ok {
		return p, nil
	}
	return nil, rollout.ErrNotFound
}

func (f *fakeAWS) Check(_ context.Context, valueFrom string) error {
	if !f.secrets[valueFrom] {
		return fmt.Errorf("look for secret %s: %w", valueFrom, rollout.ErrNotFound)
	}
	return nil
}

func (f *fakeAWS) Contract(context.Context, string, string) (contract.Contract, error) {
	return f.contract, f.broken["Contract"]
}

func (f *fakeAWS) Tail(_ context.Context, _, stream string, limit int) ([]rollout.LogEvent, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	lines := f.logs[stream]
	return lines[max(0, len(lines)-limit):], nil
}

func (f *fakeAWS) Filter(_ context.Context, q rollout.LogQuery) (rollout.LogPage, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var all []rollout.LogEvent
	for _, stream := range slices.Sorted(maps.Keys(f.logs)) {
		for _, e := range f.logs[stream] {
			if e.Stream = stream; !e.At.Before(q.From) {
				all = append(all, e)
			}
		}
	}
	slices.SortStableFunc(all, func(a, b rollout.LogEvent) int { return a.At.Compare(b.At) })
	from := 0
	fmt.Sscan(q.Token, &from)
	page := rollout.LogPage{Events: all[from:min(len(all), from+2)]}
	if from+2 < len(all) {
		page.Token = fmt.Sprint(from + 2)
	}
	return page, nil
}
