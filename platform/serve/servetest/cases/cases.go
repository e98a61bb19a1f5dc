// Package cases plays a service's case files: each step is made over gRPC and
// over REST, the latter derived from the method's google.api.http rule, and both
// must give the same answers, those of a golden file. It is for tests alone.
//
// A case file testdata/NAME.cases.json lists steps; testdata/NAME.golden.json
// records the answers.
package cases

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/slipway-dev/slipway/platform/serve"
	"github.com/slipway-dev/slipway/platform/serve/servetest"
)

// Config says whose cases are played, and what of their answers changes from
// run to run.
type Config struct {
	// Service makes the service; each protocol of each file plays against one
	// of its own.
	Service func() serve.Service
	// API is the gRPC service whose methods the steps name.
	API protoreflect.ServiceDescriptor
	// Changing are the fields, by their JSON names, whose text differs from run
	// to run: the golden file has "<field>" in its place. MadeUp are the
	// beginnings of resource names that the server makes up.
	Changing, MadeUp []string
	// Update writes the answers into the golden files instead of comparing.
	Update bool
}

// step is one call of a case file, made over both protocols unless it can only
// be said in one of them.
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

// Run plays every case file below testdata against two fresh services, one by
// gRPC and one by REST.
func Run(t *testing.T, cfg Config) {
	t.Helper()
	files, err := filepath.Glob("testdata/*.cases.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("no case files (%v)", err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".cases.json")
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			steps := readSteps(t, file)
			overGRPC := play(t, steps, grpcPlayer{servetest.Start(t, cfg.Service()), cfg.API})
			overREST := play(t, steps, restPlayer{servetest.Start(t, cfg.Service()), cfg.API})
			cfg.compareGolden(t, strings.TrimSuffix(file, ".cases.json")+".golden.json", cfg.merge(t, steps, overGRPC, overREST))
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
func (cfg *Config) merge(t *testing.T, steps []step, overGRPC, overREST map[string]answer) []answer {
	t.Helper()
	var out []answer
	for _, s := range steps {
		g, hasGRPC := overGRPC[s.Name]
		r, hasREST := overREST[s.Name]
		a := answer{Name: s.Name, Code: g.Code, HTTP: r.HTTP, Body: cfg.scrub("", g.Body)}
		if !hasGRPC {
			a.Body = cfg.scrub("", r.Body)
		}
		if hasGRPC && hasREST {
			if diff := cmp.Diff(a.Body, cfg.scrub("", r.Body)); diff != "" {
				t.Errorf("%s: gRPC and REST differ (-gRPC +REST):\n%s", s.Name, diff)
			}
		}
		out = append(out, a)
	}
	return out
}

// scrub replaces what differs from run to run by the name of its field.
func (cfg *Config) scrub(key string, v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k := range v {
			v[k] = cfg.scrub(k, v[k])
		}
	case []any:
		for i := range v {
			v[i] = cfg.scrub(key, v[i])
		}
	case string:
		if v != "" && slices.Contains(cfg.Changing, key) {
			return "<" + key + ">"
		}
		for _, prefix := range cfg.MadeUp {
			if key == "name" && strings.HasPrefix(v, prefix) {
				collection, _, _ := strings.Cut(prefix, "/")
				return collection + "/<made up>"
			}
		}
		// protojson puts either kind of space into its errors, so that nobody
		// relies on their text.
		return strings.ReplaceAll(v, "\u00a0", " ")
	}
	return v
}

func (cfg *Config) compareGolden(t *testing.T, file string, answers []answer) {
	t.Helper()
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(answers); err != nil {
		t.Fatal(err)
	}
	if cfg.Update {
		if err := os.WriteFile(file, b.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatalf("%v\nnext: go test ./cmd/%s -update", err, cfg.Service().Name)
	}
	if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(b.String(), "\n")); diff != "" {
		t.Errorf("%s (-golden +got):\n%s\nnext: go test ./cmd/%s -update, if this is meant", file, diff, cfg.Service().Name)
	}
}
