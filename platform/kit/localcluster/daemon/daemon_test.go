package daemon

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"
)

// A cluster is this test program, started again with a role in its environment.
const roleVariable = "DAEMON_TEST_ROLE"

func TestMain(m *testing.M) {
	if role := os.Getenv(roleVariable); role != "" {
		os.Exit(act(role))
	}
	os.Exit(m.Run())
}

func act(role string) int {
	r := NewReporter(os.NewFile(PipeFD, "starter"))
	switch role {
	case "ready":
		r.Step("start PostgreSQL", "", true)
		r.Ready(Info{PID: os.Getpid(), Gateway: "http://127.0.0.1:1"})
		select {} // until it is told to stop
	case "fault":
		r.Fault(Fault{What: "listen on port 1", Why: "another program listens there", Hint: "end it"})
		return 1
	case "panic":
		panic("walked into a wall")
	case "slow":
		select {}
	}
	return 2
}

func start(ctx context.Context, t *testing.T, role string, steps *[]string) (Info, error) {
	t.Helper()
	t.Setenv(roleVariable, role)
	return Start(ctx, StartConfig{Program: os.Args[0], StateDir: t.TempDir(), OnStep: func(s Step) {
		if steps != nil {
			*steps = append(*steps, s.Name)
		}
	}})
}

func TestStartWaitsUntilReadyAndStopUntilGone(t *testing.T) {
	var steps []string
	info, err := start(t.Context(), t, "ready", &steps)
	if err != nil {
		t.Fatal(err)
	}
	if len(steps) != 1 || steps[0] != "start PostgreSQL" {
		t.Errorf("steps %q", steps)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := Stop(ctx, info); err != nil {
		t.Fatal(err)
	}
	if err := Stop(ctx, info); err != nil {
		t.Errorf("a second Stop: %v", err)
	}
}

func TestStartTellsWhyNot(t *testing.T) {
	_, err := start(t.Context(), t, "fault", nil)
	var fault *Fault
	if !errors.As(err, &fault) || fault.Next() != "end it" {
		t.Errorf("a cluster that cannot start = %v, want its fault", err)
	}
	_, err = start(t.Context(), t, "panic", nil)
	if !errors.As(err, &fault) || !strings.Contains(err.Error(), "walked into a wall") {
		t.Errorf("a cluster that dies = %v, want a fault with its last lines", err)
	}
}

func TestStartEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(100*time.Millisecond, cancel)
	if _, err := start(ctx, t, "slow", nil); !errors.Is(err, context.Canceled) {
		t.Errorf("Start = %v, want the context's error", err)
	}
}

func TestFindBelievesOnlyWhoKnowsTheToken(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != StatusPath || r.Header.Get("Authorization") != "Bearer secret" {
			w.WriteHeader(http.StatusUnauthorized)
		}
	}))
	defer server.Close()
	dir := t.TempDir()
	for name, tc := range map[string]struct {
		info Info
		want bool
	}{
		"the cluster":                       {Info{Endpoint: server.URL, Token: "secret"}, true},
		"another program on its old port":   {Info{Endpoint: server.URL, Token: "other"}, false},
		"nobody on the port any more":       {Info{Endpoint: "http://127.0.0.1:1", Token: "secret"}, false},
		"half a record that a crash left":   {Info{}, false},
		"a record that a crash left behind": {Info{Endpoint: "http://127.0.0.1:2"}, false},
	} {
		if err := WriteInfo(dir, tc.info); err != nil {
			t.Fatal(err)
		}
		if _, found, err := Find(t.Context(), dir); err != nil || found != tc.want {
			t.Errorf("%s: found %t, %v; want %t", name, found, err, tc.want)
		}
	}
	if err := RemoveInfo(dir); err != nil {
		t.Fatal(err)
	}
	if _, found, err := Find(t.Context(), dir); err != nil || found {
		t.Errorf("without a record: found %t, %v", found, err)
	}
}
