package servetest

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/xi2/xz"
)

// The server that is fetched where none is installed: builds of PostgreSQL's own
// sources by the project zonkyio/embedded-postgres-binaries, from a Maven
// repository. The embedded cluster uses the same build and the same folder.
const (
	fetchVersion     = "17.11.0"
	fetchMaximum     = 64 << 20 // bytes; the builds have about 15 MiB
	mavenCentral     = "https://repo1.maven.org/maven2"
	mavenURLVariable = "SLIPWAY_MAVEN_URL"
)

// build is one platform's artifact with its pinned checksum.
type build struct{ name, sha256 string }

func builds() map[string]build {
	return map[string]build{
		"linux/amd64":  {"linux-amd64", "0dd7b72b6f335b8ecfb355fa24c5781e8a93edd09880bb77eb52ebbf29b3e96d"},
		"linux/arm64":  {"linux-arm64v8", "8b042e0ea418b1927d95399207950da0734d27fe01e29503ade3bdc464ad4c2b"},
		"darwin/amd64": {"darwin-amd64", "d464ff178e9860ba204662ac23fa547504b7fd392392ff2fb92e3fd73b5bdb64"},
		"darwin/arm64": {"darwin-arm64v8", "a1c2786acb0c398f9b2d76806fc52f5dc8b222cbc8e9383a9b9702084daaf3a5"},
	}
}

// cacheDir is Slipway's cache. Root's own home is closed to the user PostgreSQL
// runs as, so root uses a folder all can read.
func cacheDir() (string, error) {
	if os.Geteuid() == 0 {
		return "/var/cache/slipway", nil
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("find cache folder: %w", err)
	}
	return filepath.Join(dir, "slipway"), nil
}

// fetched is the folder of the fetched server's programs.
func fetched(ctx context.Context) (string, error) {
	cache, err := cacheDir()
	if err != nil {
		return "", err
	}
	platform := runtime.GOOS + "/" + runtime.GOARCH
	dir := filepath.Join(cache, "postgres", fetchVersion+"-"+strings.ReplaceAll(platform, "/", "-"))
	if bin := filepath.Join(dir, "bin"); complete(bin) {
		return bin, nil
	}
	b, ok := builds()[platform]
	if !ok {
		return "", fmt.Errorf("there is no build for %s", platform)
	}
	base := mavenCentral
	if other := os.Getenv(mavenURLVariable); other != "" {
		base = strings.TrimRight(other, "/")
	}
	jar, err := download(ctx, base, b)
	if err != nil {
		return "", err
	}
	if err := install(jar, dir); err != nil {
		return "", fmt.Errorf("unpack postgres %s: %w", fetchVersion, err)
	}
	return filepath.Join(dir, "bin"), nil
}

// download gets the artifact and refuses any other content than the pinned one.
func download(ctx context.Context, base string, b build) ([]byte, error) {
	name := "embedded-postgres-binaries-" + b.name
	url := fmt.Sprintf("%s/io/zonky/test/postgres/%s/%s/%s-%s.jar", base, name, fetchVersion, name, fetchVersion)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody) //nolint:gosec // the user chose the repository
	if err != nil {
		return nil, fmt.Errorf("get %s: %w", url, err)
	}
	// Without keep-alive no connection outlives the call, which leak checks count.
	client := &http.Client{Transport: &http.Transport{Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true}}
	resp, err := client.Do(req) //nolint:gosec // likewise; the content is checked
	if err != nil {
		return nil, fmt.Errorf("get %s: %w", url, err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("get %s: %s", url, resp.Status)
	}
	data, err := io.ReadAll(io.LimitReader(resp.Body, fetchMaximum))
	if err != nil {
		return nil, fmt.Errorf("get %s: %w", url, err)
	}
	if sum := sha256.Sum256(data); hex.EncodeToString(sum[:]) != b.sha256 {
		return nil, fmt.Errorf("verify %s: its SHA-256 is %x, want %s", url, sum, b.sha256)
	}
	return data, nil
}

// install unpacks beside dir and renames, so that dir is whole or not there.
// Another process may be faster; its result is as good.
func install(jar []byte, dir string) error {
	archive, err := zip.NewReader(bytes.NewReader(jar), int64(len(jar)))
	if err != nil {
		return fmt.Errorf("read zip: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil { //nolint:gosec // the server's user walks through
		return fmt.Errorf("make cache folder: %w", err)
	}
	tmp, err := os.MkdirTemp(filepath.Dir(dir), "unpack-*")
	if err != nil {
		return fmt.Errorf("make cache folder: %w", err)
	}
	defer func() { _ = os.RemoveAll(tmp) }()
	if err := os.Chmod(tmp, 0o755); err != nil { //nolint:gosec // the server's user walks through
		return fmt.Errorf("open cache folder: %w", err)
	}
	names, err := fs.Glob(archive, "*.txz")
	if err != nil || len(names) != 1 {
		return fmt.Errorf("the file holds %d .txz archives, want one", len(names))
	}
	content, err := archive.Open(names[0])
	if err != nil {
		return fmt.Errorf("read zip: %w", err)
	}
	defer func() { _ = content.Close() }()
	if err := untar(content, tmp); err != nil {
		return err
	}
	if err := os.Rename(tmp, dir); err != nil && !complete(filepath.Join(dir, "bin")) {
		return fmt.Errorf("place server: %w", err)
	}
	return nil
}

// untar unpacks a tar.xz; os.Root keeps every name and link inside dir.
func untar(r io.Reader, dir string) error {
	plain, err := xz.NewReader(r, 0)
	if err != nil {
		return fmt.Errorf("read xz: %w", err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return fmt.Errorf("open %s: %w", dir, err)
	}
	defer func() { _ = root.Close() }()
	archive := tar.NewReader(plain)
	for {
		head, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read tar: %w", err)
		}
		if err := extract(root, head, archive); err != nil {
			return fmt.Errorf("unpack %s: %w", head.Name, err)
		}
	}
}

func extract(root *os.Root, head *tar.Header, content io.Reader) error {
	name := filepath.Clean(head.Name)
	if err := root.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err //nolint:wrapcheck // the caller names the entry
	}
	switch head.Typeflag {
	case tar.TypeDir:
		return root.MkdirAll(name, 0o755) //nolint:wrapcheck // as above
	case tar.TypeSymlink:
		return root.Symlink(head.Linkname, name) //nolint:wrapcheck // as above
	case tar.TypeReg:
		file, err := root.OpenFile(name, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o644|os.FileMode(head.Mode)&0o111) //nolint:gosec // a mode has few bits
		if err != nil {
			return err //nolint:wrapcheck // as above
		}
		_, err = io.Copy(file, content)
		return errors.Join(err, file.Close())
	default:
		return nil
	}
}
