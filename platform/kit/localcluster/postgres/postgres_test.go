package postgres

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"

	"github.com/slipway-dev/slipway/platform/kit/localcluster/procs"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// folder is a temporary folder that the server's user may enter.
func folder(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "slipway-postgres-") //nolint:usetesting // only the tests' user may enter what TempDir makes
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

func start(t *testing.T, cfg Config) *Server {
	t.Helper()
	var err error
	if cfg.Installations == nil {
		cache := filepath.Join(os.TempDir(), "slipway-test-cache")
		if cfg.Installations, err = Obtain(t.Context(), cache, nil); err != nil {
			t.Fatal(err)
		}
	}
	s, err := Start(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return s
}

func login(ctx context.Context, s *Server, role, password, database string) (*pgx.Conn, error) {
	return pgx.Connect(ctx, fmt.Sprintf("postgres://%s:%s@%s/%s?sslmode=disable", role, password, s.Addr(), database))
}

func TestServiceHasItsOwnDatabase(t *testing.T) {
	ctx := t.Context()
	s := start(t, Config{Dir: folder(t)})
	for _, name := range []string{"orders", "catalog"} {
		if err := s.Ensure(ctx, name, "it's "+name); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Ensure(ctx, "orders", "another"); err != nil {
		t.Fatalf("ensure again with another password: %v", err)
	}
	conn, err := login(ctx, s, "orders", "another", "orders")
	if err != nil {
		t.Fatalf("log in to the own database: %v", err)
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, "create table t (n int)"); err != nil {
		t.Errorf("create a table in the own database: %v", err)
	}
	if conn, err := login(ctx, s, "orders", "it's orders", "orders"); err == nil {
		_ = conn.Close(ctx)
		t.Error("the former password still opens the database")
	}
	if conn, err := login(ctx, s, "orders", "another", "catalog"); err == nil {
		_ = conn.Close(ctx)
		t.Error("a service may connect to another's database")
	}
	for _, shared := range []string{"postgres", "template1"} {
		if conn, err := login(ctx, s, "orders", "another", shared); err == nil {
			_ = conn.Close(ctx)
			t.Errorf("a service may connect to the database %s", shared)
		}
	}
	if err := s.Ensure(ctx, `x" superuser --`, "p"); err == nil {
		t.Error("a name that is no name was taken")
	}
}

func TestEnsureByManyAtOnce(t *testing.T) {
	s := start(t, Config{Dir: folder(t)})
	var all sync.WaitGroup
	for i := range 24 {
		all.Go(func() {
			if err := s.Ensure(t.Context(), []string{"orders", "catalog"}[i%2], "p"); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
}

func TestTheServerRunsAsTheOwnerOfItsData(t *testing.T) {
	if os.Geteuid() != 0 {
		a, err := serverAccount(t.TempDir())
		if a != nil || err != nil {
			t.Errorf("an ordinary user runs the server as %v, %v", a, err)
		}
		return
	}
	data := t.TempDir()
	if err := os.Chown(data, 12345, 54321); err != nil {
		t.Fatal(err)
	}
	if a, err := serverAccount(data); err != nil || a.Uid != 12345 || a.Gid != 54321 {
		t.Errorf("account = %v, %v", a, err)
	}
	if a, err := serverAccount(filepath.Join(data, "none")); err != nil || a.Uid == 0 {
		t.Errorf("account without data = %v, %v", a, err)
	}
}

func TestDataOutlivesStopAndCrash(t *testing.T) {
	ctx := t.Context()
	dir := folder(t)
	first := start(t, Config{Dir: dir})
	if err := first.Ensure(ctx, "orders", "p"); err != nil {
		t.Fatal(err)
	}
	if err := first.Stop(ctx); err != nil {
		t.Fatal(err)
	}
	second := start(t, Config{Dir: dir})
	conn, err := login(ctx, second, "orders", "p", "orders")
	if err != nil {
		t.Fatalf("after stop and start: %v", err)
	}
	_ = conn.Close(ctx)

	watch, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() { defer close(done); second.Supervise(watch) }()
	defer func() { cancel(); <-done }()
	if err := syscall.Kill(second.pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() error {
		conn, err := login(ctx, second, "orders", "p", "orders")
		if err == nil {
			_ = conn.Close(ctx)
		}
		return err
	})
}

func TestAServerThatWasLeftRunningIsTakenOver(t *testing.T) {
	ctx := t.Context()
	dir := folder(t)
	first := start(t, Config{Dir: dir})
	second := start(t, Config{Dir: dir, Port: first.port})
	if first.pid != second.pid {
		t.Errorf("process %d was not taken over: now %d", first.pid, second.pid)
	}
	if err := Sweep(ctx, dir); err != nil {
		t.Fatal(err)
	}
	if procs.Alive(first.pid) {
		t.Error("Sweep left the server running")
	}
	if err := Sweep(ctx, dir); err != nil {
		t.Errorf("a second Sweep: %v", err)
	}
}

func TestPortInUse(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	found, err := Obtain(t.Context(), filepath.Join(os.TempDir(), "slipway-test-cache"), nil)
	if err != nil {
		t.Fatal(err)
	}
	_, err = Start(t.Context(), Config{Dir: folder(t), Port: l.Addr().(*net.TCPAddr).Port, Installations: found})
	if !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("Start on a port in use = %v, want EADDRINUSE", err)
	}
}

func TestDataOfAnotherVersionIsLeftAlone(t *testing.T) {
	dir := folder(t)
	data := filepath.Join(dir, "data")
	if err := os.Mkdir(data, 0o700); err != nil {
		t.Fatal(err)
	}
	for path, content := range map[string]string{filepath.Join(data, "PG_VERSION"): "9\n", filepath.Join(dir, "password"): "p"} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	_, err := Start(t.Context(), Config{Dir: dir, Installations: []Installation{{Bin: "/nowhere", Version: "17.1", Major: 17}}})
	var version *VersionError
	if !errors.As(err, &version) || version.Made != "9" || !strings.Contains(version.Next(), data) {
		t.Errorf("Start = %v, want a VersionError for 9 that names %s", err, data)
	}
}

func TestFetchRefusesAnotherProgram(t *testing.T) {
	repository := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.Contains(r.URL.Path, FetchedVersion) {
			http.NotFound(w, r)
			return
		}
		_, _ = w.Write([]byte("not the program"))
	}))
	defer repository.Close()
	defer http.DefaultClient.CloseIdleConnections()
	t.Setenv(RepositoryVariable, repository.URL)
	cache := t.TempDir()
	if _, err := Fetch(t.Context(), cache, nil); err == nil || !strings.Contains(err.Error(), "SHA-256") {
		t.Errorf("Fetch = %v, want an error about the SHA-256", err)
	}
	left, err := filepath.Glob(filepath.Join(cache, "*", "*"))
	if err != nil || len(left) != 0 {
		t.Errorf("a refused download left %v, %v", left, err)
	}
}

func TestTheDefaultRepositoryIsKnown(t *testing.T) {
	u, err := url.Parse(repository())
	if err != nil || u.Scheme != "https" || u.Host == "" {
		t.Errorf("repository %q, %v: want an https URL; has the library changed?", repository(), err)
	}
}

func TestNoServerToBeHad(t *testing.T) {
	t.Setenv(BinVariable, FetchOnly)
	t.Setenv(RepositoryVariable, "http://127.0.0.1:1")
	_, err := Obtain(t.Context(), t.TempDir(), nil)
	var obtain *ObtainError
	if !errors.As(err, &obtain) || !strings.Contains(obtain.Next(), "apt-get install") || !strings.Contains(obtain.Next(), RepositoryVariable) {
		t.Errorf("Obtain = %v, want an ObtainError that names both ways", err)
	}
}

// eventually calls check until it returns nil.
func eventually(t *testing.T, check func() error) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	limit := time.After(30 * time.Second)
	for {
		err := check()
		if err == nil {
			return
		}
		select {
		case <-limit:
			t.Fatal(err)
		case <-tick.C:
		}
	}
}
