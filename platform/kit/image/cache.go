package image

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/jonboulle/clockwork"
	"golang.org/x/sys/unix"
)

// keepLayers is how many compressed layers stay per service and platform:
// enough to go back and forth between branches.
const keepLayers = 6

// lockPoll is how often a build waiting for another one looks again.
const lockPoll = 50 * time.Millisecond

// cache is the folder of one service of one checkout:
//
//	SERVICE-CHECKOUT/OS-ARCH/bin/SERVICE     the binary, kept so that go build links only when needed
//	SERVICE-CHECKOUT/OS-ARCH/layers/KEY.*    compressed layers by what went into them
//	base/KEY.*                               base layers, shared
//
// Everything in it can be deleted at any time between builds.
type cache struct {
	own, base string
	service   string
	clock     clockwork.Clock
}

func newCache(root, dir, service string, clock clockwork.Clock) cache {
	sum := sha256.Sum256([]byte(dir))
	return cache{
		own:     filepath.Join(root, "image", service+"-"+hex.EncodeToString(sum[:6])),
		base:    filepath.Join(root, "image", "base"),
		service: service,
		clock:   clock,
	}
}

func (c cache) platform(p Platform) string { return filepath.Join(c.own, p.OS+"-"+p.Arch) }

func (c cache) binary(p Platform) string { return filepath.Join(c.platform(p), "bin", c.service) }

// lock keeps two builds of the same service of the same checkout from writing
// one binary at the same time. The kernel releases it when the process ends.
func (c cache) lock(ctx context.Context) (unlock func(), err error) {
	if err := os.MkdirAll(c.own, 0o750); err != nil {
		return nil, &Error{Kind: KindDisk, What: "open build cache", Why: err.Error(), NextStep: "ls -ld " + filepath.Dir(c.own), Err: err}
	}
	file, err := os.OpenFile(filepath.Join(c.own, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, &Error{Kind: KindDisk, What: "open build cache", Why: err.Error(), NextStep: "ls -ld " + c.own, Err: err}
	}
	for {
		err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return func() { _ = file.Close() }, nil
		}
		if !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR) {
			return nil, errors.Join(fmt.Errorf("lock build cache: %w", err), file.Close())
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(context.Cause(ctx), file.Close())
		case <-c.clock.After(lockPoll):
		}
	}
}

// meta is what a manifest needs to know of a layer.
type meta struct {
	MediaType string  `json:"mediaType"`
	Digest    v1.Hash `json:"digest"`
	DiffID    v1.Hash `json:"diffID"`
	Size      int64   `json:"size"`
	// Bytes is the size of the binary in the layer; 0 for a base layer.
	Bytes int64 `json:"bytes"`
}

// layerFor returns the layer stored under key, writing it with the given
// function if it is not there. A layer's file gets its name last, so a
// description always has its content.
func layerFor(dir, key string, compression Compression, write func(io.Writer) (int64, error)) (*layer, error) {
	description := filepath.Join(dir, key+".json")
	content := filepath.Join(dir, key+".layer")
	if stored, ok := readMeta(description); ok {
		if info, err := os.Stat(content); err == nil && info.Size() == stored.Size {
			return &layer{meta: stored, path: content, cached: true}, nil
		}
	}
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return nil, fmt.Errorf("make cache folder: %w", err)
	}
	file, err := os.CreateTemp(dir, "new-*")
	if err != nil {
		return nil, fmt.Errorf("create layer: %w", err)
	}
	defer func() { _ = os.Remove(file.Name()) }() // gone already after a success
	m, err := compression.pack(file, write)
	if err := errors.Join(err, file.Close()); err != nil {
		return nil, fmt.Errorf("write layer: %w", err)
	}
	text, err := json.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("encode layer description: %w", err)
	}
	if err := os.Rename(file.Name(), content); err != nil {
		return nil, fmt.Errorf("keep layer: %w", err)
	}
	if err := os.WriteFile(description, text, 0o600); err != nil {
		return nil, fmt.Errorf("describe layer: %w", err)
	}
	return &layer{meta: m, path: content}, nil
}

func readMeta(path string) (meta, bool) {
	var m meta
	text, err := os.ReadFile(path)
	return m, err == nil && json.Unmarshal(text, &m) == nil
}

// prune deletes all but the layers used last.
func prune(dir string, keep int) {
	entries, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil || len(entries) <= keep {
		return
	}
	used := func(path string) time.Time {
		info, err := os.Stat(path)
		if err != nil {
			return time.Time{}
		}
		return info.ModTime()
	}
	sort.Slice(entries, func(i, j int) bool { return used(entries[i]).After(used(entries[j])) })
	for _, entry := range entries[keep:] {
		_ = os.Remove(entry)
		_ = os.Remove(strings.TrimSuffix(entry, ".json") + ".layer")
	}
}
