package vuln_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/slipway-dev/slipway/platform/kit/vuln"
)

// The tiny programs that the tests scan. Each says one line about the module
// golang.org/x/text, and about the standard library.
const (
	calling   = "package main\n\nimport \"golang.org/x/text/language\"\n\nfunc main() { _, _, err := language.ParseAcceptLanguage(\"de\"); println(err == nil) }\n"
	importing = "package main\n\nimport \"golang.org/x/text/language\"\n\nfunc main() { println(language.Make(\"de\").String()) }\n"
	requiring = "package main\n\nimport \"golang.org/x/text/width\"\n\nfunc main() { println(width.Fold.String(\"de\")) }\n"
)

const (
	oldText = "golang.org/x/text v0.3.5 h1:i6eZZ+zk0SOf0xgBpEpPD18qWcJda6q1sxt3S0kzyUQ=\ngolang.org/x/text v0.3.5/go.mod h1:5Zoc/QRtKVWzQhOtBMvqHzDpF6irO9z98xDceosuGiQ=\n"
	newText = "golang.org/x/text v0.3.7 h1:olpwvP2KacW1ZWvsR7uQhoyTYvKAupfQrRGBFM352Gk=\ngolang.org/x/text v0.3.7/go.mod h1:u+2+/6zg+i71rQMx5EYifcz6MCKuco9NR6JIITiCfzQ=\ngolang.org/x/tools v0.0.0-20180917221912-90fa682c2a6e/go.mod h1:n7NCudcB/nEzxVGmLbDWY5pfWTLqBcC2KZ6jyYvM4mQ=\n"
)

// program is a binary that is built once for all tests.
type program struct {
	source, version, sums string
	env, flags            []string

	once sync.Once
	path string
	err  string
}

var (
	called   = &program{source: calling, version: "v0.3.5", sums: oldText}
	imported = &program{source: importing, version: "v0.3.5", sums: oldText}
	required = &program{source: requiring, version: "v0.3.5", sums: oldText}
	fixed    = &program{source: calling, version: "v0.3.7", sums: newText}
	onMac    = &program{source: calling, version: "v0.3.5", sums: oldText, env: []string{"GOOS=darwin", "GOARCH=arm64"}}
	onARM    = &program{source: calling, version: "v0.3.5", sums: oldText, env: []string{"GOOS=linux", "GOARCH=arm64"}}
	whole    = &program{source: calling, version: "v0.3.5", sums: oldText, flags: []string{"-ldflags="}} // with symbols
)

// built is where the programs are; TestMain makes and removes it.
var built string

func TestMain(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "vuln-test-")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	built = dir
	code := m.Run()
	if err := goleak.Find(); code == 0 && err != nil {
		_, _ = os.Stderr.WriteString(err.Error() + "\n")
		return 1
	}
	return code
}

// build returns the program's path.
func (p *program) build(t *testing.T) string {
	t.Helper()
	p.once.Do(func() {
		dir, err := os.MkdirTemp(built, "tiny-") //nolint:usetesting // tests share it
		if err != nil {
			p.err = err.Error()
			return
		}
		write(t, filepath.Join(dir, "go.mod"), "module example.com/tiny\n\ngo 1.26.0\n\nrequire golang.org/x/text "+p.version+"\n")
		write(t, filepath.Join(dir, "go.sum"), p.sums)
		write(t, filepath.Join(dir, "main.go"), p.source)
		p.path = filepath.Join(dir, "tiny")
		args := append([]string{"build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-o", p.path}, p.flags...)
		cmd := exec.CommandContext(t.Context(), "go", args...)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), append([]string{"GOWORK=off", "GOFLAGS=-mod=mod", "CGO_ENABLED=0"}, p.env...)...)
		if out, err := cmd.CombinedOutput(); err != nil {
			p.err = err.Error() + "\n" + string(out)
		}
	})
	if p.err != "" {
		t.Fatal(p.err)
	}
	return p.path
}

// opened is a file, until the test ends.
func opened(t *testing.T, path string) *os.File {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = file.Close() })
	return file
}

// inventory takes stock of a binary.
func inventory(t *testing.T, path string) *vuln.Inventory {
	t.Helper()
	inv, err := vuln.ReadBinary(opened(t, path))
	if err != nil {
		t.Fatal(err)
	}
	return inv
}
