package postgres

import (
	"archive/zip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"time"

	embeddedpostgres "github.com/fergusstrange/embedded-postgres"
)

// FetchedVersion is the server that is fetched where none is installed.
const FetchedVersion = "17.11.0"

// RepositoryVariable names another Maven repository to fetch the server from.
const RepositoryVariable = "SLIPWAY_MAVEN_URL"

const artifactName = "io.zonky.test.postgres:embedded-postgres-binaries"

// artifact is one platform's build of the server, made by the project
// zonkyio/embedded-postgres-binaries from PostgreSQL's own sources.
type artifact struct{ name, sha256 string }

// artifacts lists the builds of FetchedVersion by GOOS/GOARCH. The checksums
// are pinned here, so that a repository cannot hand out another program.
var artifacts = map[string]artifact{
	"linux/amd64":  {"linux-amd64", "0dd7b72b6f335b8ecfb355fa24c5781e8a93edd09880bb77eb52ebbf29b3e96d"},
	"linux/arm64":  {"linux-arm64v8", "8b042e0ea418b1927d95399207950da0734d27fe01e29503ade3bdc464ad4c2b"},
	"darwin/amd64": {"darwin-amd64", "d464ff178e9860ba204662ac23fa547504b7fd392392ff2fb92e3fd73b5bdb64"},
	"darwin/arm64": {"darwin-arm64v8", "a1c2786acb0c398f9b2d76806fc52f5dc8b222cbc8e9383a9b9702084daaf3a5"},
}

// Progress hears how many bytes of how many are here; total is -1 when the
// repository does not say.
type Progress func(done, total int64)

// Fetched returns the server in the cache, if it was fetched before.
func Fetched(ctx context.Context, cacheDir string) (Installation, bool) {
	i, err := inspect(ctx, filepath.Join(fetchedDir(cacheDir), "bin"))
	i.Fetched = true
	return i, err == nil
}

func fetchedDir(cacheDir string) string {
	return filepath.Join(cacheDir, "postgres", FetchedVersion+"-"+runtime.GOOS+"-"+runtime.GOARCH)
}

// Fetch returns the server in the cache, and downloads it first if need be. A
// file with another checksum than the pinned one is refused.
func Fetch(ctx context.Context, cacheDir string, progress Progress) (Installation, error) {
	if i, ok := Fetched(ctx, cacheDir); ok {
		return i, nil
	}
	art, ok := artifacts[runtime.GOOS+"/"+runtime.GOARCH]
	if !ok {
		return Installation{}, fmt.Errorf("fetch PostgreSQL: there is no build for %s/%s", runtime.GOOS, runtime.GOARCH)
	}
	dir := fetchedDir(cacheDir)
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil { //nolint:gosec // the server's user walks through
		return Installation{}, fmt.Errorf("fetch PostgreSQL: %w", err)
	}
	jar, err := download(ctx, art, filepath.Dir(dir), progress)
	if err != nil {
		return Installation{}, fmt.Errorf("fetch PostgreSQL %s: %w", FetchedVersion, err)
	}
	defer func() { _ = os.Remove(jar) }() // it is in the cache, where it harms nobody
	if err := install(jar, dir); err != nil {
		return Installation{}, fmt.Errorf("unpack PostgreSQL %s: %w", FetchedVersion, err)
	}
	i, err := inspect(ctx, filepath.Join(dir, "bin"))
	i.Fetched = true
	return i, err
}

func (a artifact) url() string {
	base := repository()
	if other := os.Getenv(RepositoryVariable); other != "" {
		base = strings.TrimRight(other, "/")
	}
	name := "embedded-postgres-binaries-" + a.name
	return fmt.Sprintf("%s/io/zonky/test/postgres/%s/%s/%s-%s.jar", base, name, FetchedVersion, name, FetchedVersion)
}

// repository is the Maven repository that embedded-postgres fetches from by
// itself. The library offers no way to ask for it, or to fetch without making
// and starting a server at once, as the present user; hence the look inside.
func repository() string {
	return reflect.ValueOf(embeddedpostgres.DefaultConfig()).FieldByName("binaryRepositoryURL").String()
}

// download writes the artifact to a temporary file in dir and verifies it.
func download(ctx context.Context, a artifact, dir string, progress Progress) (path string, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, a.url(), nil)
	if err != nil {
		return "", err
	}
	client := &http.Client{Transport: &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		ResponseHeaderTimeout: time.Minute,
		DisableKeepAlives:     true,
	}}
	resp, err := client.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return "", fmt.Errorf("get %s: %s", a.url(), resp.Status)
	}
	file, err := os.CreateTemp(dir, "download-*.jar")
	if err != nil {
		return "", err
	}
	defer func() {
		if err = errors.Join(err, file.Close()); err != nil {
			_ = os.Remove(file.Name())
		}
	}()
	hash := sha256.New()
	count := &counter{total: resp.ContentLength, progress: progress}
	if _, err := io.Copy(io.MultiWriter(file, hash, count), resp.Body); err != nil {
		return "", fmt.Errorf("get %s: %w", a.url(), err)
	}
	if got := hex.EncodeToString(hash.Sum(nil)); got != a.sha256 {
		return "", fmt.Errorf("verify %s: its SHA-256 is %s, want %s", a.url(), got, a.sha256)
	}
	return file.Name(), nil
}

type counter struct {
	done, total int64
	progress    Progress
}

func (c *counter) Write(p []byte) (int, error) {
	c.done += int64(len(p))
	if c.progress != nil {
		c.progress(c.done, c.total)
	}
	return len(p), nil
}

// install unpacks the archive within the jar beside dir, then renames, so that
// dir is whole or not there.
func install(jar, dir string) error {
	archive, err := zip.OpenReader(jar)
	if err != nil {
		return err
	}
	defer func() { _ = archive.Close() }() // only read
	for _, f := range archive.File {
		if !strings.HasSuffix(f.Name, ".txz") {
			continue
		}
		tmp, err := os.MkdirTemp(filepath.Dir(dir), "unpack-*")
		if err != nil {
			return err
		}
		defer func() { _ = os.RemoveAll(tmp) }()     // gone already when all went well
		if err := os.Chmod(tmp, 0o755); err != nil { //nolint:gosec // programs for any user
			return err
		}
		content, err := f.Open()
		if err != nil {
			return err
		}
		defer content.Close()
		if err := untar(content, tmp); err != nil {
			return err
		}
		if err := os.RemoveAll(dir); err != nil {
			return err
		}
		return os.Rename(tmp, dir)
	}
	return errors.New("the file holds no .txz archive")
}
