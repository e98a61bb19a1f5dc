package deploy

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/slipway-dev/slipway/platform/kit/bench/sandbox"
	"github.com/slipway-dev/slipway/platform/kit/event"
)

// exitRolledBack is the exit code of a deploy that was put back.
const exitRolledBack = 3

// ear hears of the first bad answer of a release that answers badly.
type ear struct {
	url    string
	server *http.Server
	once   sync.Once
	first  chan time.Time
}

func listen(ctx context.Context) (*ear, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	e := &ear{url: "http://" + l.Addr().String() + "/", first: make(chan time.Time, 1)}
	e.server = &http.Server{ReadHeaderTimeout: time.Second, Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		e.once.Do(func() { e.first <- time.Now() })
	})}
	go func() { _ = e.server.Serve(l) }()
	return e, nil
}

// heard ends the listening and returns the moment of the first bad answer.
func (e *ear) heard() (time.Time, error) {
	_ = e.server.Close()
	select {
	case at := <-e.first:
		return at, nil
	default:
		return time.Time{}, errors.New("the broken release told of no bad answer")
	}
}

// putBack is how a release that answers badly was put back, in seconds from its
// first bad answer.
type putBack struct {
	traffic  float64 // its last answer to a client; 0 when it never answered one
	over     float64 // the verdict: all tasks and all traffic are the old release's
	failures int     // of the client's requests
}

// rollBack deploys a release that answers badly while mark's release serves.
func (b *bench) rollBack(ctx context.Context, unhealthy bool, mark string) (putBack, error) {
	e, err := listen(ctx)
	if err != nil {
		return putBack{}, err
	}
	b.serial++
	if err := b.box.Break(b.serial, unhealthy, e.url); err != nil {
		return putBack{}, errors.Join(err, e.server.Close())
	}
	polled := startPoller(ctx, b.url)
	r, err := b.box.Mage(ctx, quickenAtPlan(polled), "deploy", "local", sandbox.Service)
	answers := polled.stop()
	first, heardErr := e.heard()
	if err == nil {
		err = r.Want("deploy of a release that answers badly", exitRolledBack)
	}
	if err = errors.Join(err, heardErr); err != nil {
		return putBack{}, err
	}
	back := putBack{over: courseOf(r).verdict.Sub(first).Seconds()}
	s, err := shiftTo(answers, mark)
	if err != nil {
		return putBack{}, err
	}
	if back.failures = s.failures; s.failures > 0 {
		back.traffic = s.lastOther.Sub(first).Seconds()
	}
	return back, nil
}

// quickenAtPlan makes a poller hurry once a deploy is about to move traffic.
func quickenAtPlan(p *poller) func(event.Event) {
	return func(e event.Event) {
		if e.Data.Type() == event.TypePlan {
			p.quicken()
		}
	}
}
