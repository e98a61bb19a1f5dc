//go:build e2e

package e2e

import (
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"
)

// lostTask kills a task of each service that orders calls while orders are
// placed. Calls are repeated where that is safe, by another task, so no shopper
// notices.
func (s *shop) lostTask(t *testing.T) {
	const orders = 400
	var all sync.WaitGroup
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for i := range orders {
		<-tick.C
		if victim := map[int]string{100: "inventory", 250: "catalog"}[i]; victim != "" {
			pid, err := strconv.Atoi(tasksOf(t, s.State, victim)[0].pid)
			if err != nil {
				t.Fatal(err)
			}
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
				t.Fatalf("kill a task of %s: %v", victim, err)
			}
		}
		all.Go(func() {
			a, err := s.place(fmt.Sprintf("lost-%d", i), map[string]any{
				"customer": "customers/zoe", "lines": []map[string]any{{"product": s.products[4+i%8], "quantity": 1}},
			})
			if err != nil || a.Status != http.StatusOK {
				t.Errorf("order %d: %v, %d %s", i, err, a.Status, a.Raw)
			}
		})
	}
	all.Wait()
}
