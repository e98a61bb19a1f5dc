package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jonboulle/clockwork"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const groupARN = "arn:aws:elasticloadbalancing:us-east-1:000000000000:targetgroup/catalog-http/0123456789abcdef"

// memory is a Store.
type memory struct {
	mu   sync.Mutex
	keys map[string][]byte
	fail error
}

func (m *memory) Put(key string, v any) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	raw, err := json.Marshal(v)
	if err != nil || m.fail != nil {
		return errors.Join(err, m.fail)
	}
	m.keys[key] = raw
	return nil
}

func (m *memory) Delete(key string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.keys, key)
	return m.fail
}

func (m *memory) List(prefix string, fn func(string, []byte) error) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, key := range slices.Sorted(maps.Keys(m.keys)) {
		if strings.HasPrefix(key, prefix) {
			if err := fn(key, m.keys[key]); err != nil {
				return err
			}
		}
	}
	return nil
}

// bundle is a gateway that serves, and what the test needs of it.
type bundle struct {
	*Gateway
	t       *testing.T
	url     string
	changes chan string
}

func setup(t *testing.T, cfg Config) *bundle {
	t.Helper()
	b := &bundle{t: t, changes: make(chan string, 1000)}
	cfg.OnHealthChange = func(_, id string, h TargetHealth) { b.changes <- id + " " + h.State }
	g, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	b.Gateway = g
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b.url = "http://" + l.Addr().String()
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- g.Serve(ctx, l) }()
	t.Cleanup(func() {
		http.DefaultClient.CloseIdleConnections()
		cancel()
		if err := <-served; err != nil {
			t.Errorf("serve: %v", err)
		}
		g.Close()
	})
	return b
}

// group adds a target group with quick checks and a rule for every path.
func (b *bundle) group(change func(*TargetGroup)) {
	b.t.Helper()
	tg := TargetGroup{
		ARN: groupARN, Name: "catalog-http",
		HealthCheck: HealthCheck{Path: "/healthz", Interval: 100 * time.Millisecond, Timeout: 100 * time.Millisecond, HealthyThreshold: 2},
	}
	if change != nil {
		change(&tg)
	}
	if err := b.PutTargetGroup(tg); err != nil {
		b.t.Fatal(err)
	}
	rule := Rule{
		ID: "catalog", Priority: 10, Forward: []WeightedGroup{{groupARN, 1}},
		Conditions: []Condition{{Field: PathPattern, Values: []string{"/*"}}},
	}
	if err := b.PutRule(rule); err != nil {
		b.t.Fatal(err)
	}
}

// backend registers a test server under a name and waits until it is healthy.
func (b *bundle) backend(id string, h http.HandlerFunc) *httptest.Server {
	b.t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/healthz" {
			h(w, r)
		}
	}))
	b.t.Cleanup(srv.Close)
	b.register(id, srv.Listener.Addr().String())
	return srv
}

func (b *bundle) register(id, addr string) {
	b.t.Helper()
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		b.t.Fatal(err)
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		b.t.Fatal(err)
	}
	if err := b.Register(groupARN, Target{ID: id, Host: host, Port: n}); err != nil {
		b.t.Fatal(err)
	}
	b.await(id, StateHealthy)
}

// await waits until the target has the state.
func (b *bundle) await(id, state string) {
	b.t.Helper()
	poll(b.t, func() bool { return b.Health(groupARN, id).State == state })
}

// poll waits until ok holds; what it waits for is done by real goroutines.
func poll(t *testing.T, ok func() bool) {
	t.Helper()
	clock := clockwork.NewRealClock()
	for deadline := clock.Now().Add(20 * time.Second); !ok(); <-clock.After(2 * time.Millisecond) {
		if clock.Now().After(deadline) {
			t.Fatal("did not happen within 20 s")
		}
	}
}

func TestRulesAndGroupsSurviveARestart(t *testing.T) {
	store := &memory{keys: map[string][]byte{}}
	first := setup(t, Config{Store: store})
	first.group(nil)
	if err := first.PutRule(Rule{ID: "fixed", Priority: 5, Fixed: &FixedResponse{StatusCode: 204}}); err != nil {
		t.Fatal(err)
	}
	second := setup(t, Config{Store: store})
	if got := second.Rules(); len(got) != 2 || got[0].ID != "fixed" || got[1].ID != "catalog" {
		t.Fatalf("rules after a restart: %+v", got)
	}
	if got := second.TargetGroups(); len(got) != 1 || got[0] != first.TargetGroups()[0] {
		t.Fatalf("target groups after a restart: %+v", got)
	}
	second.backend("a", func(http.ResponseWriter, *http.Request) {})

	if err := second.DeleteTargetGroup(groupARN); !errors.Is(err, ErrInUse) {
		t.Fatalf("delete of a group in use: %v", err)
	}
	if err := errors.Join(second.DeleteRule("catalog"), second.DeleteTargetGroup(groupARN)); err != nil {
		t.Fatal(err)
	}
	if third := setup(t, Config{Store: store}); len(third.Rules()) != 1 || len(third.TargetGroups()) != 0 {
		t.Fatal("what was deleted came back")
	}
}

func TestChangesThatCannotBe(t *testing.T) {
	store := &memory{keys: map[string][]byte{}}
	b := setup(t, Config{Store: store})
	b.group(nil)
	if err := b.PutRule(Rule{ID: "other", Priority: 10, Fixed: &FixedResponse{StatusCode: 200}}); !errors.Is(err, ErrInUse) {
		t.Errorf("a priority given twice: %v", err)
	}
	if err := b.PutRule(Rule{ID: "lost", Priority: 11, Forward: []WeightedGroup{{"arn:none", 1}}}); !errors.Is(err, ErrNotFound) {
		t.Errorf("a rule to a group that is not there: %v", err)
	}
	if err := b.PutTargetGroup(TargetGroup{ARN: groupARN, Protocol: GRPC}); err == nil {
		t.Error("the protocol changed")
	}
	if err := b.Register("arn:none", Target{ID: "a"}); !errors.Is(err, ErrNotFound) {
		t.Errorf("a target in no group: %v", err)
	}
	store.fail = errors.New("disk is full")
	if err := b.PutRule(Rule{ID: "catalog", Priority: 99, Fixed: &FixedResponse{StatusCode: 200}}); err == nil {
		t.Error("a rule was put that could not be kept")
	}
	store.fail = nil
	if got := b.Rules(); len(got) != 1 || got[0].Priority != 10 {
		t.Errorf("a refused change left its mark: %+v", got)
	}
	for name, tg := range map[string]TargetGroup{
		"no arn":   {},
		"protocol": {ARN: "a", Protocol: "TCP"},
		"path":     {ARN: "a", HealthCheck: HealthCheck{Path: "healthz"}},
		"timeout":  {ARN: "a", HealthCheck: HealthCheck{Interval: time.Second, Timeout: 2 * time.Second}},
		"matcher":  {ARN: "a", HealthCheck: HealthCheck{Matcher: "ok"}},
	} {
		if err := b.PutTargetGroup(tg); err == nil {
			t.Errorf("%s: a bad target group was taken", name)
		}
	}
}

func TestHealthFollowsTheTarget(t *testing.T) {
	b := setup(t, Config{})
	b.group(nil)
	if h := b.Health(groupARN, "a"); h.State != StateUnused || h.Reason != "Target.NotRegistered" {
		t.Fatalf("before registration: %+v", h)
	}
	var mu sync.Mutex
	code := http.StatusServiceUnavailable
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if r.UserAgent() != "ELB-HealthChecker/2.0" {
			t.Errorf("user agent %q", r.UserAgent())
		}
		w.WriteHeader(code)
	}))
	defer srv.Close()
	set := func(c int) { mu.Lock(); code = c; mu.Unlock() }
	port := srv.Listener.Addr().(*net.TCPAddr).Port
	if err := b.Register(groupARN, Target{ID: "a", Host: "127.0.0.1", Port: port}); err != nil {
		t.Fatal(err)
	}
	poll(t, func() bool { return b.Health(groupARN, "a").Reason == "Elb.InitialHealthChecking" })
	set(200)
	b.await("a", StateHealthy)
	set(500)
	b.await("a", StateUnhealthy)
	if h := b.Health(groupARN, "a"); h.Reason != "Target.ResponseCodeMismatch" || h.Description != "Health checks failed with these codes: [500]" {
		t.Errorf("unhealthy as %+v", h)
	}
	set(200)
	b.await("a", StateHealthy)
	<-b.Deregister(groupARN, "a")
	if h := b.Health(groupARN, "a"); h.State != StateUnused {
		t.Errorf("after deregistration: %+v", h)
	}
	var states []string
	for len(b.changes) > 0 {
		if c := <-b.changes; len(states) == 0 || states[len(states)-1] != c {
			states = append(states, c)
		}
	}
	if want := []string{"a initial", "a healthy", "a unhealthy", "a healthy"}; !slices.Equal(states, want) {
		t.Errorf("changes told: %v, want %v", states, want)
	}
}

// TestTheClockDrivesChecks: nothing is probed between two intervals.
func TestTheClockDrivesChecks(t *testing.T) {
	clock := clockwork.NewFakeClock()
	b := setup(t, Config{Clock: clock})
	b.group(func(tg *TargetGroup) {
		tg.HealthCheck.Interval, tg.HealthCheck.Timeout = time.Minute, time.Minute
		tg.HealthCheck.UnhealthyThreshold = 1
	})
	srv := b.backend("a", func(http.ResponseWriter, *http.Request) {})
	srv.Close()
	advance := func(d time.Duration) {
		if err := clock.BlockUntilContext(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
		clock.Advance(d)
	}
	advance(59 * time.Second)
	if h := b.Health(groupARN, "a"); h.State != StateHealthy {
		t.Fatalf("probed before its time: %+v", h)
	}
	advance(time.Second)
	b.await("a", StateUnhealthy)
	if h := b.Health(groupARN, "a"); h.Reason != "Target.FailedHealthChecks" || !strings.Contains(h.Description, "connection refused") {
		t.Errorf("unhealthy as %+v", h)
	}
}
