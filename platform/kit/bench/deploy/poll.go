package deploy

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"
)

// The pace of polling: slow while the compiler works, which polling would
// disturb, fast while traffic moves.
const (
	slowly    = 50 * time.Millisecond
	fast      = 5 * time.Millisecond
	pollers   = 2 // each at its pace
	pollLimit = 5 * time.Second
)

// answer is one that a client got: from began to ended, text from whoever
// answered. failed is no answer, or none with status 200.
type answer struct {
	began, ended time.Time
	text         string
	failed       bool
}

// poller asks the gateway over and over who answers.
type poller struct {
	url    string
	client *http.Client
	hurry  chan struct{}
	once   sync.Once
	cancel context.CancelFunc
	all    sync.WaitGroup

	mu   sync.Mutex
	seen []answer
}

func startPoller(ctx context.Context, url string) *poller {
	p := &poller{
		url: url, hurry: make(chan struct{}),
		client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: pollers}, Timeout: pollLimit},
	}
	ctx, p.cancel = context.WithCancel(ctx)
	for range pollers {
		p.all.Go(func() { p.run(ctx) })
	}
	return p
}

func (p *poller) run(ctx context.Context) {
	tick := time.NewTicker(slowly)
	defer tick.Stop()
	hurry := p.hurry
	for {
		select {
		case <-ctx.Done():
			return
		case <-hurry:
			hurry = nil
			tick.Reset(fast)
		case <-tick.C:
			a := p.ask(ctx)
			if ctx.Err() != nil {
				return // the answer was cut off
			}
			p.mu.Lock()
			p.seen = append(p.seen, a)
			p.mu.Unlock()
		}
	}
}

// quicken polls fast from now on.
func (p *poller) quicken() { p.once.Do(func() { close(p.hurry) }) }

// stop ends the polling and returns what was answered.
func (p *poller) stop() []answer {
	p.cancel()
	p.all.Wait()
	p.client.CloseIdleConnections()
	return p.seen
}

func (p *poller) ask(ctx context.Context) answer {
	a := answer{began: time.Now(), failed: true}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.url, http.NoBody)
	if err == nil {
		var res *http.Response
		if res, err = p.client.Do(req); err == nil {
			raw, err := io.ReadAll(res.Body)
			_ = res.Body.Close()
			a.text, a.failed = string(raw), err != nil || res.StatusCode != http.StatusOK
		}
	}
	a.ended = time.Now()
	return a
}

// shift is when traffic had moved to a release, as a client sees it.
type shift struct {
	// lastOther is when the last answer of anybody else ended, zero without one;
	// alone when the first answer ended that was asked for after that.
	lastOther, alone time.Time
	// firstOther is when the first answer of anybody else ended.
	firstOther time.Time
	failures   int
}

var errNeverAlone = errors.New("the release never answered alone")

// shiftTo finds when only the release with the mark answered.
func shiftTo(answers []answer, mark string) (shift, error) {
	var s shift
	for _, a := range answers {
		if a.failed {
			s.failures++
		}
		if !a.failed && strings.Contains(a.text, mark) {
			continue
		}
		if s.firstOther.IsZero() || a.ended.Before(s.firstOther) {
			s.firstOther = a.ended
		}
		if a.ended.After(s.lastOther) {
			s.lastOther = a.ended
		}
	}
	for _, a := range answers {
		if !a.failed && strings.Contains(a.text, mark) && a.began.After(s.lastOther) && (s.alone.IsZero() || a.ended.Before(s.alone)) {
			s.alone = a.ended
		}
	}
	if s.alone.IsZero() {
		return s, errNeverAlone
	}
	return s, nil
}
