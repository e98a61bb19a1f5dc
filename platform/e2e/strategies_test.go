//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestStrategies rolls releases out by every strategy that moves traffic, while
// products are read all the time: both releases answer meanwhile and no request
// fails. A release that fails some requests is put back by its alarm.
func TestStrategies(t *testing.T) {
	s := &strategies{checkout: newCheckout(t)}
	s.edit(t, server, "\treturn toProto(p), nil\n}\n\n// UpdateProduct", "\treturn titled(toProto(p)), nil\n}\n\n// UpdateProduct")
	s.code(t, "one", "")
	s.checkout.up(t)
	s.product = s.checkout.rest(t, http.StatusOK, "POST", "/v1/products", map[string]any{
		"title": "Shifted", "sku": "SHIFTED", "price": price("1", 0),
	}).text("name")
	for _, part := range []struct {
		name string
		run  func(*testing.T)
	}{
		{"canary", s.good("{strategy: rolling, bake: 1m, alarms: [errors, latency]}", "{strategy: canary, bake: 0m, alarms: [errors]}", "two",
			"10 % of the traffic for 5 minutes, then all", "production traffic shift at 10 %")},
		{"a canary that fails requests", s.bad},
		{"blue/green", s.good("{strategy: canary, bake: 0m", "{strategy: blue_green, bake: 1m", "three", "blue/green", "bake time at 100 %")},
		{"linear", s.good("{strategy: blue_green, bake: 1m", "{strategy: linear, bake: 0m", "four",
			"20 % more of the traffic every 1 minute", "production traffic shift at 20 %", "production traffic shift at 80 %")},
	} {
		if !t.Run(part.name, func(t *testing.T) { part.run(t) }) {
			t.Fatalf("it ends at %q: what follows builds on it", part.name)
		}
	}
}

const server = "services/catalog/internal/rpc/server.go"

type strategies struct {
	*checkout
	product, title string
}

// code makes the service answer with a title of its own, and do first what is
// given.
func (s *strategies) code(t *testing.T, title, first string) {
	s.write(t, handler, "package rpc\n\nimport (\n\t\"sync/atomic\"\n\n\tcatalogv1 \"github.com/slipway-dev/slipway/proto/slipway/catalog/v1\"\n)\n\nvar turn atomic.Int64\n\n"+
		"func titled(p *catalogv1.Product) *catalogv1.Product {\n\tif turn.Add(1)%2 == 0 {\n\t\t"+first+"\n\t}\n\tp.Title = \""+title+"\"\n\treturn p\n}\n")
	s.title = title
}

// good rolls a sound release out by another strategy; the output shows parts.
func (s *strategies) good(from, to, title string, shows ...string) func(*testing.T) {
	return func(t *testing.T) {
		before := s.title
		s.edit(t, "services/catalog/service.yaml", from, to)
		s.code(t, title, "")
		stop := s.readers()
		r := s.mage(t, "up")
		seen := stop()
		if r.Code != 0 {
			t.Fatalf("exit %d\n%s%s", r.Code, r.Stdout, r.Stderr)
		}
		wantIn(t, "the output", r.Stdout+r.Stderr, shows...)
		if got := slices.Sorted(maps.Keys(seen)); !slices.Equal(got, slices.Sorted(slices.Values([]string{before, title}))) {
			t.Errorf("answers %v, want those of %s and %s alone", seen, before, title)
		}
		t.Logf("answers: %v", seen)
		s.serves(t, title)
	}
}

// bad tries a release that fails half of its requests.
func (s *strategies) bad(t *testing.T) {
	before := s.title
	s.code(t, "bad", `panic("out of cheese")`)
	stop := s.readers()
	r := s.mage(t, "deploy", "local", "catalog")
	seen := stop()
	if r.Code != 3 {
		t.Errorf("exit code %d, want 3 (rolled back)", r.Code)
	}
	wantIn(t, "the verdict", r.Stdout+r.Stderr, "rolled back", "at 10 % of the traffic", "alarm slipway-local-catalog-errors went off", "out of cheese", "next:")
	t.Logf("answers: %v", seen)
	s.serves(t, before)
	s.title = before
	eventually(t, 20*time.Second, "the alarm is quiet again", func() error { return s.quiet(t.Context()) })
}

// quiet says whether an alarm is firing: while one does, no rollout may begin.
func (s *strategies) quiet(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, fmt.Sprintf("http://127.0.0.1:%d/", s.Endpoint), strings.NewReader(`{"StateValue":"ALARM"}`))
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=local/20260101/us-east-1/monitoring/aws4_request, SignedHeaders=host, Signature=0")
	req.Header.Set("X-Amz-Target", "GraniteServiceVersion20100801.DescribeAlarms")
	req.Header.Set("Content-Type", "application/x-amz-json-1.0")
	res, err := client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	if err == nil && (res.StatusCode != http.StatusOK || strings.Contains(string(raw), "AlarmName")) {
		err = fmt.Errorf("status %d, %s", res.StatusCode, raw)
	}
	return err
}

// serves wants every answer from one release.
func (s *strategies) serves(t *testing.T, title string) {
	t.Helper()
	for range 20 {
		if a := s.checkout.rest(t, http.StatusOK, "GET", "/v1/"+s.product, nil); a.text("title") != title {
			t.Fatalf("%s answers, want %s alone", a.text("title"), title)
		}
	}
}

// readers read the product, two at a time, some hundred times a second, until
// the returned function is called; it tells how often each release answered, or
// how a request failed.
func (s *strategies) readers() (stop func() map[string]int) {
	done, seen := make(chan struct{}), map[string]int{}
	var mu sync.Mutex
	var all sync.WaitGroup
	for range 2 {
		all.Go(func() {
			tick := time.NewTicker(15 * time.Millisecond)
			defer tick.Stop()
			for {
				select {
				case <-done:
					return
				case <-tick.C:
				}
				a, err := s.try("GET", "/v1/"+s.product, nil)
				what := a.text("title")
				if err != nil || a.Status != http.StatusOK {
					what = strings.TrimSpace(fmt.Sprintf("failed: %d %v", a.Status, err))
				}
				mu.Lock()
				seen[what]++
				mu.Unlock()
			}
		})
	}
	return func() map[string]int {
		close(done)
		all.Wait()
		return seen
	}
}
