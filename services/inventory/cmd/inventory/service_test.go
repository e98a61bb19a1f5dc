package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/slipway-dev/slipway/platform/serve/servetest"
)

var update = flag.Bool("update", false, "write what the service answers into the golden files")

func TestMain(m *testing.M) { os.Exit(servetest.Main(m)) }

// step is one call of a case file. It is made over gRPC and over REST, the
// latter derived from the method's google.api.http rule, unless it can only be
// said in one of them.
type step struct {
	Name     string          `json:"name"`
	Method   string          `json:"method,omitempty"`
	Request  json.RawMessage `json:"request,omitempty"`   // proto JSON; "${step.field}" is an earlier answer's
	GRPCOnly bool            `json:"grpc_only,omitempty"` // no URL says this
	REST     *restCall       `json:"rest,omitempty"`      // no message says this
}

// restCall is a literal HTTP request, "GET /path" and a body.
type restCall struct {
	Call string `json:"call"`
	Body string `json:"body,omitempty"`
}

// answer is what a golden file records of a step.
type answer struct {
	Name string `json:"name"`
	Code string `json:"code,omitempty"` // of gRPC
	HTTP int    `json:"http,omitempty"` // of REST
	Body any    `json:"body"`           // the same in both
}

// TestCases plays each case file against two fresh services, one by gRPC and
// one by REST. Both must give the same answers, and those of the golden file;
// -update rewrites it.
func TestCases(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*.cases.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("no case files (%v)", err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".cases.json")
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			steps := readSteps(t, file)
			overGRPC := play(t, steps, newGRPCPlayer(t))
			overREST := play(t, steps, newRESTPlayer(t))
			compareGolden(t, strings.TrimSuffix(file, ".cases.json")+".golden.json", merge(t, steps, overGRPC, overREST))
		})
	}
}

func readSteps(t *testing.T, file string) []step {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var steps []step
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(&steps); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	return steps
}

// player makes the calls of one protocol; ok is false if it cannot say the step.
type player interface {
	play(t *testing.T, s step) (a answer, ok bool)
}

func play(t *testing.T, steps []step, p player) map[string]answer {
	t.Helper()
	answers := make(map[string]answer)
	for _, s := range steps {
		s.Request = json.RawMessage(fill(t, string(s.Request), answers))
		if a, ok := p.play(t, s); ok {
			answers[s.Name] = a
		}
	}
	return answers
}

// fill replaces "${step.field}" by that field of the step's answer.
func fill(t *testing.T, text string, answers map[string]answer) string {
	t.Helper()
	for {
		before, rest, found := strings.Cut(text, "${")
		if !found {
			return text
		}
		name, after, _ := strings.Cut(rest, "}")
		stepName, field, _ := strings.Cut(name, ".")
		object, _ := answers[stepName].Body.(map[string]any)
		value, ok := object[field].(string)
		if !ok {
			t.Fatalf("no text %s in an earlier answer", name)
		}
		text = before + value + after
	}
}

// merge checks that both protocols said the same and joins their codes.
func merge(t *testing.T, steps []step, overGRPC, overREST map[string]answer) []answer {
	t.Helper()
	var out []answer
	for _, s := range steps {
		g, hasGRPC := overGRPC[s.Name]
		r, hasREST := overREST[s.Name]
		a := answer{Name: s.Name, Code: g.Code, HTTP: r.HTTP, Body: scrub("", g.Body)}
		if !hasGRPC {
			a.Body = scrub("", r.Body)
		}
		if hasGRPC && hasREST {
			if diff := cmp.Diff(a.Body, scrub("", r.Body)); diff != "" {
				t.Errorf("%s: gRPC and REST differ (-gRPC +REST):\n%s", s.Name, diff)
			}
		}
		out = append(out, a)
	}
	return out
}

// scrub replaces what differs from run to run by the name of its field.
func scrub(key string, v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k := range v {
			v[k] = scrub(k, v[k])
		}
	case []any:
		for i := range v {
			v[i] = scrub(key, v[i])
		}
	case string:
		switch key {
		case "createTime", "updateTime", "expireTime", "nextPageToken":
			if v != "" {
				return "<" + key + ">"
			}
		}
		// protojson puts either kind of space into its errors, so that nobody
		// relies on their text.
		return strings.ReplaceAll(v, "\u00a0", " ")
	}
	return v
}

func compareGolden(t *testing.T, file string, answers []answer) {
	t.Helper()
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(answers); err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(file, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatalf("%v\nnext: go test ./cmd/inventory -update", err)
	}
	if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(b.String(), "\n")); diff != "" {
		t.Errorf("%s (-golden +got):\n%s\nnext: go test ./cmd/inventory -update, if this is meant", file, diff)
	}
}
