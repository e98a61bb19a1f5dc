package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/slipway-dev/slipway/platform/serve/servetest"
)

// faults fails every few calls, in turn before and after they took effect.
func faults(calls *atomic.Int64) grpc.ServerOption {
	return grpc.UnaryInterceptor(func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
		n := calls.Add(1)
		if n%7 == 0 {
			return nil, status.Error(codes.Unavailable, "lost before")
		}
		resp, err := handle(ctx, req)
		if err == nil && n%5 == 0 {
			return nil, status.Error(codes.Internal, "lost after")
		}
		return resp, err
	})
}

// TestOrdersSurviveCalleesThatFail places orders in two tasks while catalog and
// inventory fail now and then, cancels some, and stops a task in the middle.
func TestOrdersSurviveCalleesThatFail(t *testing.T) {
	t.Parallel()
	var calls atomic.Int64
	s := newShop(t, faults(&calls))
	tasks := []*servetest.Server{s.Server, s.second(t)}
	const clients, each = 8, 4
	answers := make([][]string, clients)
	var group sync.WaitGroup
	for c := range clients {
		group.Go(func() {
			for i := range each {
				key := fmt.Sprintf("k-%d-%d", c, i)
				task := tasks[(c+i)%2]
				if c == 0 && i == 2 {
					_ = tasks[1].Stop() // answers what it accepted, then is gone
				}
				answer := persist(t, task, s.Server, key, body(fmt.Sprint("c", c), "lamp", 1))
				answers[c] = append(answers[c], answer.text)
				if i%2 == 1 {
					cancel := rest(t, s.Server, http.MethodPost, "/v1/"+answer.field("name")+":cancel", `{}`)
					if cancel.code != http.StatusOK {
						t.Errorf("cancel: %d %s", cancel.code, cancel.text)
					}
				}
			}
		})
	}
	group.Wait()
	for c, texts := range answers {
		for i, want := range texts {
			key := fmt.Sprintf("k-%d-%d", c, i)
			again := place(t, s.Server, key, body(fmt.Sprint("c", c), "lamp", 1))
			if again.text != want {
				t.Errorf("%s: answered %s, first %s", key, again.text, want)
			}
			state, held := "CONFIRMED", "COMMITTED"
			if i%2 == 1 {
				state = "CANCELLED"
			}
			await(t, s.Server, again.field("name"), state)
			eventually(t, func() string {
				got := s.inventory.state(again.field("name"))
				if (state == "CONFIRMED" && got == held) || (state == "CANCELLED" && (got == "RELEASED" || got == "RETURNED")) {
					return ""
				}
				return again.field("name") + " is " + state + " and its reservation " + got
			})
		}
	}
	onHand, reserved, reservations := s.inventory.counts("LAMP")
	if want := int32(1000 - clients*each/2); onHand != want || reserved != 0 || reservations != clients*each {
		t.Errorf("%d on hand (want %d), %d reserved, %d reservations (want %d)", onHand, want, reserved, reservations, clients*each)
	}
	holds(t, s)
}

// persist repeats a request, as clients do, until it is answered. Every refusal
// on the way must be one that a client can act on.
func persist(t *testing.T, task, other *servetest.Server, key, body string) reply {
	t.Helper()
	deadline := time.Now().Add(patience)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		r, ok := try(t, task, key, body)
		switch {
		case !ok: // the task is gone
			task = other
		case r.code == http.StatusOK:
			return r
		case r.code != http.StatusServiceUnavailable && r.code != http.StatusConflict:
			t.Errorf("%s: %d %s", key, r.code, r.text)
			return r
		}
		if time.Now().After(deadline) {
			t.Errorf("%s: not answered within %v: %d %s", key, patience, r.code, r.text)
			return r
		}
		<-tick.C
	}
}

// try sends the request once; false if the task is gone.
func try(t *testing.T, s *servetest.Server, key, body string) (reply, bool) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL+"/v1/orders", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Idempotency-Key", key)
	req.Header.Set("Authorization", "Bearer "+s.Token(t, servetest.Claims{"scope": "orders.write"}))
	resp, err := s.Client.Do(req)
	if err != nil {
		return reply{}, false
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	r := reply{code: resp.StatusCode, text: string(text)}
	return r, err == nil && json.Unmarshal(text, &r.json) == nil
}
