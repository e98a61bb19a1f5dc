//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestOutcomes rolls the same releases out by every strategy, while products are
// read all the time: the outcome, its exit code and its explanation are the same
// whatever the strategy, no request fails but those that a bad release answered
// itself, and what status and history say afterwards agrees.
func TestOutcomes(t *testing.T) {
	o := &outcomes{releases: releases{strategies: &strategies{checkout: newCheckout(t)}, ref: map[string]string{}}}
	o.begin(t)
	for _, strategy := range []struct{ name, deploy, shows string }{
		{"rolling", "{strategy: rolling, bake: 3m, alarms: [errors]}", "rolling"},
		{"blue_green", "{strategy: blue_green, bake: 3m, alarms: [errors]}", "bake time at 100 %"},
		{"canary", "{strategy: canary, bake: 0m, alarms: [errors]}", "production traffic shift at 10 %"},
		{"linear", "{strategy: linear, bake: 0m, alarms: [errors]}", "production traffic shift at 80 %"},
	} {
		o.by(t, strategy.deploy)
		for _, row := range o.rows(strategy.shows) {
			if !t.Run(strategy.name+"/"+row.name, func(t *testing.T) { o.try(t, row) }) {
				t.Fatalf("it ends at %s/%s: what follows builds on it", strategy.name, row.name)
			}
		}
	}
}

// row is one release and what becomes of it.
type row struct {
	name    string
	release string
	code    int
	outcome string // "" when there is no rollout to judge: a check refused it
	shows   []string
	before  func(*testing.T) // breaks something first, and is put right by after
	after   func(*testing.T)
}

func (o *outcomes) rows(shows string) []row {
	return []row{
		{name: "a good release", release: "two", outcome: "completed", shows: []string{shows}},
		{name: "crashes at start", release: "crash", code: 3, outcome: "rolled_back", shows: []string{"crashed on purpose"}},
		{name: "fails health", release: "sick", code: 3, outcome: "rolled_back", shows: []string{"walked into a wall"}},
		{name: "fails its migration", release: "migration", code: 1, outcome: "failed", shows: []string{"division by zero", "no traffic was moved"}},
		{name: "image missing", release: "gone", code: 1, shows: []string{"find release", "next:"}},
		{name: "signature wrong", release: "forged", code: 1, shows: []string{"signature", "nothing was changed", "go tool mage sign local catalog"}},
		{
			name: "secret missing", release: "three", code: 1, before: o.hideSecret, after: o.restoreSecret,
			shows: []string{"DATABASE_SECRET", "nothing was changed", "next:"},
		},
		// Last, as its alarm takes a while to be quiet again.
		{name: "fails its alarm under traffic", release: "failing", code: 3, outcome: "rolled_back", shows: []string{"slipway-local-catalog-errors", "out of cheese"}},
	}
}

// outcomes is a cluster with releases of each kind in its registry.
type outcomes struct{ releases }

// begin starts the cluster with release one, and pushes the others.
func (o *outcomes) begin(t *testing.T) {
	o.edit(t, server, "\treturn toProto(p), nil\n}\n\n// UpdateProduct", "\treturn titled(toProto(p)), nil\n}\n\n// UpdateProduct")
	o.code(t, "one", "")
	o.checkout.up(t)
	o.product = o.checkout.rest(t, http.StatusOK, "POST", "/v1/products", map[string]any{
		"title": "Tried", "sku": "TRIED", "price": price("1", 0),
	}).text("name")
	for _, good := range []string{"two", "three", "gone", "forged"} {
		o.code(t, good, "")
		o.push(t, good)
	}
	o.code(t, "failing", `panic("out of cheese")`)
	o.push(t, "failing")
	o.code(t, "one", "")
	o.pushWith(t, "crash", entry, "\treturn nil\n}", "\treturn errors.New(\"crashed on purpose\")\n}")
	o.pushWith(t, "sick", entry, "\treturn nil\n}", "\tb.Ready(\"walk\", func(context.Context) error { return errors.New(\"walked into a wall\") })\n\treturn nil\n}")
	const script = "services/catalog/internal/store/migrations/00097_broken.sql"
	o.write(t, script, "-- +goose Up\nSELECT 1 / 0;\n\n-- +goose Down\nSELECT 1;\n")
	o.push(t, "migration")
	o.remove(t, script)
	o.aws(t, nil, "ecr", "batch-delete-image", "--repository-name", "slipway/catalog", "--image-ids", "imageDigest="+o.digest(t, "gone"))
	o.forge(t, o.ref["forged"])
}

var deployLine = regexp.MustCompile(`(?m)^deploy: .*$`)

// by changes the strategy; release one serves afterwards.
func (o *outcomes) by(t *testing.T, deploy string) {
	t.Helper()
	const file = "services/catalog/service.yaml"
	o.write(t, file, deployLine.ReplaceAllLiteralString(o.read(t, file), "deploy: "+deploy))
	eventually(t, time.Minute, "the alarms are quiet", func() error { return o.quiet(t.Context()) })
	o.checkout.up(t)
	o.title = "one"
	o.serves(t, "one")
}

// try deploys a release and holds everything that is said against the row.
func (o *outcomes) try(t *testing.T, row row) {
	if row.before != nil {
		row.before(t)
		defer row.after(t)
	}
	before := o.title
	stop := o.readers()
	r := o.mage(t, "deploy", "local", "catalog", "--release="+o.ref[row.release], "--json")
	seen := stop()
	t.Logf("answers: %v", seen)
	if r.Code != row.code {
		t.Fatalf("exit code %d, want %d\n%s%s", r.Code, row.code, r.Stdout, r.Stderr)
	}
	verdict := lastVerdict(t, r.Stdout)
	if verdict.Outcome != row.outcome {
		t.Errorf("outcome %q, want %q", verdict.Outcome, row.outcome)
	}
	wantIn(t, "what was said", plain(r.Stdout)+r.Stderr, row.shows...)
	if row.outcome == "completed" {
		o.title = row.release
	}
	for what, times := range seen {
		own := row.release == "failing" && strings.HasPrefix(what, "failed: 500")
		if what != before && what != row.release && !own {
			t.Errorf("%d answers %q, with %s serving and %s tried", times, what, before, row.release)
		}
	}
	o.serves(t, o.title)
	o.agrees(t, verdict)
}

// agrees compares what the verdict said with what status and history say.
func (o *outcomes) agrees(t *testing.T, v verdict) {
	t.Helper()
	if v.Deployment == "" {
		return // ECS knows nothing of it
	}
	var history struct {
		Rollouts []struct{ Deployment, Release, Outcome, Why string }
	}
	o.data(t, &history, "history", "local", "catalog", "--limit=1")
	if len(history.Rollouts) != 1 || history.Rollouts[0].Outcome != v.Outcome || history.Rollouts[0].Deployment != v.Deployment || history.Rollouts[0].Release != v.Release {
		t.Errorf("history says %+v, the verdict %+v", history.Rollouts, v)
	}
	var status struct {
		Services []struct {
			Service string
			Last    struct{ Deployment, Outcome string } `json:"last_rollout"`
		}
	}
	o.data(t, &status, "status", "local")
	for _, s := range status.Services {
		if s.Service == "catalog" && (s.Last.Outcome != v.Outcome || s.Last.Deployment != v.Deployment) {
			t.Errorf("status says %+v, the verdict %+v", s.Last, v)
		}
	}
}

// verdict is the part of a rollout's that is compared.
type verdict struct{ Outcome, Release, Deployment string }

// lastVerdict finds the verdict among the events of a command; the zero one
// when nothing was rolled out.
func lastVerdict(t *testing.T, events string) (v verdict) {
	t.Helper()
	for line := range strings.Lines(events) {
		var event struct {
			Type string
			Data json.RawMessage
		}
		if err := json.Unmarshal([]byte(line), &event); err != nil {
			t.Fatalf("%v in %s", err, line)
		}
		if event.Type != "verdict" {
			continue
		}
		if err := json.Unmarshal(event.Data, &v); err != nil {
			t.Fatal(err)
		}
	}
	return v
}

// plain takes the quoting out of JSON, so that texts are found as they are.
func plain(events string) string {
	return strings.NewReplacer(`\"`, `"`, `\n`, "\n", `\u003e`, ">").Replace(events) + stages(events)
}

// stages writes the stages of a verdict as the terminal does.
func stages(events string) string {
	var all []string
	for line := range strings.Lines(events) {
		var event struct {
			Data struct {
				Strategy string
				Stages   []struct {
					Name   string
					Weight float64
				}
			}
		}
		if json.Unmarshal([]byte(line), &event) != nil {
			continue
		}
		for _, s := range event.Data.Stages {
			all = append(all, fmt.Sprintf("%s at %g %%", strings.ToLower(strings.ReplaceAll(s.Name, "_", " ")), s.Weight))
		}
	}
	return strings.Join(slices.Compact(all), "\n")
}
