package main

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"testing"

	"github.com/jackc/pgx/v5"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/slipway-dev/slipway/platform/serve/servetest"
	ordersv1 "github.com/slipway-dev/slipway/proto/slipway/orders/v1"
)

// watchGRPC follows an order until the stream ends.
func watchGRPC(ctx context.Context, t *testing.T, s *servetest.Server, name string) (next func() (string, error)) {
	t.Helper()
	stream, err := ordersv1.NewOrderServiceClient(s.Conn).WatchOrder(ctx, &ordersv1.WatchOrderRequest{Name: name})
	if err != nil {
		t.Fatal(err)
	}
	return func() (string, error) {
		o, err := stream.Recv()
		return o.GetState().String(), err
	}
}

// watchREST follows an order over REST; each line's state goes to the channel.
func watchREST(ctx context.Context, t *testing.T, s *servetest.Server, name string) <-chan string {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL+"/v1/"+name+":watch", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+s.Token(t, servetest.Claims{"scope": "orders.read"}))
	resp, err := s.Client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	states := make(chan string, 16)
	go func() {
		defer close(states)
		defer resp.Body.Close()
		for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
			var line struct {
				Result struct{ State string }
				Error  json.RawMessage
			}
			if err := json.Unmarshal(lines.Bytes(), &line); err != nil || line.Error != nil {
				states <- lines.Text()
				continue
			}
			states <- line.Result.State
		}
	}()
	return states
}

// TestWatchTellsEveryChange watches over both protocols, across the loss of all
// of the service's database connections.
func TestWatchTellsEveryChange(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	name := place(t, s.Server, "k1", body("ada", "lamp", 1)).field("name")
	await(t, s.Server, name, "CONFIRMED")
	next := watchGRPC(t.Context(), t, s.Server, name)
	lines := watchREST(t.Context(), t, s.Server, name)
	for _, got := range []string{must(t, next), <-lines} {
		if got != "STATE_CONFIRMED" {
			t.Fatalf("first is %s", got)
		}
	}
	cut(t, s.Database)
	eventually(t, func() string { // a connection of the pool may be one that was cut
		if r := rest(t, s.Server, http.MethodPost, "/v1/"+name+":fulfil", `{}`); r.code != http.StatusOK {
			return r.text
		}
		return ""
	})
	for _, got := range []string{must(t, next), <-lines} {
		if got != "STATE_FULFILLED" {
			t.Errorf("after the change: %s", got)
		}
	}
	if state, err := next(); err == nil {
		t.Errorf("the stream goes on with %s after the last state", state)
	}
	if line, open := <-lines; open {
		t.Errorf("the response goes on with %s after the last state", line)
	}
}

// TestWatchFromTheStart sees each state in its turn, whichever task changes it.
func TestWatchFromTheStart(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	other := s.second(t)
	name := place(t, s.Server, "k1", body("ada", "lamp", 1)).field("name")
	next := watchGRPC(t.Context(), t, other, name)
	var got []string
	for len(got) == 0 || got[len(got)-1] != "STATE_CONFIRMED" {
		got = append(got, must(t, next))
	}
	rest(t, s.Server, http.MethodPost, "/v1/"+name+":cancel", `{}`)
	got = append(got, must(t, next))
	want := []string{"STATE_PENDING", "STATE_CONFIRMED", "STATE_CANCELLED"}
	want = want[len(want)-min(len(got), len(want)):] // the watch may begin after the confirmation
	if len(got) != len(want) || got[0] != want[0] || got[len(got)-1] != "STATE_CANCELLED" {
		t.Errorf("saw %v, want %v", got, want)
	}
}

// TestWatchersAreSentElsewhereByADrain stops the task they are on.
func TestWatchersAreSentElsewhereByADrain(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	name := place(t, s.Server, "k1", body("ada", "lamp", 1)).field("name")
	await(t, s.Server, name, "CONFIRMED")
	next := watchGRPC(t.Context(), t, s.Server, name)
	lines := watchREST(t.Context(), t, s.Server, name)
	must(t, next)
	<-lines
	if err := s.Stop(); err != nil {
		t.Errorf("stop: %v", err)
	}
	if _, err := next(); status.Code(err) != codes.Unavailable || reason(err) != "RECONNECT" {
		t.Errorf("over gRPC: %v", err)
	}
	last := <-lines
	var line struct {
		Error struct{ Message string }
	}
	if err := json.Unmarshal([]byte(last), &line); err != nil || line.Error.Message == "" {
		t.Errorf("over REST: %q", last)
	}
}

func TestWatchNothing(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	if _, err := watchGRPC(t.Context(), t, s.Server, "orders/nowhere")(); status.Code(err) != codes.NotFound {
		t.Errorf("%v", err)
	}
}

func must(t *testing.T, next func() (string, error)) string {
	t.Helper()
	state, err := next()
	if err != nil {
		t.Fatalf("watch: %v", err)
	}
	return state
}

// cut ends every connection to the database but its own.
func cut(t *testing.T, url string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	var n int
	err = conn.QueryRow(t.Context(), `SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
		WHERE datname = current_database() AND pid <> pg_backend_pid()`).Scan(&n)
	if err != nil || n == 0 {
		t.Fatalf("cut %d connections: %v", n, err)
	}
}
