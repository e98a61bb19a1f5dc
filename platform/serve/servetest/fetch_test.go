package servetest

import (
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
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

func decode(t *testing.T, text string) []byte {
	t.Helper()
	data, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestInstallIsWholeOrNothing(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "cache", "17")
	for range 2 { // the second finds the first one's result
		if err := install(decode(t, goodJar), dir); err != nil {
			t.Fatal(err)
		}
	}
	if !complete(filepath.Join(dir, "bin")) {
		t.Error("the programs are missing")
	}
	for name, text := range map[string]string{"link": linkJar, "dots": dotsJar, "cut off": goodJar[:len(goodJar)/8*4]} {
		root := t.TempDir()
		if err := install(decode(t, text), filepath.Join(root, "cache", "17")); err == nil {
			t.Errorf("%s: no error", name)
		}
		left, err := filepath.Glob(filepath.Join(root, "cache", "*"))
		if err != nil || len(left) != 0 {
			t.Errorf("%s: left %v, %v", name, left, err)
		}
	}
	if _, err := os.Lstat("/tmp/slipway-escaped"); err == nil {
		t.Error("an archive wrote outside its folder")
	}
}

func TestDownloadRefusesOtherContent(t *testing.T) {
	t.Parallel()
	repository := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "linux-arm64v8") {
			http.NotFound(w, r)
			return
		}
		_, _ = w.Write([]byte("something else"))
	}))
	defer repository.Close()
	for platform, want := range map[string]string{"linux/amd64": "SHA-256", "linux/arm64": "404"} {
		if _, err := download(t.Context(), repository.URL, builds()[platform]); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", platform, err, want)
		}
	}
}
