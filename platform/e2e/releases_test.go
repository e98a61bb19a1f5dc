//go:build e2e

package e2e

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// entry is the catalog's main program.
const entry = "services/catalog/cmd/catalog/main.go"

// releases pushes releases of the catalog without rolling them out.
type releases struct {
	*strategies

	ref map[string]string // version of each release, by name
}

// push builds and pushes what is in the checkout, and remembers it by name.
func (r *releases) push(t *testing.T, name string) {
	t.Helper()
	out := r.mustMage(t, "deploy", "local", "catalog", "--plan", "--json").Stdout
	var plan struct{ To struct{ Release string } }
	data(t, out, "plan", &plan)
	if plan.To.Release == "" {
		t.Fatalf("no plan in\n%s", out)
	}
	r.ref[name] = plan.To.Release
}

// pushWith pushes a release with a file changed.
func (r *releases) pushWith(t *testing.T, name, file, from, to string) {
	t.Helper()
	sound := r.read(t, file)
	r.edit(t, file, "\t\"context\"\n", "\t\"context\"\n\t\"errors\"\n", from, to)
	r.push(t, name)
	r.write(t, file, sound)
}

func (r *releases) remove(t *testing.T, name string) {
	t.Helper()
	if err := os.Remove(r.path(name)); err != nil {
		t.Fatal(err)
	}
}

// digest asks the registry for a release's digest.
func (r *releases) digest(t *testing.T, release string) string {
	t.Helper()
	var found struct{ Digest string }
	r.data(t, &found, "release", "local", "catalog", "--release="+r.ref[release])
	return found.Digest
}

// forge takes a release's evidence away and has somebody else sign it.
func (r *releases) forge(t *testing.T, release string) {
	t.Helper()
	var found struct{ Reference string }
	r.data(t, &found, "release", "local", "catalog", "--release="+release)
	digest, err := name.NewDigest(found.Reference)
	if err != nil {
		t.Fatal(err)
	}
	login := remote.WithAuth(&authn.Basic{Username: "AWS", Password: strings.TrimSpace(r.aws(t, nil, "ecr", "get-login-password"))})
	index, err := remote.Referrers(digest, login)
	if err != nil {
		t.Fatal(err)
	}
	list, err := index.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range list.Manifests {
		if err := remote.Delete(digest.Digest(m.Digest.String()), login); err != nil {
			t.Fatal(err)
		}
	}
	own, aside := filepath.Join(r.State, "signing"), filepath.Join(r.State, "signing-aside")
	if err := os.Rename(own, aside); err != nil {
		t.Fatal(err)
	}
	r.mustMage(t, "sign", "local", "catalog", "--release="+release)
	if err := os.RemoveAll(own); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(aside, own); err != nil {
		t.Fatal(err)
	}
}

// databaseSecret is what the catalog's tasks log in to PostgreSQL with.
const databaseSecret = "slipway/local/catalog/database"

func (o *outcomes) hideSecret(t *testing.T) {
	o.aws(t, nil, "secretsmanager", "delete-secret", "--secret-id", databaseSecret)
}

func (o *outcomes) restoreSecret(t *testing.T) {
	o.aws(t, nil, "secretsmanager", "restore-secret", "--secret-id", databaseSecret)
}

// data runs a command and reads the data of its result.
func (c *checkout) data(t *testing.T, into any, args ...string) {
	t.Helper()
	data(t, c.mustMage(t, append(args, "--json")...).Stdout, "", into)
}

// data finds the result of a kind, or any, among events and reads its data.
func data(t *testing.T, events, kind string, into any) {
	t.Helper()
	for line := range strings.Lines(events) {
		var event struct {
			Type string
			Data struct {
				Kind string
				Data json.RawMessage
			}
		}
		if json.Unmarshal([]byte(line), &event) != nil || event.Type != "result" || kind != "" && event.Data.Kind != kind {
			continue
		}
		if err := json.Unmarshal(event.Data.Data, into); err != nil {
			t.Fatalf("%v in %s", err, line)
		}
		return
	}
	t.Fatalf("no result in\n%s", events)
}
