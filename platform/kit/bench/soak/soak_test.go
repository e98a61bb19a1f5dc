package soak

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/slipway-dev/slipway/platform/kit/bench/sandbox"
	"github.com/slipway-dev/slipway/platform/kit/event"
	"github.com/slipway-dev/slipway/platform/kit/rollout"
)

// until waits for a condition, for at most ten seconds.
func until(t *testing.T, what string, holds func() bool) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !holds() {
		if time.Now().After(deadline) {
			t.Fatalf("%s does not come", what)
		}
		<-tick.C
	}
}

func TestLoadCountsWhatFails(t *testing.T) {
	defer goleak.VerifyNone(t)
	var n atomic.Int64
	l := start(t.Context(), "test", 500, func(context.Context) error {
		switch n.Add(1) {
		case 5, 9:
			return errors.New("status 502")
		case 12:
			return errors.New("no answer")
		}
		return nil
	})
	until(t, "the 50th answer", func() bool { seen, _ := l.seen(); return seen >= 50 })
	c := l.stop()
	if c.Requests != int(n.Load()) || c.Failures != 3 {
		t.Errorf("%d requests and %d failures, want all %d and 3", c.Requests, c.Failures, n.Load())
	}
	if len(c.Errors) != 2 || !strings.HasSuffix(c.Errors[0], " s: status 502") || !strings.HasSuffix(c.Errors[1], " s: no answer") {
		t.Errorf("%q, want each kind once", c.Errors)
	}
	if seen, _ := l.seen(); seen != c.Requests {
		t.Errorf("%d requests after the end, %d reported", seen, c.Requests)
	}
}

// A slow answer holds up no other request, and is waited for at the end.
func TestLoadDoesNotWaitForAnswers(t *testing.T) {
	defer goleak.VerifyNone(t)
	slow := make(chan struct{})
	var n atomic.Int64
	l := start(t.Context(), "test", 500, func(context.Context) error {
		if n.Add(1) == 1 {
			<-slow
		}
		return nil
	})
	until(t, "the 20th answer", func() bool { seen, _ := l.seen(); return seen >= 20 })
	close(slow)
	if c := l.stop(); c.Requests != int(n.Load()) {
		t.Errorf("%d requests, want all %d, the slow one among them", c.Requests, n.Load())
	}
}

func TestByHTTP(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer secret" {
			w.WriteHeader(http.StatusUnauthorized)
		}
	}))
	call, end := byHTTP(server.URL, "secret")
	defer end()
	if err := call(t.Context()); err != nil {
		t.Error(err)
	}
	other, endOther := byHTTP(server.URL, "wrong")
	defer endOther()
	if err := other(t.Context()); err == nil || err.Error() != "status 401" {
		t.Errorf("%v, want the status", err)
	}
	server.Close()
	if err := call(t.Context()); err == nil || strings.Contains(err.Error(), "127.0.0.1") {
		t.Errorf("%v, want an error without an address", err)
	}
}

func TestByGRPC(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer(grpc.UnknownServiceHandler(func(_ any, stream grpc.ServerStream) error {
		if method, _ := grpc.MethodFromServerStream(stream); method != "/a.B/Good" {
			return status.Error(codes.Unavailable, "gone")
		}
		if err := stream.RecvMsg(&emptypb.Empty{}); err != nil {
			return err
		}
		return stream.SendMsg(&emptypb.Empty{})
	}))
	go func() { _ = server.Serve(l) }()
	defer server.Stop()
	for method, want := range map[string]string{"/a.B/Good": "<nil>", "/a.B/Bad": "Unavailable: gone"} {
		call, end, err := byGRPC(l.Addr().String(), method, "secret")
		if err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprint(call(t.Context())); got != want {
			t.Errorf("%s: %s, want %s", method, got, want)
		}
		end()
	}
}

// kit stands for the deploy kit: the n-th deploy, from 1, ends as told.
type kit struct {
	outcomes []event.Outcome
	deployed []string
}

func (k *kit) Build(context.Context) (rollout.Release, error) { return rollout.Release{}, nil }

func (k *kit) Deploy(_ context.Context, r rollout.Release) (event.Verdict, error) {
	k.deployed = append(k.deployed, r.Version)
	n := len(k.deployed) - 1
	if n < len(k.outcomes) && k.outcomes[n] != event.Completed {
		return event.Verdict{Outcome: k.outcomes[n], Summary: "put back", Causes: []string{"an alarm"}}, nil
	}
	return event.Verdict{Outcome: event.Completed}, nil
}

func TestReport(t *testing.T) {
	t.Parallel()
	r := Report{
		Rate: 400, Deploys: 8, Strategies: map[string]int{"rolling": 2},
		Calls: []Calls{{Protocol: "HTTP", Requests: 70, Failures: 1, Errors: []string{"after 1.0 s: status 502"}}, {Protocol: "gRPC", Requests: 30}},
		Bad:   []string{"deploy 3, canary: put back"},
		took:  []deployed{{"rolling", 1}, {"rolling", 3}},
	}
	for n := range 9 {
		r.Samples = append(r.Samples, Sample{Deploy: n, Usage: sandbox.Usage{
			Memory: 50 * mebi, Files: 100 + 20*n, Threads: 20, Processes: 30, Tasks: 6, Connections: 10, State: 200 * mebi, Logs: int64(n) * 100 * mebi,
		}})
	}
	r.judge()
	var growing []string
	for _, trend := range r.Trends {
		if !trend.Flat && trend.Held == "" {
			growing = append(growing, trend.What)
		}
	}
	if !slices.Equal(growing, []string{"open files"}) {
		t.Errorf("growing: %q, want the open files alone", growing)
	}
	var text strings.Builder
	r.Print(&text)
	for _, want := range []string{
		"both           100        1", "failed, HTTP, after 1.0 s: status 502", "deploys that did not complete: 1", "deploy 3, canary: put back",
		"rolling        2 deploys, seconds each 2.00 (1.00-3.00)", "GROWING, 200.00 each 10 deploys", "grow with requests up to their own limits",
	} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("the report lacks %q:\n%s", want, text.String())
		}
	}
	if head, row := len(heading), len(r.Samples[0].String()); head != row {
		t.Errorf("the heading is %d wide and a row %d", head, row)
	}
}

func TestDeploysTakeTurns(t *testing.T) {
	t.Parallel()
	var shapes []string
	k := &kit{outcomes: []event.Outcome{event.Completed, event.RolledBack}}
	s := &soak{
		cfg: Config{Deploys: 100}, kit: k, releases: []rollout.Release{{Version: "one"}, {Version: "two"}},
		shape: func(_ context.Context, how string) error { shapes = append(shapes, how); return nil }, report: Report{Strategies: map[string]int{}},
	}
	s.cfg.complete()
	for n := 1; n <= 12; n++ {
		if err := s.deploy(t.Context(), n); err != nil {
			t.Fatal(err)
		}
	}
	if want := map[string]int{"rolling": 4, "blue_green": 4, "canary": 2, "linear": 2}; !maps.Equal(s.report.Strategies, want) {
		t.Errorf("%v, want %v", s.report.Strategies, want)
	}
	if shapes[2] != "{strategy: canary, bake: 0m, alarms: [errors]}" {
		t.Errorf("the third deploy goes by %s", shapes[2])
	}
	if got := k.deployed[:3]; !slices.Equal(got, []string{"one", "two", "one"}) {
		t.Errorf("%q were deployed, want the two in turn", got)
	}
	if want := []string{"deploy 2, blue_green: put back; an alarm"}; !slices.Equal(s.report.Bad, want) {
		t.Errorf("%q, want %q", s.report.Bad, want)
	}
}

func TestTooManyBadDeploysEndIt(t *testing.T) {
	t.Parallel()
	k := &kit{outcomes: slices.Repeat([]event.Outcome{event.Failed}, 20)}
	s := &soak{kit: k, releases: []rollout.Release{{}, {}}, shape: func(context.Context, string) error { return nil }, report: Report{Strategies: map[string]int{}}}
	s.cfg.complete()
	var err error
	for n := 1; n <= 20 && err == nil; n++ {
		err = s.deploy(t.Context(), n)
	}
	if err == nil || len(k.deployed) != maxBad+1 {
		t.Errorf("%v after %d deploys, want an end after %d", err, len(k.deployed), maxBad+1)
	}
}
