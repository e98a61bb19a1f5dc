package launch

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

// What the targets are compiled from: a module, and files at the root.
const (
	kitFolder = "platform/kit"
	ownPath   = "github.com/slipway-dev/slipway/"
)

// stampOf sums up what the targets are compiled from: names, sizes and times of
// files, the version of Go and its settings. As long as it stays the same the
// compiled program is good; asking the go command takes half a second. It is
// empty when that cannot be told, for the targets need more than one module.
func stampOf(root string, environ []string) string {
	kit := filepath.Join(root, filepath.FromSlash(kitFolder))
	if !standsAlone(filepath.Join(kit, "go.mod")) {
		return ""
	}
	sum := sha256.New()
	fmt.Fprintln(sum, runtime.Version(), root)
	for _, variable := range slices.Sorted(slices.Values(environ)) {
		if strings.HasPrefix(variable, "GO") || strings.HasPrefix(variable, "CGO") || strings.HasPrefix(variable, "MAGEFILE") {
			fmt.Fprintln(sum, variable)
		}
	}
	files, err := filepath.Glob(filepath.Join(root, "*.go"))
	if err != nil {
		return ""
	}
	for _, file := range append(files, filepath.Join(root, "go.work"), filepath.Join(root, "go.work.sum")) {
		if info, err := os.Stat(file); err == nil {
			add(sum, file, info)
		}
	}
	err = filepath.WalkDir(kit, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		info, err := os.Stat(path) // of what a link leads to
		if err != nil {
			return err
		}
		add(sum, path, info)
		return nil
	})
	if err != nil {
		return ""
	}
	return hex.EncodeToString(sum.Sum(nil))
}

func add(sum hash.Hash, path string, info fs.FileInfo) {
	fmt.Fprintln(sum, path, info.Size(), info.ModTime().UnixNano(), info.Mode())
}

// standsAlone reports whether a module needs no other of the checkout, and
// nothing but what the module cache holds, which never changes.
func standsAlone(goMod string) bool {
	content, err := os.ReadFile(goMod)
	if err != nil {
		return false
	}
	for line := range strings.Lines(string(content)) {
		word, _, _ := strings.Cut(strings.TrimSpace(line), " ")
		own := strings.Contains(line, ownPath) && word != "module" && word != "tool"
		if own || word == "replace" {
			return false
		}
	}
	return true
}

// isFresh reports whether the program in dir was compiled from what stamp sums
// up; keep writes down that it was, or with an empty stamp that it may not be.
func isFresh(dir, stamp string) bool {
	have, err := os.ReadFile(filepath.Join(dir, stampFile))
	return err == nil && stamp != "" && string(have) == stamp && isFile(filepath.Join(dir, programFile))
}

// What a folder of compiled targets holds.
const (
	programFile = "mage"
	stampFile   = "stamp"
)

func keep(dir, stamp string) error {
	if err := os.WriteFile(filepath.Join(dir, stampFile), []byte(stamp), 0o600); err != nil {
		return fmt.Errorf("note what the targets were compiled from: %w", err)
	}
	return nil
}
