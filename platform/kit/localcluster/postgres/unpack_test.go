package postgres

import (
	"encoding/base64"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// Archives of the form the repository serves: a zip that holds a tar.xz.
const (
	// goodJar holds bin/initdb, bin/postgres and the link lib/a.so.
	goodJar = "UEsDBBQAAAAAAAAAIQA3HqyB2AAAANgAAAAFAAAAeC50eHr9N3pYWgAABObWtEYCACEBHAAAABDPWMzgJ/8Al10AMRpKGw7VMPJbG4TvKH22dFOvKw1cB3lMcD9gxCPQyjqdgTITSXs5L8lV0x4oTYoQix+/IVJ4mgTrA0iCUYCI/vQOuShkw/98+ocEUg7V+2KbCrlqmuu1V2wjweaACGp1vEhTsVCVRiLGEPhtLqdlqfNGGToqhjvqo+DR55Np0H/S/nEAJFxx2h5K4lwFCAk3XLgoBQmLAAAATlyKtxKHEeIAAbMBgFAAAD0EjuOxxGf7AgAAAAAEWVpQSwECFAMUAAAAAAAAACEANx6sgdgAAADYAAAABQAAAAAAAAAAAAAAgAEAAAAAeC50eHpQSwUGAAAAAAEAAQAzAAAA+wAAAAAA"
	// linkJar holds the link "out" to / and the file out/tmp/slipway-escaped.
	linkJar = "UEsDBBQAAAAAAAAAIQBNnBsGvAAAALwAAAAFAAAAeC50eHr9N3pYWgAABObWtEYCACEBHAAAABDPWMzgJ/8AfF0AN51KzZ5BsCOOncuhx7mnRvKBASw34suaptdyOSPTvWN5pxLyj5naP0zl/XveO874Ml/qfFlATpcI2nnELsKpF88lkLWm9LfLggH9qz3xPigH7En0hDkCqSPPrfkK7hTabhIdahLHgMw2CbuClZKtZSKwIyW36m1m3JAUAADjVSjNubnymgABmAGAUAAAyPHljrHEZ/sCAAAAAARZWlBLAQIUAxQAAAAAAAAAIQBNnBsGvAAAALwAAAAFAAAAAAAAAAAAAACAAQAAAAB4LnR4elBLBQYAAAAAAQABADMAAADfAAAAAAA="
	// dotsJar holds the file ../slipway-escaped.
	dotsJar = "UEsDBBQAAAAAAAAAIQANgeHnqAAAAKgAAAAFAAAAeC50eHr9N3pYWgAABObWtEYCACEBHAAAABDPWMzgJ/8AZl0AF2C45mwz243SDRDZ/a0k/Xt+NVuhslYb4Ulg82t1RkgddbhyXYXLtvixwzj6CxzCJbyVpUx8gF3CGuncb18zVLWTxa/ulZyLQRzSSJ/tPAKSlU2Y1EjTtuoEwX6FgpMHpWC6naUAAAAAo7rl4A1u+VYAAYIBgFAAADXQqCyxxGf7AgAAAAAEWVpQSwECFAMUAAAAAAAAACEADYHh56gAAACoAAAABQAAAAAAAAAAAAAAgAEAAAAAeC50eHpQSwUGAAAAAAEAAQAzAAAAywAAAAAA"
)

// jar writes an archive to a file.
func jar(t *testing.T, text string) string {
	t.Helper()
	data, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "x.jar")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestInstallIsWholeOrNothing(t *testing.T) {
	t.Parallel()
	dir := place(t)
	for range 2 { // the second finds the first one's result
		if err := install(jar(t, goodJar), dir); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"initdb", "postgres"} {
		if _, err := exec.LookPath(filepath.Join(dir, "bin", name)); err != nil {
			t.Error(err)
		}
	}
	for name, text := range map[string]string{"link": linkJar, "dots": dotsJar, "cut off": goodJar[:len(goodJar)/8*4]} {
		dir := place(t)
		if err := install(jar(t, text), dir); err == nil {
			t.Errorf("%s: no error", name)
		}
		left, err := filepath.Glob(filepath.Join(filepath.Dir(dir), "*"))
		if err != nil || len(left) != 0 {
			t.Errorf("%s: left %v, %v", name, left, err)
		}
	}
	if _, err := os.Lstat("/tmp/slipway-escaped"); err == nil {
		t.Error("an archive wrote outside its folder")
	}
}

// place is where a server is to be unpacked, in a folder that exists.
func place(t *testing.T) string {
	t.Helper()
	cache := filepath.Join(t.TempDir(), "cache")
	if err := os.Mkdir(cache, 0o755); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(cache, "17")
}
