package rollout

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
)

func TestRunCountsWhatFails(t *testing.T) {
	var failing atomic.Bool
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer secret" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		if failing.CompareAndSwap(true, false) {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	defer server.Close()
	deployed := 0
	report, err := Run(t.Context(), Config{
		URL: server.URL, Token: "secret", Rate: 200, Deploys: 2, MinRequests: 600,
		Deploy: func(context.Context, int) error { deployed++; failing.Store(true); return nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	if deployed != 2 || len(report.Deploys) != 2 {
		t.Errorf("deployed %d times, %d reported; want 2", deployed, len(report.Deploys))
	}
	if report.Failures != 2 || report.Codes[http.StatusServiceUnavailable] != 2 {
		t.Errorf("%d failures, codes %v; want the 2 that there were", report.Failures, report.Codes)
	}
	if report.Requests < 600 {
		t.Errorf("%d requests, want at least 600", report.Requests)
	}
}

func TestReleasesLeaveTheCheckoutAlone(t *testing.T) {
	root := t.TempDir()
	for name, content := range map[string]string{
		"services/a/go.mod":        "module example.test/a\n\ngo 1.26.0\n\nrequire example.test/lib v0.0.0\n\nreplace example.test/lib => ../../lib\n",
		"services/a/cmd/a/main.go": "package main\n\nfunc main() {}\n",
		"lib/go.mod":               "module example.test/lib\n\ngo 1.26.0\n",
	} {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	r, err := NewReleases(root, "services/a", "a")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if err := r.Next(1); err != nil {
		t.Fatal(err)
	}
	for _, copied := range []string{"lib/go.mod", "services/a/cmd/a/main.go", "services/a/cmd/a/bench_release.go"} {
		if _, err := os.Stat(filepath.Join(r.Root, copied)); err != nil {
			t.Error(err)
		}
	}
	if _, err := os.Stat(filepath.Join(root, "services/a/cmd/a/bench_release.go")); err == nil {
		t.Error("the checkout was changed")
	}
}
