package vuln_test

import (
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/slipway-dev/slipway/platform/kit/vuln"
)

// without returns files with one replaced, or removed by "".
func without(content map[string]string, name, text string) map[string]string {
	changed := maps.Clone(content)
	delete(changed, name)
	if text != "" {
		changed[name] = text
	}
	return changed
}

// scanError opens a database, scans and returns the first error.
func scanError(t *testing.T, s vuln.Source) error {
	t.Helper()
	db, err := vuln.Open(t.Context(), s)
	if err == nil {
		_, err = db.Scan(t.Context(), opened(t, called.build(t)))
	}
	return err
}

func TestDatabaseThatCannotBeUsed(t *testing.T) {
	t.Parallel()
	content := files(t, written, textAdvisory)
	refusing := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "not here", http.StatusForbidden)
	}))
	t.Cleanup(refusing.Close)
	portal := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte("<html>log in first</html>"))
	}))
	t.Cleanup(portal.Close)
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	truncated := zipped(t, content)
	if err := os.Truncate(truncated, 100); err != nil {
		t.Fatal(err)
	}
	cases := map[string]struct {
		location string
		damaged  bool
		want     string
	}{
		"no copy":            {"", false, "vulnerability database https://vuln.go.dev cannot be had: this machine has no copy of it"},
		"no folder":          {filepath.Join(t.TempDir(), "none"), false, "no such file"},
		"refused":            {refusing.URL, false, "403 Forbidden"},
		"nobody listens":     {gone.URL, false, "connection refused"},
		"a login page":       {portal.URL, true, "index/db.json does not say how old it is"},
		"empty folder":       {t.TempDir(), true, "it is no database in the format of vuln.go.dev"},
		"truncated zip file": {truncated, true, "not a valid zip file"},
		"no age":             {folder(t, without(content, "index/db.json", "{}")), true, "index/db.json does not say how old it is"},
		"no index":           {folder(t, without(content, "index/modules.json", "")), true, "it lacks its index"},
		"half an index":      {folder(t, without(content, "index/modules.json", `[{"path": "golang.org/x/te`)), true, "read index/modules.json"},
		"no entry":           {folder(t, without(content, "ID/GO-2021-0113.json", "")), true, "its index lists GO-2021-0113, which it lacks"},
		"half an entry":      {folder(t, without(content, "ID/GO-2021-0113.json", `{"id": "GO-20`)), true, "ID/GO-2021-0113.json is not that entry"},
		"another entry":      {folder(t, without(content, "ID/GO-2021-0113.json", `{"id": "GO-2021-0114"}`)), true, "ID/GO-2021-0113.json is not that entry"},
		"entry of nonsense":  {folder(t, without(content, "ID/GO-2021-0113.json", `{"id": "GO-2021-0113", "affected": 3}`)), true, "ID/GO-2021-0113.json is not that entry"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := scanError(t, vuln.Source{Location: tc.location, CacheDir: t.TempDir()})
			var failed *vuln.DatabaseError
			if !errors.As(err, &failed) || failed.Damaged != tc.damaged || !strings.Contains(err.Error(), tc.want) || failed.Next() != vuln.FetchCommand {
				t.Errorf("error %v (%#v); want damaged %t, %q, and how to get one", err, failed, tc.damaged, tc.want)
			}
		})
	}
}

// offering serves a database and the zip file of it.
func offering(t *testing.T, content map[string]string) string {
	t.Helper()
	dir := folder(t, content)
	archive := zipped(t, content)
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/vulndb.zip" {
			http.ServeFile(w, r, archive)
			return
		}
		http.FileServer(http.Dir(dir)).ServeHTTP(w, r)
	}))
	t.Cleanup(web.Close)
	return web.URL
}

func TestFetchedCopyStandsInForItsLocation(t *testing.T) {
	t.Parallel()
	var down atomic.Bool
	behind := offering(t, files(t, written, textAdvisory))
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if down.Load() {
			http.Error(w, "down", http.StatusServiceUnavailable)
			return
		}
		http.Redirect(w, r, behind+r.URL.Path, http.StatusFound)
	}))
	t.Cleanup(web.Close)
	source := vuln.Source{Location: web.URL, CacheDir: t.TempDir()}
	fetched, err := vuln.Fetch(t.Context(), source)
	if err != nil || !fetched.Modified.Equal(written) {
		t.Fatalf("fetched %+v, %v", fetched, err)
	}
	db, err := vuln.Open(t.Context(), source)
	if err != nil || db.Copied {
		t.Errorf("while it can be reached: %+v, %v; want the database itself", db, err)
	}
	down.Store(true)
	db, err = vuln.Open(t.Context(), source)
	if err != nil || !db.Copied || !db.Modified.Equal(written) {
		t.Fatalf("while it cannot be reached: %+v, %v; want the copy", db, err)
	}
	findings, err := db.Scan(t.Context(), opened(t, called.build(t)))
	if err != nil || len(findings) != 1 {
		t.Errorf("the copy tells %v, %v", findings, err)
	}
}

func TestFetchKeepsWhatItHasUntilThereIsBetter(t *testing.T) {
	t.Parallel()
	cache := t.TempDir()
	var answer atomic.Pointer[http.HandlerFunc]
	serve := func(h http.HandlerFunc) { answer.Store(&h) }
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { (*answer.Load())(w, r) }))
	t.Cleanup(web.Close)
	source := vuln.Source{Location: web.URL, CacheDir: cache}
	file := func(path string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, path) }
	}
	serve(file(zipped(t, files(t, written, textAdvisory))))
	if _, err := vuln.Fetch(t.Context(), source); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		answer  http.HandlerFunc
		damaged bool
		want    string
	}{
		"proxy refuses": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusProxyAuthRequired) }, false, "407"},
		"login page":    {func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) }, true, "not a valid zip file"},
		"broken off": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1000")
			_, _ = w.Write([]byte("PK"))
		}, false, "unexpected EOF"},
		"no index": {file(zipped(t, without(files(t, written), "index/modules.json", ""))), true, "it lacks its index"},
	} {
		serve(tc.answer)
		_, err := vuln.Fetch(t.Context(), source)
		var failed *vuln.DatabaseError
		if !errors.As(err, &failed) || failed.Damaged != tc.damaged || !strings.Contains(err.Error(), tc.want) || failed.Next() == "" {
			t.Errorf("%s: error %v; want %q and a next step", name, err, tc.want)
		}
		serve(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) })
		if db, err := vuln.Open(t.Context(), source); err != nil || !db.Modified.Equal(written) {
			t.Errorf("%s: the copy before it is lost: %v", name, err)
		}
	}
	newer := written.Add(24 * time.Hour)
	serve(file(zipped(t, files(t, newer, textAdvisory))))
	if db, err := vuln.Fetch(t.Context(), source); err != nil || !db.Modified.Equal(newer) {
		t.Errorf("fetched %+v, %v; want the newer one", db, err)
	}
	left, err := filepath.Glob(filepath.Join(cache, "vuln", "*"))
	if err != nil || len(left) != 1 {
		t.Errorf("the cache has %v; want the one copy", left)
	}
}

func TestFetchOfAFolderMakesNoSense(t *testing.T) {
	t.Parallel()
	_, err := vuln.Fetch(t.Context(), vuln.Source{Location: "/srv/vulndb", CacheDir: t.TempDir()})
	if err == nil || !strings.Contains(err.Error(), "no URL") {
		t.Errorf("error %v; want one that says there is nothing to fetch", err)
	}
}
