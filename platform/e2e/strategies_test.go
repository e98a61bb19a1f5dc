//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

const server = "services/catalog/internal/rpc/server.go"

// strategies is a checkout whose catalog answers with a title that its release
// chose.
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
