//go:build terraform

package tests

import (
	"archive/zip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/hashicorp/go-version"
)

// mirrorVariable names the folder with the providers, or holds "registry".
const mirrorVariable = "SLIPWAY_TERRAFORM_MIRROR"

// providerDir is where a mirror has the AWS provider's packages.
const providerDir = "registry.terraform.io/hashicorp/aws"

// unpacked returns a mirror with the newest AWS provider unpacked, which
// Terraform links to instead of copying hundreds of megabytes at each init.
// Source: Terraform CLI Documentation, "Provider Installation", unpacked layout.
var unpacked = sync.OnceValues(func() (string, error) {
	mirror := os.Getenv(mirrorVariable)
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	cache = filepath.Join(cache, "slipway", "terraform")
	if mirror == "" || mirror == "registry" {
		mirror = filepath.Join(cache, "registry")
		if err := fetch(mirror); err != nil {
			return "", err
		}
	}
	archive, err := newest(mirror)
	if err != nil {
		return "", err
	}
	name := strings.TrimSuffix(filepath.Base(archive), ".zip")
	parts := strings.Split(name, "_") // terraform-provider-aws_6.34.0_linux_amd64
	info, err := os.Stat(archive)
	if err != nil {
		return "", err
	}
	dir := filepath.Join(cache, fmt.Sprintf("%s-%d-%d", name, info.Size(), info.ModTime().Unix()))
	target := filepath.Join(dir, providerDir, parts[1], parts[2]+"_"+parts[3])
	if _, err := os.Stat(target); err == nil {
		return dir, nil
	}
	return dir, extract(archive, target)
})

// fetch takes the provider from Terraform's registry.
func fetch(mirror string) error {
	if _, err := newest(mirror); err == nil {
		return nil
	}
	if err := os.MkdirAll(mirror, 0o755); err != nil {
		return err
	}
	cmd := exec.Command("terraform", "-chdir="+filepath.Join(modulesDir, "network"), "providers", "mirror", "-platform="+runtime.GOOS+"_"+runtime.GOARCH, mirror)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("fetch the AWS provider: %w\n%s\nnext: set %s to a folder that has it", err, out, mirrorVariable)
	}
	return nil
}

// newest returns the package of the newest version for this machine.
func newest(mirror string) (string, error) {
	pattern := filepath.Join(mirror, providerDir, fmt.Sprintf("terraform-provider-aws_*_%s_%s.zip", runtime.GOOS, runtime.GOARCH))
	found, err := filepath.Glob(pattern)
	if err != nil || len(found) == 0 {
		return "", errors.Join(fmt.Errorf("there is no AWS provider for this machine: %s", pattern), err)
	}
	best, bestVersion := "", version.Must(version.NewVersion("0.0.0"))
	for _, file := range found {
		v, err := version.NewVersion(strings.Split(filepath.Base(file), "_")[1])
		if err == nil && v.GreaterThan(bestVersion) {
			best, bestVersion = file, v
		}
	}
	return best, nil
}

// extract unpacks an archive into a folder that is whole as soon as it is there.
func extract(archive, target string) error {
	reader, err := zip.OpenReader(archive)
	if err != nil {
		return fmt.Errorf("open the AWS provider: %w", err)
	}
	defer reader.Close()
	if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
		return err
	}
	partial, err := os.MkdirTemp(filepath.Dir(target), ".partial-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(partial)
	for _, file := range reader.File {
		if err := extractFile(file, filepath.Join(partial, filepath.Base(file.Name))); err != nil {
			return err
		}
	}
	if err := os.Rename(partial, target); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}

func extractFile(file *zip.File, name string) error {
	source, err := file.Open()
	if err != nil {
		return err
	}
	defer source.Close()
	out, err := os.OpenFile(name, os.O_CREATE|os.O_WRONLY|os.O_EXCL, 0o755)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, source)
	return errors.Join(err, out.Close())
}

// environment is that of every Terraform that the tests start: the provider as
// above, and credentials that no AWS account has.
func environment(t *testing.T) map[string]string {
	t.Helper()
	mirror, err := unpacked()
	if err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprintf("provider_installation {\n  filesystem_mirror {\n    path    = %q\n    include = [\"hashicorp/aws\"]\n  }\n}\n", mirror)
	config := filepath.Join(t.TempDir(), "terraform.rc")
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return map[string]string{
		"PATH": os.Getenv("PATH"), "HOME": os.Getenv("HOME"), "TF_CLI_CONFIG_FILE": config,
		"AWS_ACCESS_KEY_ID": "none", "AWS_SECRET_ACCESS_KEY": "none", "AWS_REGION": "eu-central-1", "AWS_EC2_METADATA_DISABLED": "true",
	}
}
