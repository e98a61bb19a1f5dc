package vuln_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/slipway-dev/slipway/platform/kit/image"
	"github.com/slipway-dev/slipway/platform/kit/vuln"
)

// TestServices scans the repository's own services, built as releases are,
// with entries of every kind about what they are known to use.
func TestServices(t *testing.T) {
	t.Parallel()
	about := func(id, module, fixed, pkg string, symbols ...string) advisory {
		return advisory{id: id, cve: "CVE-2026-1" + id[len("GO-2026-"):], module: module, fixed: fixed, pkg: pkg, symbols: symbols}
	}
	dir := folder(t, files(t, written,
		about("GO-2026-0001", "google.golang.org/grpc", "1.999.0", "google.golang.org/grpc", "Server.Serve"),
		about("GO-2026-0002", "google.golang.org/grpc", "1.2.0", "google.golang.org/grpc", "Server.Serve"), // long mended
		about("GO-2026-0003", "stdlib", "1.99.0", "net/http", "Server.Serve"),
		about("GO-2026-0004", "google.golang.org/grpc", "1.999.0", "google.golang.org/grpc", "NoSuchFunction"),
		about("GO-2026-0005", "google.golang.org/grpc", "1.999.0", "google.golang.org/grpc/xds", "NewGRPCServer"),
		// A module whose path begins like a symbol of the compiler.
		about("GO-2026-0006", "go.opentelemetry.io/otel/sdk", "1.999.0", "go.opentelemetry.io/otel/sdk/trace", "TracerProvider.Shutdown"),
		about("GO-2026-0007", "example.com/unused", "", "", "F"),
	))
	services, err := os.ReadDir(filepath.Join("..", "..", "..", "services"))
	if err != nil {
		t.Fatal(err)
	}
	cache, scanned := t.TempDir(), 0
	for _, folder := range services {
		service := folder.Name()
		module := filepath.Join("..", "..", "..", "services", service)
		if _, err := os.Stat(filepath.Join(module, "go.mod")); err != nil {
			continue
		}
		made, err := image.Build(t.Context(), image.Config{Service: service, Dir: module, Platforms: image.Platforms{image.Host()}, CacheDir: cache})
		if err != nil {
			t.Fatal(err)
		}
		findings, err := open(t, dir).Scan(t.Context(), opened(t, made.Images[0].Binary))
		if err != nil {
			t.Fatal(err)
		}
		levels := map[string]vuln.Level{}
		for _, f := range findings {
			levels[f.ID] = f.Level
		}
		want := map[string]vuln.Level{
			"GO-2026-0001": vuln.Called, "GO-2026-0003": vuln.Called, "GO-2026-0004": vuln.Imported,
			"GO-2026-0005": vuln.Required, "GO-2026-0006": vuln.Called,
		}
		if diff := cmp.Diff(want, levels); diff != "" {
			t.Errorf("%s (-want +got):\n%s", service, diff)
		}
		scanned++
	}
	if scanned < 3 {
		t.Errorf("%d services were scanned; want all", scanned)
	}
}
