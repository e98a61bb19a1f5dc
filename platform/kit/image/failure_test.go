package image_test

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/slipway-dev/slipway/platform/kit/image"
)

func TestFailuresSayWhatWhyAndNext(t *testing.T) {
	cases := map[string]struct {
		spoil  func(t *testing.T, root string, c *image.Config)
		kind   image.Kind
		says   string
		output string
		next   string
	}{
		"compile error": {
			func(t *testing.T, root string, _ *image.Config) {
				write(t, filepath.Join(root, "tiny/cmd/tiny/main.go"), "package main\n\nfunc main() { undefined() }\n")
			},
			image.KindCompile, "build tiny for ", "cmd/tiny/main.go:3:15: undefined: undefined", "vet",
		},
		"no go command": {
			func(t *testing.T, _ string, _ *image.Config) { t.Setenv("PATH", t.TempDir()) },
			image.KindToolchain, "no go command on PATH", "", "go.dev/dl",
		},
		"go too old": {
			func(t *testing.T, root string, _ *image.Config) {
				t.Setenv("GOTOOLCHAIN", "local")
				write(t, filepath.Join(root, "tiny/go.mod"), strings.Replace(tiny["tiny/go.mod"], "1.26.0", "1.99.0", 1))
			},
			image.KindToolchain, "newer Go", "1.99.0", "GOTOOLCHAIN=auto",
		},
		"module that cannot be had": {
			func(t *testing.T, root string, _ *image.Config) {
				t.Setenv("GOPROXY", "off")
				write(t, filepath.Join(root, "tiny/go.mod"), tiny["tiny/go.mod"]+"\nrequire example.com/absent v1.0.0\n")
				write(t, filepath.Join(root, "tiny/cmd/tiny/main.go"), "package main\n\nimport _ \"example.com/absent\"\n\nfunc main() {}\n")
			},
			image.KindModule, "build tiny for ", "example.com/absent", "mod",
		},
		"nobody at the registry": {
			func(t *testing.T, _ string, c *image.Config) { c.Repository = closedPort(t) + "/slipway/tiny" },
			image.KindUnreachable, "connection refused", "", "go tool mage up",
		},
		"wrong credentials": {
			func(_ *testing.T, _ string, c *image.Config) {
				c.Credentials = func(context.Context) (string, string, error) { return "AWS", "old", nil }
			},
			image.KindUnauthorized, "refuses the credentials", "", "go tool mage up",
		},
		"no repository": {
			func(_ *testing.T, _ string, c *image.Config) {
				c.Repository = strings.Replace(c.Repository, "slipway/tiny", "slipway/other", 1)
			},
			image.KindRepository, "has no repository slipway/other", "", "go tool mage up",
		},
		"cache is a file": {
			func(t *testing.T, root string, c *image.Config) {
				c.CacheDir = filepath.Join(root, "file")
				if err := os.WriteFile(c.CacheDir, nil, 0o600); err != nil {
					t.Fatal(err)
				}
			},
			image.KindDisk, "not a directory", "", "ls",
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			root := checkout(t)
			c := pushing(t, root, serve(t))
			tc.spoil(t, root, &c)
			_, err := image.Build(t.Context(), c)
			var failure *image.Error
			if !errors.As(err, &failure) {
				t.Fatalf("err = %v", err)
			}
			if failure.Kind != tc.kind || !strings.Contains(failure.Error(), tc.says) ||
				!strings.Contains(failure.Output, tc.output) || !strings.Contains(failure.Next(), tc.next) {
				t.Errorf("kind %s\nerror %s\nnext %s", failure.Kind, failure, failure.Next())
			}
		})
	}
}

func closedPort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func TestCancelledBuildSaysSo(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	c := config(t, checkout(t))
	c.Describe = func(context.Context) (image.Description, error) {
		cancel()
		return image.Description{}, nil
	}
	if _, err := image.Build(ctx, c); !errors.Is(err, context.Canceled) {
		t.Errorf("err = %v", err)
	}
}

func TestConfigIsChecked(t *testing.T) {
	for name, spoil := range map[string]func(*image.Config){
		"service":     func(c *image.Config) { c.Service = "../x" },
		"dir":         func(c *image.Config) { c.Dir = "" },
		"cache":       func(c *image.Config) { c.CacheDir = "" },
		"none":        func(c *image.Config) { c.Platforms = nil },
		"twice":       func(c *image.Config) { c.Platforms = append(c.Platforms, c.Platforms[0]) },
		"platform":    func(c *image.Config) { c.Platforms = image.Platforms{{OS: "plan9", Arch: "mips"}} },
		"compression": func(c *image.Config) { c.Compression = "brotli" },
		"repository":  func(c *image.Config) { c.Repository = "UPPER case" },
	} {
		c := config(t, checkout(t))
		spoil(&c)
		if _, err := image.Build(t.Context(), c); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestPlatforms(t *testing.T) {
	p, err := image.ParsePlatform("linux/arm64")
	if err != nil || p.String() != "linux/arm64" {
		t.Errorf("parse = %v, %v", p, err)
	}
	if _, err := image.ParsePlatform("linux"); err == nil {
		t.Error("linux alone accepted")
	}
	all := image.Fargate().WithHost()
	if !all.Contains(image.Host()) || len(all.WithHost()) != len(all) {
		t.Errorf("with host: %s", all)
	}
}
