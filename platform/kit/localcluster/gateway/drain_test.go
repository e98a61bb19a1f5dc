package gateway

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jonboulle/clockwork"
)

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

func TestDrainWaitsForWhatIsInFlight(t *testing.T) {
	b := setup(t, Config{})
	b.group(nil)
	entered, leave := make(chan struct{}), make(chan struct{})
	b.backend("a", func(w http.ResponseWriter, _ *http.Request) {
		entered <- struct{}{}
		select {
		case <-leave:
		case <-t.Context().Done():
		}
		_, _ = io.WriteString(w, "done")
	})
	type answered struct {
		code int
		body string
	}
	answers := make(chan answered)
	go func() { code, body := b.get("/slow"); answers <- answered{code, body} }()
	<-entered
	drained := b.Deregister(groupARN, "a")
	if h := b.Health(groupARN, "a"); h.State != StateDraining || h.Reason != "Target.DeregistrationInProgress" {
		t.Errorf("state while draining: %+v", h)
	}
	if isClosed(drained) {
		t.Fatal("drained with a request in flight")
	}
	if code, _ := b.get("/"); code != 503 {
		t.Fatalf("a request went to a draining target: %d", code)
	}
	close(leave)
	if a := <-answers; a.code != 200 || a.body != "done" {
		t.Fatalf("the request in flight got %+v", a)
	}
	<-drained
	if !isClosed(b.Deregister(groupARN, "a")) {
		t.Error("an unknown target is not drained at once")
	}
}

func TestDrainEndsWithTheDelay(t *testing.T) {
	clock := clockwork.NewFakeClock()
	b := setup(t, Config{Clock: clock})
	b.group(func(tg *TargetGroup) { tg.DeregistrationDelay = 30 * time.Second })
	entered := make(chan struct{})
	b.backend("a", func(_ http.ResponseWriter, r *http.Request) {
		entered <- struct{}{}
		<-r.Context().Done()
	})
	code := make(chan int)
	go func() { c, _ := b.get("/stuck"); code <- c }()
	<-entered
	drained := b.Deregister(groupARN, "a")
	if err := clock.BlockUntilContext(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	clock.Advance(29 * time.Second)
	if isClosed(drained) {
		t.Fatal("drained before the delay was over")
	}
	clock.Advance(time.Second)
	<-drained
	if c := <-code; c != 502 {
		t.Errorf("what was cut got %d", c)
	}
}

func TestANewAddressDrainsTheOld(t *testing.T) {
	b := setup(t, Config{})
	b.group(nil)
	say := func(s string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, s) }
	}
	b.backend("a", say("old"))
	b.backend("a", say("new"))
	for range 10 {
		if code, body := b.get("/"); code != 200 || body != "new" {
			t.Fatalf("got %d %s", code, body)
		}
	}
}

func TestLeastOutstanding(t *testing.T) {
	b := setup(t, Config{})
	b.group(func(tg *TargetGroup) { tg.Algorithm = LeastOutstanding })
	entered, leave := make(chan struct{}, 1), make(chan struct{})
	hold := func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/hold" {
			entered <- struct{}{}
			select {
			case <-leave:
			case <-t.Context().Done():
			}
		}
	}
	var free [2]atomic.Int32
	for i, id := range []string{"a", "b"} {
		b.backend(id, func(w http.ResponseWriter, r *http.Request) { free[i].Add(1); hold(w, r) })
	}
	done := make(chan int)
	go func() { code, _ := b.get("/hold"); done <- code }()
	<-entered
	for range 20 {
		b.get("/")
	}
	close(leave)
	<-done
	if a, c := free[0].Load(), free[1].Load(); min(a, c) != 1 || max(a, c) != 20 {
		t.Errorf("the busy target and the free one got %d and %d requests", a, c)
	}
}

// replica is a backend that knows when it may no longer be asked.
type replica struct {
	id      string
	srv     *httptest.Server
	stopped atomic.Bool
}

// TestNoRequestFailsWhileTargetsComeAndGo keeps many clients busy while targets
// are registered, drained and stopped at random. No request may fail, and none
// may reach a target after its drained channel was closed.
func TestNoRequestFailsWhileTargetsComeAndGo(t *testing.T) {
	b := setup(t, Config{})
	b.group(func(tg *TargetGroup) { // a busy machine is no sick target
		tg.HealthCheck.Interval, tg.HealthCheck.Timeout = 5*time.Second, 5*time.Second
	})
	var late atomic.Int64
	start := func(id string) *replica {
		rep := &replica{id: id}
		rep.srv = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if rep.stopped.Load() && r.URL.Path != "/healthz" { // a probe may be late
				late.Add(1)
			}
			_, _ = io.Copy(io.Discard, r.Body)
			_, _ = io.WriteString(w, "ok")
		}))
		b.register(id, rep.srv.Listener.Addr().String())
		return rep
	}
	live := []*replica{start("t0"), start("t1")}

	ctx, stop := context.WithCancel(t.Context())
	var clients sync.WaitGroup
	var asked, failed atomic.Int64
	for n := range 16 {
		clients.Go(func() {
			c := &http.Client{Transport: &http.Transport{}}
			defer c.CloseIdleConnections()
			for i := 0; ctx.Err() == nil; i++ {
				asked.Add(1)
				if err := ask(c, b.url, n+i); err != nil {
					failed.Add(1)
					t.Error(err)
				}
			}
		})
	}
	random := rand.New(rand.NewPCG(1, 2))
	for i := range 60 {
		live = append(live, start(fmt.Sprintf("t%d", i+2)))
		for len(live) > 1+random.IntN(3) {
			k := random.IntN(len(live))
			gone := live[k]
			live = append(live[:k], live[k+1:]...)
			<-b.Deregister(groupARN, gone.id)
			gone.stopped.Store(true)
			gone.srv.CloseClientConnections() // as rude as a SIGKILL
			gone.srv.Close()
		}
	}
	stop()
	clients.Wait()
	for _, rep := range live {
		<-b.Deregister(groupARN, rep.id)
		rep.srv.Close()
	}
	if failed.Load() > 0 || late.Load() > 0 {
		t.Errorf("of %d requests %d failed, %d reached a drained target", asked.Load(), failed.Load(), late.Load())
	}
	t.Logf("%d requests", asked.Load())
}

// ask makes one request, every third with a body.
func ask(c *http.Client, url string, i int) error {
	method, body := http.MethodGet, io.Reader(nil)
	if i%3 == 0 {
		method, body = http.MethodPost, io.LimitReader(zeros{}, int64(i%5000))
	}
	req, err := http.NewRequest(method, url+"/v1/products", body)
	if err != nil {
		return err
	}
	res, err := c.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	got, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		return fmt.Errorf("got %d %s, %w", res.StatusCode, got, err)
	}
	return nil
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// BenchmarkProxy tells what a request costs through the gateway (gateway) and
// without it (direct); the difference is the gateway's own.
func BenchmarkProxy(b *testing.B) {
	target := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"name":"products/p1","display_name":"Lamp"}`)
	}))
	defer target.Close()
	g, err := New(Config{})
	if err != nil {
		b.Fatal(err)
	}
	defer g.Close()
	if err := g.PutTargetGroup(TargetGroup{ARN: groupARN}); err != nil {
		b.Fatal(err)
	}
	if err := g.PutRule(Rule{ID: "r", Priority: 1, Forward: []WeightedGroup{{groupARN, 1}}}); err != nil {
		b.Fatal(err)
	}
	if err := g.Register(groupARN, Target{ID: "t", Host: "127.0.0.1", Port: target.Listener.Addr().(*net.TCPAddr).Port}); err != nil {
		b.Fatal(err)
	}
	front := httptest.NewServer(g)
	defer front.Close()
	clock := clockwork.NewRealClock()
	for g.Health(groupARN, "t").State != StateHealthy {
		<-clock.After(time.Millisecond)
	}
	for name, url := range map[string]string{"direct": target.URL, "gateway": front.URL} {
		b.Run(name, func(b *testing.B) {
			c := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
			defer c.CloseIdleConnections()
			b.ReportAllocs()
			b.SetParallelism(8)
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if err := ask(c, url, 1); err != nil {
						b.Error(err)
					}
				}
			})
		})
	}
}
