package serve_test

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/slipway-dev/slipway/platform/serve"
	"github.com/slipway-dev/slipway/platform/serve/database"
	"github.com/slipway-dev/slipway/platform/serve/servetest"
)

// TestInternalPort asks a service on real ports what it is.
func TestInternalPort(t *testing.T) {
	t.Parallel()
	svc := newEcho().service()
	svc.Config = &ownConfig{}
	app, err := serve.Complete(t.Context(), svc, map[string]string{"ECHO_KEY": "hunter2", "SERVICE_VERSION": "r7", "DRAIN_DELAY": "0s"}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	inside := listen(t)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- app.Serve(ctx, serve.Listeners{HTTP: listen(t), GRPC: listen(t), Internal: inside}) }()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	get := func(path, host string) (int, string) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+inside.Addr().String()+path, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		if host != "" {
			req.Host = host
		}
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, string(text)
	}
	for path, parts := range map[string][]string{
		"/buildinfo":                     {`"service": "echo"`, `"version": "r7"`, `"go": "go1.`, `"dirty": `, `"dependencies": {`},
		"/config":                        {`"ECHO_KEY": "(set)"`, `"HTTP_PORT": "8080"`, `"MAX_CONCURRENT_REQUESTS": "256"`},
		"/debug/interceptors":            {`"request_id"`, `"load_shedding"`, `"validation"`},
		"/debug/methods":                 {`"/slipway.serve.echo.EchoService/Echo": [`, `"public"`},
		"/debug/load":                    {`"requests": 0`},
		"/debug/pprof/":                  {"goroutine"},
		"/debug/pprof/heap?debug=1":      {"heap profile"},
		"/debug/pprof/goroutine":         {""},
		"/debug/pprof/profile?seconds=1": {""},
	} {
		code, body := get(path, "")
		if code != http.StatusOK || slices.ContainsFunc(parts, func(part string) bool { return !strings.Contains(body, part) }) {
			t.Errorf("%s: %d %.500s, want %q", path, code, body, parts)
		}
		if strings.Contains(body, "hunter2") {
			t.Errorf("%s shows a secret", path)
		}
	}
	if code, body := get("/config", "evil.example"); code != http.StatusForbidden {
		t.Errorf("under another name: %d %s", code, body)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if _, err := client.Get("http://" + inside.Addr().String() + "/config"); err == nil {
		t.Error("the internal port outlives the service")
	}
}

func TestInternalPortInUse(t *testing.T) {
	t.Parallel()
	taken := listen(t)
	defer taken.Close()
	_, port, err := net.SplitHostPort(taken.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	app, err := serve.Complete(t.Context(), newEcho().service(),
		map[string]string{"HTTP_PORT": "0", "GRPC_PORT": "0", "INTERNAL_PORT": port, "BIND_ADDRESS": "0.0.0.0"}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if err := app.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "bind INTERNAL_PORT") || !strings.Contains(err.Error(), "next: ") {
		t.Errorf("got %v", err)
	}
}

// TestDocs reads the page and the document it renders.
func TestDocs(t *testing.T) {
	t.Parallel()
	svc := newEcho().guarded()
	svc.OpenAPI = []byte(`{"swagger":"2.0","paths":{
		"/v1/guarded":{"post":{"operationId":"GuardedService_Write"}},
		"/v1/echo":{"post":{"operationId":"EchoService_Echo"}},
		"/v1/echo/{text}":{"get":{"operationId":"EchoService_Echo2"}}}}`)
	s := servetest.Start(t, svc, servetest.Options{Token: new(string)})
	for path, media := range map[string]string{
		"/docs": "text/html", "/docs/echo": "text/html", "/docs/echo/page.js": "text/javascript", "/docs/echo/page.css": "text/css",
	} {
		web, body := s.Do(t, http.MethodGet, path, "")
		policy := web.Header.Get("Content-Security-Policy")
		if web.StatusCode != http.StatusOK || !strings.HasPrefix(web.Header.Get("Content-Type"), media) || len(body) == 0 {
			t.Errorf("%s: %s %v", path, web.Status, web.Header)
		}
		if !strings.Contains(policy, "default-src 'none'") || strings.Contains(policy, "unsafe") || strings.Contains(policy, "*") {
			t.Errorf("%s: policy %q", path, policy)
		}
		for _, loose := range []string{"https://", "http://", "innerHTML", "onclick=", "<style", "style="} {
			if strings.Contains(body, loose) {
				t.Errorf("%s holds %q, which the policy forbids or should", path, loose)
			}
		}
	}
	_, page := s.Do(t, http.MethodGet, "/docs/echo", "")
	for _, m := range regexp.MustCompile(`(?:href|src)="([^"]*)"`).FindAllStringSubmatch(page, -1) {
		if web, _ := s.Do(t, http.MethodGet, m[1], ""); web.StatusCode != http.StatusOK || !strings.HasPrefix(m[1], "/docs/echo/") {
			t.Errorf("the page names %s: %s; all must be below its own folder", m[1], web.Status)
		}
	}
	_, body := s.Do(t, http.MethodGet, "/openapi.json", "")
	if _, same := s.Do(t, http.MethodGet, "/docs/echo/openapi.json", ""); same != body {
		t.Errorf("the page's document is %s", same)
	}
	var document struct {
		SecurityDefinitions map[string]struct{ Scopes map[string]string }
		Paths               map[string]map[string]struct{ Security []map[string][]string }
	}
	if err := json.Unmarshal([]byte(body), &document); err != nil {
		t.Fatal(err)
	}
	if got := document.Paths["/v1/guarded"]["post"].Security; len(got) != 1 || !slices.Equal(got[0]["oauth2"], []string{"guarded.read", "guarded.write"}) {
		t.Errorf("the guarded method asks for %v", got)
	}
	for _, open := range []string{"/v1/echo", "/v1/echo/{text}"} {
		for _, operation := range document.Paths[open] {
			if operation.Security == nil || len(operation.Security) != 0 {
				t.Errorf("the public %s asks for %v", open, operation.Security)
			}
		}
	}
	if len(document.SecurityDefinitions["oauth2"].Scopes) != 2 {
		t.Errorf("the scopes are %v", document.SecurityDefinitions)
	}
}

// TestCheckCommand breaks an invariant and looks for it.
func TestCheckCommand(t *testing.T) {
	t.Parallel()
	url := servetest.Postgres(t)
	svc := newEcho().withDatabase()
	svc.Invariants = []database.Invariant{
		{Name: "notes say something", Doc: "the API asks for text", Query: "SELECT text, length(text) AS size FROM notes WHERE text = '' ORDER BY text;"},
		{Name: "always", Query: "SELECT 1 AS one WHERE false"},
	}
	env := "DATABASE_URL=" + url
	if code, _, stderr := command(t, svc, []string{"check"}, env); code != 1 || !strings.Contains(stderr, `check "notes say something"`) || !strings.Contains(stderr, "next: ") {
		t.Errorf("before the migration: %d %s", code, stderr)
	}
	if code, _, stderr := command(t, svc, []string{"migrate"}, env); code != 0 {
		t.Fatal(stderr)
	}
	code, stdout, stderr := command(t, svc, []string{"check"}, env)
	if want := `{"invariant":"notes say something","holds":true,"doc":"the API asks for text"}` + "\n" + `{"invariant":"always","holds":true}` + "\n"; code != 0 || stdout != want {
		t.Errorf("all holds: %d %s%s", code, stdout, stderr)
	}
	pool, err := database.Open(t.Context(), database.Defaults(url))
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	if _, err := pool.Exec(t.Context(), "INSERT INTO notes SELECT '' FROM generate_series(1, 25)"); err != nil {
		t.Fatal(err)
	}
	code, stdout, stderr = command(t, svc, []string{"check"}, env)
	if code != 1 || !strings.Contains(stderr, "1 of 2 do not hold") || strings.Count(stdout, `{"text":"","size":0}`) != 20 || !strings.Contains(stdout, `"more":true`) {
		t.Errorf("broken: %d %s%s", code, stdout, stderr)
	}
	svc.Invariants = []database.Invariant{{Name: "writes", Query: "WITH gone AS (DELETE FROM notes RETURNING text) SELECT text FROM gone"}}
	if code, _, stderr := command(t, svc, []string{"check"}, env); code != 1 {
		t.Errorf("a query that writes: %d %s", code, stderr)
	}
	svc.Invariants = nil
	if code, stdout, _ := command(t, svc, []string{"check"}); code != 0 || stdout != "" {
		t.Errorf("nothing to check: %d %s", code, stdout)
	}
}
