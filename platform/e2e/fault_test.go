//go:build e2e

package e2e

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// The fault test's size: at the rate, the orders take 50 seconds without faults.
const (
	faultOrders   = 5000
	ordersPerSec  = 100
	faultPause    = 1500 * time.Millisecond // between two faults, on average
	plentyOfStock = 1_000_000
	scarceStock   = 60
	plentyItems   = 12
)

// TestFaults places orders at a steady rate while tasks of every service, the
// database server and the cluster itself are killed at random moments, and
// wants every promise of the shop kept afterwards.
func TestFaults(t *testing.T) {
	c := newCheckout(t)
	c.up(t)
	s := openShop(t, c)
	l := newLoad(s)
	faults := newFaults(c)
	t.Logf("seed of the faults: %d", faults.seed)
	done := make(chan struct{})
	go func() { defer close(done); l.run(t) }()
	faults.run(t, done)
	<-done
	c.up(t) // whatever was killed last
	t.Log(l.report(faults))
	if t.Failed() {
		t.FailNow()
	}
	s.wantSettled(t)
	l.wantFirstAnswers(t)
	l.wantEachOnce(t)
	l.wantStock(t)
	c.mustMage(t, "check:invariants", "local")
}

// faults kills what the shop runs on.
type faults struct {
	c    *checkout
	seed uint64
	rand *rand.Rand
	hits []hit
}

// hit is one process that was killed.
type hit struct {
	victim string
	at     time.Time
}

func newFaults(c *checkout) *faults {
	seed := uint64(time.Now().UnixNano())
	if given, err := strconv.ParseUint(os.Getenv("SLIPWAY_FAULT_SEED"), 10, 64); err == nil {
		seed = given
	}
	return &faults{c: c, seed: seed, rand: rand.New(rand.NewPCG(seed, 0))}
}

// deck is what is killed in one round, in random order.
var deck = []string{
	"catalog", "catalog", "inventory", "inventory", "inventory", "orders", "orders", "orders",
	"postgres", "postgres", "cluster",
}

// run deals the deck again and again until done closes.
func (f *faults) run(t *testing.T, done <-chan struct{}) {
	for {
		f.rand.Shuffle(len(deck), func(i, j int) { deck[i], deck[j] = deck[j], deck[i] })
		for _, victim := range deck {
			pause := time.NewTimer(time.Duration(f.rand.Int64N(int64(2 * faultPause))))
			select {
			case <-done:
				pause.Stop()
				return
			case <-pause.C:
			}
			f.hits = append(f.hits, hit{victim, time.Now()})
			f.kill(t, victim)
		}
	}
}

// kill ends one process of the victim as a crash does.
func (f *faults) kill(t *testing.T, victim string) {
	switch victim {
	case "cluster":
		pid, err := f.c.clusterProcess()
		if err != nil {
			t.Errorf("find the cluster: %v", err)
			return
		}
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Errorf("kill the cluster: %v", err)
		}
		if up := f.c.mage(t, "up"); up.Code != 0 {
			t.Errorf("up after the cluster was killed: exit %d\n%s%s", up.Code, up.Stdout, up.Stderr)
		}
	case "postgres":
		f.killOne(t, postgresProcesses(t, f.c.State))
	default:
		f.killOne(t, tasksOf(t, f.c.State, victim))
	}
}

// killOne kills a process of the list; it may have ended by itself by then.
func (f *faults) killOne(t *testing.T, list []process) {
	if len(list) == 0 {
		return
	}
	pid, err := strconv.Atoi(list[f.rand.IntN(len(list))].pid)
	if err != nil {
		t.Errorf("read process id: %v", err)
		return
	}
	_ = syscall.Kill(pid, syscall.SIGKILL)
}

// load is all shoppers together.
type load struct {
	shop *shop

	mu       sync.Mutex
	first    map[string]string // the first answer, by key
	refused  map[string]bool   // keys whose order was refused for good: sold out
	attempts map[string]int    // by class
	accepted []time.Time       // when an order was accepted
	atOnce   int               // keys whose first request was answered for good
	longest  time.Duration
	unclean  []string
}

func newLoad(s *shop) *load {
	return &load{shop: s, first: map[string]string{}, refused: map[string]bool{}, attempts: map[string]int{}}
}

// run places the orders at the rate, whatever becomes of them.
func (l *load) run(t *testing.T) {
	var all sync.WaitGroup
	tick := time.NewTicker(time.Second / ordersPerSec)
	defer tick.Stop()
	for i := range faultOrders {
		<-tick.C
		all.Go(func() { l.order(i) })
	}
	all.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, text := range l.unclean {
		t.Error(text)
	}
}

// patience is how long a shopper tries to place one order.
const patience = 2 * time.Minute

// order tries until it has an answer to keep, as a good client does: it sends
// the same key again after each failure that may pass.
func (l *load) order(i int) {
	key := fmt.Sprintf("fault-%d", i)
	body := l.shop.basket(i)
	deadline := time.Now().Add(patience)
	first := true
	for wait := 100 * time.Millisecond; ; wait = min(2*wait, 2*time.Second) {
		began := time.Now()
		a, err := l.shop.place(key, body)
		if l.note(key, a, err, time.Since(began)) {
			l.kept(first)
			return
		}
		first = false
		if time.Now().After(deadline) {
			l.fault(fmt.Sprintf("%s: no answer to keep within %v; the last was %d %s, %v", key, patience, a.Status, a.Raw, err))
			return
		}
		pause := time.NewTimer(wait/2 + time.Duration(rand.Int64N(int64(wait))))
		<-pause.C
	}
}

// kept counts an order that is settled, and whether its first request was.
func (l *load) kept(atOnce bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if atOnce {
		l.atOnce++
	}
}

// note sorts an answer and reports whether it is one to keep.
func (l *load) note(key string, a answer, err error, took time.Duration) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.longest = max(l.longest, took)
	switch {
	case isTimeout(err):
		l.attempts["no answer in time"]++
		l.unclean = append(l.unclean, fmt.Sprintf("%s hung for %v: %v", key, took, err))
	case err != nil:
		l.attempts["connection refused or cut"]++
	case a.Status == http.StatusOK:
		l.attempts["200 accepted"]++
		l.first[key] = a.Raw
		l.accepted = append(l.accepted, time.Now())
		return true
	case a.Status == http.StatusBadRequest && strings.Contains(a.Raw, "INSUFFICIENT_STOCK"):
		l.attempts["400 sold out"]++
		l.refused[key] = true
		return true
	case a.Status == http.StatusTooManyRequests, a.Status == http.StatusBadGateway,
		a.Status == http.StatusServiceUnavailable, a.Status == http.StatusGatewayTimeout,
		a.Status == http.StatusConflict && strings.Contains(a.Raw, "IDEMPOTENCY_KEY_IN_USE"):
		l.attempts[fmt.Sprintf("%d try again", a.Status)]++
	default:
		l.attempts[fmt.Sprintf("%d unclean", a.Status)]++
		l.unclean = append(l.unclean, fmt.Sprintf("%s: a failure that no client can act on: %d %s", key, a.Status, a.Raw))
	}
	return false
}

func (l *load) fault(text string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.unclean = append(l.unclean, text)
}
