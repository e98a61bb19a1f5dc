//go:build e2e

package e2e

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// isTimeout reports whether the client gave up waiting.
func isTimeout(err error) bool {
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}

// report says what was done to the system and what its clients saw of it.
func (l *load) report(f *faults) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	total, failed := 0, 0
	var b strings.Builder
	for _, class := range slices.Sorted(maps.Keys(l.attempts)) {
		n := l.attempts[class]
		total += n
		if !strings.HasPrefix(class, "200") && !strings.HasPrefix(class, "400") {
			failed += n
		}
		fmt.Fprintf(&b, "  %-28s %6d\n", class, n)
	}
	return fmt.Sprintf("orders %d, accepted %d, sold out %d; by the first request %d (%.1f %%)\n"+
		"requests %d, failed %d (%.1f %%, each client asking again), longest %v\n%s%s",
		faultOrders, len(l.first), len(l.refused), l.atOnce, 100*float64(l.atOnce)/faultOrders,
		total, failed, 100*float64(failed)/float64(max(total, 1)), l.longest.Round(time.Millisecond), b.String(), l.pauses(f))
}

// pauses says for each kind of victim how long no order was accepted after it
// was killed, until the next was.
func (l *load) pauses(f *faults) string {
	gaps := map[string][]time.Duration{}
	for i, h := range f.hits {
		end := h.at.Add(time.Minute)
		if i+1 < len(f.hits) {
			end = f.hits[i+1].at
		}
		longest, last := time.Duration(0), h.at
		for _, at := range l.accepted {
			if at.After(h.at) && at.Before(end) {
				longest, last = max(longest, at.Sub(last)), at
			}
		}
		if last.Equal(h.at) {
			longest = end.Sub(h.at) // none at all
		}
		gaps[h.victim] = append(gaps[h.victim], longest)
	}
	var b strings.Builder
	for _, victim := range slices.Sorted(maps.Keys(gaps)) {
		list := gaps[victim]
		slices.Sort(list)
		fmt.Fprintf(&b, "  %-10s killed %2d times; longest pause between two orders: median %v, at most %v\n", victim, len(list),
			list[len(list)/2].Round(10*time.Millisecond), list[len(list)-1].Round(10*time.Millisecond))
	}
	return b.String()
}

// wantFirstAnswers sends every key once more and wants the first answer.
func (l *load) wantFirstAnswers(t *testing.T) {
	t.Helper()
	var all sync.WaitGroup
	keys := make(chan int)
	for range 16 {
		all.Go(func() {
			for i := range keys {
				key := fmt.Sprintf("fault-%d", i)
				want, ok := l.first[key]
				if !ok {
					continue
				}
				if a, err := l.shop.place(key, l.shop.basket(i)); err != nil || a.Status != http.StatusOK || a.Raw != want {
					t.Errorf("%s is answered\n  %d %s (%v)\nand was first\n  %s", key, a.Status, a.Raw, err, want)
				}
			}
		})
	}
	for i := range faultOrders {
		keys <- i
	}
	close(keys)
	all.Wait()
}

// wantEachOnce wants each accepted order listed once, and no other.
func (l *load) wantEachOnce(t *testing.T) {
	t.Helper()
	listed := map[string]int{}
	for _, o := range l.shop.orders(t) {
		listed[o.Name]++
	}
	for key, raw := range l.first {
		o := readOrder(t, raw)
		switch listed[o.Name] {
		case 1:
		case 0:
			t.Errorf("%s was accepted as %s, which is lost", key, o.Name)
		default:
			t.Errorf("%s of %s is listed %d times", o.Name, key, listed[o.Name])
		}
		delete(listed, o.Name)
	}
	for name := range listed {
		t.Errorf("%s is there, and nobody was told so", name)
	}
}

// wantStock wants what is left in stock to be what was there less what the
// confirmed orders took, and nothing still reserved.
func (l *load) wantStock(t *testing.T) {
	t.Helper()
	sold := map[string]int32{}
	for _, o := range l.shop.orders(t) {
		if o.State != "CONFIRMED" {
			t.Errorf("%s is %s, want CONFIRMED: nothing stood against it", o.Name, o.State)
			continue
		}
		for _, line := range o.Lines {
			sold[line.SKU] += line.Quantity
		}
	}
	for sku, began := range l.shop.stock {
		onHand, reserved := l.shop.stockOf(t, sku)
		if onHand != began-sold[sku] || reserved != 0 || onHand < 0 {
			t.Errorf("%s: %d on hand and %d reserved; there were %d and %d were sold", sku, onHand, reserved, began, sold[sku])
		}
	}
}
