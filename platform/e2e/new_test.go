//go:build e2e

package e2e

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/wrapperspb"
)

// newService is the service that the test makes; the dash is the harder case.
const newService = "gift-cards"

// TestNew makes a service and uses it, with no edit by hand: each part builds
// on what the one before it left.
func TestNew(t *testing.T) {
	c := newCheckout(t)
	for _, part := range []struct {
		name string
		run  func(*testing.T)
	}{
		{"a plan writes nothing", c.newPlan},
		{"a name that is taken is refused", c.newTaken},
		{"new makes a service", c.newMade},
		{"it lints", func(t *testing.T) { c.mustMage(t, "lint", "--only=services/"+newService) }},
		{"it tests", func(t *testing.T) { c.mustMage(t, "test", "--only=services/"+newService) }},
		{"it stands alone, and nothing is left to generate", c.newStands},
		{"the repository's rules hold", c.newPolicy},
		{"up serves it", c.newServes},
		{"a migration that fails stops the rollout", c.failedMigration},
		{"down", func(t *testing.T) { c.mustMage(t, "down", "--purge") }},
	} {
		if !t.Run(part.name, func(t *testing.T) { part.run(t) }) {
			t.Fatalf("it ends at %q: what follows builds on it", part.name)
		}
	}
}

// changed lists what git sees as changed or new.
func (c *checkout) changed(t *testing.T) string {
	t.Helper()
	return c.run(t, c.Dir, "git", "status", "--porcelain", "--untracked-files=all").Stdout
}

func (c *checkout) newPlan(t *testing.T) {
	r := c.mustMage(t, "new", newService, "--team=checkout", "--plan")
	wantIn(t, "the plan", r.Stdout, "services/gift-cards/service.yaml", "slipway.giftcards.v1.GiftCardService", "/v1/giftCards*", ".github/CODEOWNERS")
	if changed := c.changed(t); changed != "" {
		t.Errorf("a plan changed files:\n%s", changed)
	}
}

func (c *checkout) newTaken(t *testing.T) {
	r := c.mage(t, "new", "catalog")
	if r.Code != 2 {
		t.Errorf("exit code %d, want 2", r.Code)
	}
	wantIn(t, "the refusal", r.Stderr, "services/catalog exists already", "next: go tool mage new")
	if changed := c.changed(t); changed != "" {
		t.Errorf("a refusal changed files:\n%s", changed)
	}
}

func (c *checkout) newMade(t *testing.T) {
	r := c.mustMage(t, "new", newService, "--team=checkout")
	changed := c.changed(t)
	for line := range strings.SplitSeq(strings.TrimSpace(changed), "\n") {
		if name := line[3:]; !strings.Contains(r.Stdout, name+"\n") {
			t.Errorf("new wrote %s and did not say so", name)
		}
	}
	wantIn(t, "what was written", changed, "services/gift-cards/go.mod", "proto/slipway/giftcards/v1/gift_cards_service.pb.gw.go", "go.work")
	c.git(t, "add", "-A")
	c.git(t, "-c", "user.name=walker", "-c", "user.email=walker@example.invalid", "commit", "-q", "-m", "services/gift-cards: begin")
}

func (c *checkout) newStands(t *testing.T) {
	for _, args := range [][]string{{"go", "build", "./..."}, {"go", "mod", "tidy", "-diff"}} {
		if r := c.with("GOWORK=off").run(t, c.path("services/"+newService), args...); r.Code != 0 {
			t.Errorf("%s: exit %d\n%s%s", strings.Join(args, " "), r.Code, r.Stdout, r.Stderr)
		}
	}
	c.mustMage(t, "gen", "--check")
}

// newPolicy wants no finding about the new service; what the rules have against
// others is for `mage test` to say.
func (c *checkout) newPolicy(t *testing.T) {
	r := c.run(t, c.path("platform/policy"), "go", "test", "-count=1", "-v", "-run=^Test(Imports|Sizes|Owners|ServiceParts|Methods|Migrations|Modules|Links|PackageComments|Mains)$", ".")
	wantIn(t, "the rules", r.Stdout, "=== RUN   TestImports", "=== RUN   TestOwners", "=== RUN   TestModules")
	if strings.Contains(r.Stdout, "gift") {
		t.Errorf("the rules have something against the new service:\n%s", r.Stdout)
	}
	wantIn(t, "the check of its schema", c.mustMage(t, "check:schema", newService).Stdout, "no release came before it")
}

func (c *checkout) newServes(t *testing.T) {
	c.mustMage(t, "up")
	c.bearer = c.token(t, newService+".read,"+newService+".write")
	made := c.rest(t, http.StatusOK, "POST", "/v1/giftCards?giftCardId=first", map[string]any{"title": "The first"})
	if got := c.rest(t, http.StatusOK, "GET", "/v1/giftCards/first", nil); got.text("title") != "The first" || got.text("uid") != made.text("uid") {
		t.Errorf("got %s", got.Raw)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 15*time.Second)
	defer cancel()
	// The generated client is in the copy, not in this program. On the wire a
	// request with a name is a message with one string, and so begins the answer.
	found := &wrapperspb.StringValue{}
	err := c.dial(t).Invoke(ctx, "/slipway.giftcards.v1.GiftCardService/GetGiftCard", wrapperspb.String("giftCards/first"), found)
	if err != nil || found.GetValue() != "giftCards/first" {
		t.Errorf("get by gRPC: %v, %v", found, err)
	}
	reader := *c
	reader.bearer = c.token(t, newService+".read")
	reader.rest(t, http.StatusForbidden, "POST", "/v1/giftCards", map[string]any{"title": "Mine"})
}

// failedMigration deploys a release whose migration divides by zero: it must
// say so, with the migration's own words, and leave what serves alone.
func (c *checkout) failedMigration(t *testing.T) {
	const script = "services/" + newService + "/internal/store/migrations/00002_broken.sql"
	c.write(t, script, "-- +goose Up\nALTER TABLE gift_cards ADD COLUMN lost text;\nSELECT 1 / 0;\n\n-- +goose Down\nSELECT 1;\n")
	before := describe(tasksOf(t, c.State, newService))
	r := c.mage(t, "deploy", "local", newService)
	if r.Code != 1 {
		t.Errorf("exit code %d, want 1 (failed)", r.Code)
	}
	wantIn(t, "the verdict", r.Stdout+r.Stderr, "the migration of release", "no traffic was moved",
		"00002_broken.sql", "division by zero", "next:")
	if after := describe(tasksOf(t, c.State, newService)); after != before || before == "" {
		t.Errorf("tasks were replaced:\n%s\nthen:\n%s", before, after)
	}
	if got := c.rest(t, http.StatusOK, "GET", "/v1/giftCards/first", nil); got.text("title") != "The first" {
		t.Errorf("got %s", got.Raw)
	}
	c.edit(t, script, "SELECT 1 / 0;\n", "")
	c.mustMage(t, "deploy", "local", newService) // the failed one left nothing in its way
	c.rest(t, http.StatusOK, "GET", "/v1/giftCards/first", nil)
}

// TestSchemaCheck changes the catalog's schema, once so that the release before
// goes on working and once so that it does not.
func TestSchemaCheck(t *testing.T) {
	c := newCheckout(t)
	c.write(t, "services/catalog/internal/store/migrations/00098_note.sql",
		"-- +goose Up\nSET lock_timeout = '5s';\nALTER TABLE products ADD COLUMN note text;\n\n-- +goose Down\nALTER TABLE products DROP COLUMN note;\n")
	r := c.mustMage(t, "check:schema", "catalog")
	wantIn(t, "the check", r.Stdout, "its tests pass", "rows that either writes are read by both")

	c.write(t, "services/catalog/internal/store/migrations/00099_rename.sql",
		"-- +goose Up\nALTER TABLE products RENAME COLUMN description TO text;\n\n-- +goose Down\nALTER TABLE products RENAME COLUMN text TO description;\n")
	r = c.mage(t, "check:schema", "catalog")
	if r.Code != 1 {
		t.Errorf("exit code %d, want 1", r.Code)
	}
	wantIn(t, "the check", r.Stderr, "00099_rename.sql breaks the release before it", "POST /v1/products?productId=replay-",
		`column \"description\"`, "next: edit services/catalog/internal/store/migrations/00099_rename.sql")
	if r := c.run(t, c.path("platform/policy"), "go", "test", "-count=1", "-run=TestMigrations", "."); r.Code == 0 {
		t.Error("the policy has nothing against a column that is renamed")
	} else {
		wantIn(t, "the policy", r.Stdout, "00099_rename.sql:2", "renames what the release before uses")
	}
}
