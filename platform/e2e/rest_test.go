//go:build e2e

package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"
)

var client = &http.Client{Timeout: 15 * time.Second}

// answer is what the gateway said.
type answer struct {
	Status int
	Header http.Header
	Body   map[string]any
	Raw    string
}

// text returns a member of the body, "" when it is not a string.
func (a answer) text(member string) string {
	s, _ := a.Body[member].(string)
	return s
}

// list returns a member of the body that is a list of objects.
func (a answer) list(member string) []map[string]any {
	raw, _ := a.Body[member].([]any)
	out := make([]map[string]any, 0, len(raw))
	for _, v := range raw {
		if m, ok := v.(map[string]any); ok {
			out = append(out, m)
		}
	}
	return out
}

func (c *checkout) url(path string) string {
	return fmt.Sprintf("http://127.0.0.1:%d%s", c.Gateway, path)
}

// try sends a request; an error means that no answer came.
func (c *checkout) try(method, path string, body any) (answer, error) {
	return c.send(method, path, body, nil)
}

// send is try with headers of the request.
func (c *checkout) send(method, path string, body any, headers map[string]string) (answer, error) {
	var in io.Reader
	if body != nil {
		raw, err := json.Marshal(body)
		if err != nil {
			return answer{}, err
		}
		in = bytes.NewReader(raw)
	}
	req, err := http.NewRequest(method, c.url(path), in)
	if err != nil {
		return answer{}, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+c.bearer)
	for name, value := range headers {
		req.Header.Set(name, value)
	}
	resp, err := client.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		return answer{}, err
	}
	a := answer{Status: resp.StatusCode, Header: resp.Header, Raw: string(raw)}
	_ = json.Unmarshal(raw, &a.Body) // what is not JSON is in Raw
	return a, nil
}

// rest sends a request and wants the status.
func (c *checkout) rest(t *testing.T, status int, method, path string, body any) answer {
	t.Helper()
	a, err := c.try(method, path, body)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	if a.Status != status {
		t.Fatalf("%s %s: status %d, want %d: %s", method, path, a.Status, status, a.Raw)
	}
	return a
}

func price(units string, nanos int) map[string]any {
	return map[string]any{"currencyCode": "EUR", "units": units, "nanos": nanos}
}
