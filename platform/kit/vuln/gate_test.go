package vuln_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jonboulle/clockwork"

	"github.com/slipway-dev/slipway/platform/kit/attest"
	"github.com/slipway-dev/slipway/platform/kit/manifest"
	"github.com/slipway-dev/slipway/platform/kit/rollout"
	"github.com/slipway-dev/slipway/platform/kit/vuln"
)

const digest = "sha256:0123"

// shelf is a registry with one image, which counts who reads it.
type shelf struct {
	program *program
	path    string
	err     error
	reads   atomic.Int32
}

func stocked(t *testing.T, p *program) *shelf {
	t.Helper()
	return &shelf{program: p, path: p.build(t)}
}

func (s *shelf) Binaries(context.Context, string, string) ([]vuln.Binary, error) {
	if s.err != nil {
		return nil, s.err
	}
	file := vuln.File("linux/amd64", s.path)
	return []vuln.Binary{{Platform: file.Platform, Open: func(ctx context.Context) (vuln.Bytes, error) {
		s.reads.Add(1)
		return file.Open(ctx)
	}}}, nil
}

// statements are those attached to images, all of them signed well.
type statements map[string][]any // predicates by digest

func (s statements) Find(_ context.Context, _, digest, predicateType string) ([]attest.Verified, error) {
	var found []attest.Verified
	for _, p := range s[digest] {
		text, err := json.Marshal(p)
		if err != nil {
			return nil, err
		}
		found = append(found, attest.Verified{PredicateType: predicateType, Predicate: text})
	}
	return found, nil
}

func (s statements) Attach(_ context.Context, _, digest string, a attest.Attestation) error {
	if a.PredicateType != "https://in-toto.io/attestation/vulns/v0.1" {
		return errors.New("attached as " + a.PredicateType)
	}
	s[digest] = append(s[digest], a.Predicate)
	return nil
}

// environment is one with the default rules and this change to them.
func environment(name string, change func(*manifest.Vulnerabilities)) manifest.Environment {
	v := manifest.Vulnerabilities{FailOn: manifest.FailCalled, MaxAge: manifest.Duration(168 * time.Hour)}
	if change != nil {
		change(&v)
	}
	return manifest.Environment{Name: name, SupplyChain: manifest.SupplyChain{Vulnerabilities: v}}
}

func gate(t *testing.T, cfg vuln.Config) *vuln.Gate {
	t.Helper()
	if cfg.Clock == nil {
		cfg.Clock = clockwork.NewFakeClockAt(today)
	}
	if cfg.Source.CacheDir == "" {
		cfg.Source.CacheDir = t.TempDir()
	}
	g, err := vuln.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func examine(t *testing.T, g *vuln.Gate, rollback bool) rollout.Check {
	t.Helper()
	checks := g.Examine(t.Context(), rollout.EvidenceQuery{Environment: "x", Service: "orders", Repository: "slipway/orders", Digest: digest, Rollback: rollback})
	if len(checks) != 1 || checks[0].Name != "vulnerabilities" {
		t.Fatalf("checks %+v; want the one", checks)
	}
	return checks[0]
}

func TestCheck(t *testing.T) {
	t.Parallel()
	const (
		found = "GO-2021-0113 (CVE-2021-38561) in golang.org/x/text v0.3.5: Trouble in golang.org/x/text; the binary has golang.org/x/text/language.ParseAcceptLanguage; mended in v0.3.7"
		aged  = "database of 2026-11-20, 3 days old"
		get   = "GOWORK=off go -C services/orders get golang.org/x/text@v0.3.7"
		none  = "vulnerability database https://vuln.go.dev cannot be had: this machine has no copy of it"
	)
	dir := folder(t, files(t, written, textAdvisory))
	broken := folder(t, without(files(t, written, textAdvisory), "index/modules.json", "{"))
	unmended := textAdvisory
	unmended.fixed = ""
	hopeless := folder(t, files(t, written, unmended))
	both := folder(t, files(t, written, textAdvisory, stdAdvisory))
	old := written.Add(30 * 24 * time.Hour)
	ignoring := func(until manifest.Date) func(*manifest.Vulnerabilities) {
		return func(v *manifest.Vulnerabilities) {
			v.Ignore = map[string]manifest.Exemption{"CVE-2021-38561": {Reason: "no header reaches it", Until: until}}
		}
	}
	cases := map[string]struct {
		environment manifest.Environment
		database    string
		program     *program
		now         time.Time
		rollback    bool
		want        rollout.Check
	}{
		"clean":   {environment("staging", nil), dir, fixed, today, false, rollout.Check{OK: true, Detail: "nothing is known; " + aged}},
		"called":  {environment("staging", nil), dir, called, today, false, rollout.Check{Detail: found + "; " + aged, Next: get}},
		"at home": {environment("local", nil), dir, called, today, false, rollout.Check{Detail: found + "; " + aged, Next: get}},
		"rollback": {environment("production", nil), dir, called, today, true, rollout.Check{
			Skipped: true, Detail: "this does not stop a rollback: " + found + "; " + aged, Next: get,
		}},
		"imported": {environment("staging", nil), dir, imported, today, false, rollout.Check{
			OK: true, Detail: "known without failing: GO-2021-0113 (golang.org/x/text, imported); " + aged,
		}},
		"imported fails": {environment("staging", func(v *manifest.Vulnerabilities) { v.FailOn = manifest.FailImported }), dir, imported, today, false, rollout.Check{
			Detail: strings.Replace(found, "golang.org/x/text/language.ParseAcceptLanguage", "package golang.org/x/text/language, not the vulnerable functions", 1) + "; " + aged, Next: get,
		}},
		"required fails": {environment("staging", func(v *manifest.Vulnerabilities) { v.FailOn = manifest.FailRequired }), dir, required, today, false, rollout.Check{
			Detail: strings.Replace(found, "golang.org/x/text/language.ParseAcceptLanguage", "none of its vulnerable packages", 1) + "; " + aged, Next: get,
		}},
		"never fails": {environment("staging", func(v *manifest.Vulnerabilities) { v.FailOn = manifest.FailNever }), dir, called, today, false, rollout.Check{
			OK: true, Detail: "known without failing: GO-2021-0113 (golang.org/x/text, called); " + aged,
		}},
		"ignored": {environment("staging", ignoring("2026-11-23")), dir, called, today, false, rollout.Check{
			OK: true, Detail: "passed over: GO-2021-0113 until 2026-11-23 (no header reaches it); " + aged,
		}},
		"ignored too long": {environment("staging", ignoring("2026-11-22")), dir, called, today, false, rollout.Check{
			Detail: found + "; it was passed over until 2026-11-22; " + aged, Next: get,
		}},
		"not mended": {environment("staging", nil), hopeless, called, today, false, rollout.Check{
			Detail: strings.Replace(found, "mended in v0.3.7", "no version mends it yet", 1) + "; " + aged, Next: "open https://pkg.go.dev/vuln/GO-2021-0113",
		}},
		"stale": {environment("staging", nil), dir, fixed, old, false, rollout.Check{
			Detail: "nothing is known; database of 2026-11-20, 30 days old, where 7 days are allowed", Next: vuln.FetchCommand,
		}},
		"stale at home": {environment("local", nil), dir, fixed, old, false, rollout.Check{
			OK: true, Detail: "nothing is known; database of 2026-11-20, 30 days old, where 7 days are allowed", Next: vuln.FetchCommand,
		}},
		"stale on a rollback": {environment("staging", nil), dir, fixed, old, true, rollout.Check{
			Skipped: true, Detail: "this does not stop a rollback: nothing is known; database of 2026-11-20, 30 days old, where 7 days are allowed", Next: vuln.FetchCommand,
		}},
		"no database":               {environment("staging", nil), "", called, today, false, rollout.Check{Detail: none, Next: vuln.FetchCommand}},
		"no database at home":       {environment("local", nil), "", called, today, false, rollout.Check{Skipped: true, Detail: none, Next: vuln.FetchCommand}},
		"no database on a rollback": {environment("staging", nil), "", called, today, true, rollout.Check{Skipped: true, Detail: none, Next: vuln.FetchCommand}},
		"damaged at home": {environment("local", nil), broken, called, today, false, rollout.Check{
			Detail: "vulnerability database " + broken + " is damaged: read index/modules.json: unexpected end of JSON input", Next: vuln.FetchCommand,
		}},
		"two": {environment("staging", nil), both, called, today, false, rollout.Check{
			Detail: found + "; GO-2026-9001 (CVE-2026-90001) in the standard library of " + goVersion + ": Trouble in stdlib; the binary has strconv.Quote; mended in go1.99.1; " + aged,
			Next:   "GOWORK=off go -C services/orders get golang.org/x/text@v0.3.7 toolchain@go1.99.1",
		}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := gate(t, vuln.Config{
				Environment: tc.environment, Source: vuln.Source{Location: tc.database, CacheDir: t.TempDir()},
				Images: stocked(t, tc.program), Clock: clockwork.NewFakeClockAt(tc.now),
			})
			got := examine(t, g, tc.rollback)
			tc.want.Name = "vulnerabilities"
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("check (-want +got):\n%s", diff)
			}
		})
	}
}

func TestImageThatCannotBeReadFails(t *testing.T) {
	t.Parallel()
	dir := folder(t, files(t, written, textAdvisory))
	shelf := stocked(t, fixed)
	shelf.err = errors.New("the registry is away")
	g := gate(t, vuln.Config{Environment: environment("local", nil), Source: vuln.Source{Location: dir}, Images: shelf})
	got := examine(t, g, false)
	if got.OK || got.Skipped || !strings.Contains(got.Detail, "the registry is away") || got.Next != "go tool mage check:vuln orders" {
		t.Errorf("check %+v; want a failed one", got)
	}
	shelf.err = nil
	path := shelf.path
	shelf.path = path + ".none"
	if got := examine(t, g, false); got.OK || got.Skipped || !strings.Contains(got.Detail, "scan binary for linux/amd64: open ") {
		t.Errorf("check %+v; want a failed one that names the binary", got)
	}
	shelf.path = path
	if got := examine(t, g, false); !got.OK {
		t.Errorf("once it can be read: %+v", got)
	}
}

func TestReportIsKeptByImageAndDatabase(t *testing.T) {
	t.Parallel()
	cache := t.TempDir()
	dir := folder(t, files(t, written))
	registry := stocked(t, called)
	again := func(what string, reads int32, ok bool) {
		t.Helper()
		g := gate(t, vuln.Config{Environment: environment("staging", nil), Source: vuln.Source{Location: dir, CacheDir: cache}, Images: registry})
		for range 2 {
			if got := examine(t, g, false); got.OK != ok {
				t.Errorf("%s: check %+v; want ok %t", what, got, ok)
			}
		}
		if got := registry.reads.Load(); got != reads {
			t.Errorf("%s: the image was read %d times; want %d", what, got, reads)
		}
	}
	again("first", 1, true)
	again("in a later command", 1, true)
	// The same database with a newer entry.
	for name, text := range files(t, written.Add(time.Hour), textAdvisory) {
		write(t, dir+"/"+name, text)
	}
	again("with a newer database", 2, false)
	again("with that in a later command", 2, false)
}

func TestBegunScanIsWaitedFor(t *testing.T) {
	t.Parallel()
	dir := folder(t, files(t, written, textAdvisory))
	g := gate(t, vuln.Config{Environment: environment("staging", nil), Source: vuln.Source{Location: dir}}) // no registry
	g.Begin(t.Context(), digest, []vuln.Binary{vuln.File("linux/amd64", called.build(t)), vuln.File("linux/arm64", onARM.build(t))})
	report, err := g.Report(t.Context(), "slipway/orders", digest)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"linux/amd64", "linux/arm64"}, report.Platforms); diff != "" || len(report.Findings) != 1 {
		t.Errorf("report %+v; want one finding for both platforms", report)
	}
	if got := examine(t, g, false); got.OK || !strings.Contains(got.Detail, "GO-2021-0113") {
		t.Errorf("check %+v; want what the scan found", got)
	}
}

func TestAttachedReportSparesAScanWhileItIsNewEnough(t *testing.T) {
	t.Parallel()
	dir := folder(t, files(t, written, textAdvisory))
	report := func(age time.Duration, findings ...vuln.Finding) any {
		return vuln.Report{Database: "https://vuln.go.dev", Modified: written.Add(-age), Findings: findings}.Predicate()
	}
	const other = "sha256:4567"
	cases := map[string]struct {
		database string
		attached statements
		reads    int32
		ok       bool
	}{
		"none":              {dir, nil, 1, false},
		"as new":            {dir, statements{digest: {report(0)}}, 0, true},
		"newer, with one":   {dir, statements{digest: {report(-time.Hour, textFinding(vuln.Called)), report(0)}}, 0, false},
		"older":             {dir, statements{digest: {report(time.Hour)}}, 1, false},
		"unreadable":        {dir, statements{digest: {"nonsense"}}, 1, false},
		"of another image":  {dir, statements{other: {report(0)}}, 1, false},
		"and no database":   {"", statements{digest: {report(2 * time.Hour), report(time.Hour)}}, 0, true},
		"stale, and no db":  {"", statements{digest: {report(30 * 24 * time.Hour)}}, 0, false},
		"of another, no db": {"", statements{other: {report(0)}}, 0, false},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			registry := stocked(t, called)
			g := gate(t, vuln.Config{Environment: environment("staging", nil), Source: vuln.Source{Location: tc.database}, Images: registry, Statements: tc.attached})
			got := examine(t, g, false)
			if got.OK != tc.ok || registry.reads.Load() != tc.reads {
				t.Errorf("check %+v after reading the image %d times; want ok %t after %d", got, registry.reads.Load(), tc.ok, tc.reads)
			}
		})
	}
}

func TestReportIsAttachedToItsImage(t *testing.T) {
	t.Parallel()
	dir := folder(t, files(t, written, textAdvisory))
	attached := statements{}
	first := gate(t, vuln.Config{Environment: environment("staging", nil), Source: vuln.Source{Location: dir}, Statements: attached})
	first.Begin(t.Context(), digest, []vuln.Binary{vuln.File("linux/amd64", called.build(t))})
	if err := first.Attach(t.Context(), "slipway/orders", digest); err != nil {
		t.Fatal(err)
	}
	// Another machine, which has neither a database nor the binary.
	second := gate(t, vuln.Config{Environment: environment("staging", nil), Statements: attached})
	if got := examine(t, second, false); got.OK || !strings.Contains(got.Detail, "GO-2021-0113") || !strings.Contains(got.Detail, "3 days old") {
		t.Errorf("check %+v; want what the first machine found", got)
	}
	if err := second.Attach(t.Context(), "slipway/orders", digest); err != nil || len(attached[digest]) != 1 {
		t.Errorf("%d reports are attached (%v); want the one", len(attached[digest]), err)
	}
	if err := second.Attach(t.Context(), "slipway/orders", "sha256:4567"); err != nil || len(attached) != 1 {
		t.Errorf("without a database: %v, attached %v; want nothing", err, attached)
	}
}
