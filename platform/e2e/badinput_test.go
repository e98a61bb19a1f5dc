//go:build e2e

package e2e

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// with returns the checkout with environment variables added.
func (c *checkout) with(variables ...string) *checkout {
	changed := *c
	changed.env = append(append([]string(nil), c.env...), variables...)
	return &changed
}

// wantRefusal runs `up` and wants one clear error: the code, the parts of the
// text, a next step, and nothing left running.
func (c *checkout) wantRefusal(t *testing.T, code int, parts ...string) {
	t.Helper()
	r := c.mage(t, "up")
	if r.Code != code {
		t.Errorf("exit code %d, want %d", r.Code, code)
	}
	wantIn(t, "the error", r.Stderr, append(parts, "next: ")...)
	if n := strings.Count(r.Stderr, "Error: "); n != 1 {
		t.Errorf("%d errors were printed, want 1:\n%s", n, r.Stderr)
	}
	for _, noise := range []string{"panic", "goroutine "} {
		if strings.Contains(r.Stderr, noise) {
			t.Errorf("the error has %q in it:\n%s", noise, r.Stderr)
		}
	}
	if left := processesOf(t, c.State); len(left) > 0 {
		t.Errorf("left running:\n%s", describe(left))
	}
}

const manifestFile = "services/catalog/service.yaml"

// TestBadInput wants each mistake told in one error that helps, before
// anything is started, and everything as it was once the mistake is mended.
func TestBadInput(t *testing.T) {
	c := newCheckout(t)
	sound := c.read(t, manifestFile)
	t.Run("an unknown key in a manifest", func(t *testing.T) {
		defer c.write(t, manifestFile, sound)
		c.write(t, manifestFile, sound+"\nreplicas: 3\n")
		c.wantRefusal(t, 2, manifestFile+":", "replicas")
	})
	t.Run("two services that claim a route", func(t *testing.T) {
		const other = "services/basket/service.yaml"
		defer os.RemoveAll(c.path("services/basket"))
		c.write(t, other, strings.Replace(sound, "name: catalog", "name: basket", 1))
		c.wantRefusal(t, 2, "/v1/products", "catalog", "basket")
	})
	t.Run("a size that Fargate does not sell", func(t *testing.T) {
		defer c.write(t, manifestFile, sound)
		c.edit(t, manifestFile, "memory: 512", "memory: 5000")
		c.wantRefusal(t, 2, manifestFile+":", "5000", "512", "1024", "2048")
	})
	for name, port := range map[string]int{"gateway": c.Gateway, "aws": c.Endpoint, "postgres": c.Postgres} {
		t.Run("the "+name+" port is in use", func(t *testing.T) {
			l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			c.wantRefusal(t, 1, fmt.Sprint(port), "ports."+name)
		})
	}
	t.Run("a state folder that cannot be written", func(t *testing.T) {
		c.with("SLIPWAY_STATE_DIR=/proc/slipway").wantRefusal(t, 1, "state folder", "/proc/slipway", "SLIPWAY_STATE_DIR")
	})
	t.Run("no room for the state", c.fullDisk)
	t.Run("no PostgreSQL to be had", func(t *testing.T) {
		c.with("SLIPWAY_POSTGRES_BIN=fetch", "SLIPWAY_MAVEN_URL=http://127.0.0.1:1", "SLIPWAY_CACHE_DIR="+t.TempDir()).
			wantRefusal(t, 1, "PostgreSQL", "apt-get install", "SLIPWAY_MAVEN_URL")
	})
	t.Run("a damaged state file", c.damagedState)
}

// fullDisk has a state folder without room: a file system of 64 KiB where one
// can be mounted, else a limit on the size of files.
func (c *checkout) fullDisk(t *testing.T) {
	small, err := os.MkdirTemp("", "slipway-small-*") //nolint:usetesting // t.TempDir is closed to other users
	if err != nil {
		t.Fatal(err)
	}
	defer os.Remove(small)
	if exec.Command("mount", "-t", "tmpfs", "-o", "size=64k,mode=755", "tmpfs", small).Run() == nil {
		defer func() { _ = exec.Command("umount", small).Run() }()
	} else if err := os.Chmod(small, 0o500); err != nil {
		t.Fatal(err)
	}
	full := c.with("SLIPWAY_STATE_DIR=" + filepath.Join(small, "state"))
	full.State = filepath.Join(small, "state")
	full.wantRefusal(t, 1, "SLIPWAY_STATE_DIR")
}

// damagedState breaks the state file, wants it told, and follows the advice.
func (c *checkout) damagedState(t *testing.T) {
	c.up(t)
	name := c.rest(t, http.StatusOK, "POST", "/v1/products", map[string]any{
		"title": "Kept", "sku": "KEPT", "price": price("1", 0),
	}).text("name")
	c.mustMage(t, "down")
	file := filepath.Join(c.State, "state.db")
	if err := os.WriteFile(file, []byte(strings.Repeat("not a database ", 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	c.wantRefusal(t, 1, file, "state.db.bak")
	r := c.mage(t, "up")
	_, advice, _ := strings.Cut(r.Stderr, "next: ")
	advice, _, _ = strings.Cut(advice, "\n")
	if !strings.Contains(advice, "state.db.bak") {
		t.Fatalf("the advice is %q", advice)
	}
	if r := c.run(t, c.Dir, "sh", "-c", advice); r.Code != 0 {
		t.Fatalf("the advice %q did not help: %s", advice, r.Stderr)
	}
	c.bearer = c.token(t, everything) // the copy may be older than the key that signed the last one
	if got := c.rest(t, http.StatusOK, "GET", "/v1/"+name, nil); got.text("title") != "Kept" {
		t.Errorf("after the repair: %s", got.Raw)
	}
}
