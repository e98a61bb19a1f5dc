package rootfs

import (
	"archive/tar"
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
)

// partial begins the names of folders that are being unpacked.
const partial = ".partial-"

// unpackOnce unpacks the image into dir unless it is there. The folder appears
// whole or not at all: it is filled under another name.
func (s *Store) unpackOnce(img v1.Image, dir string) error {
	if s.touch(dir) {
		return nil
	}
	tmp, err := os.MkdirTemp(s.cfg.Dir, partial)
	if err != nil {
		return fmt.Errorf("make folder for image: %w", err)
	}
	if err := fill(tmp, img); err != nil {
		return errors.Join(fmt.Errorf("unpack image: %w", err), remove(tmp))
	}
	if err := os.Rename(tmp, dir); err != nil {
		return errors.Join(fmt.Errorf("unpack image: %w", err), remove(tmp))
	}
	return nil
}

// touch reports whether the image is unpacked, and marks it as used just now.
func (s *Store) touch(dir string) bool {
	now := s.cfg.Clock.Now()
	return os.Chtimes(dir, now, now) == nil
}

// fill writes the image's flattened files below dir and then makes the folders
// read-only. os.Root refuses every path that leads out of dir.
func fill(dir string, img v1.Image) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	files := mutate.Extract(img)
	defer files.Close()
	r := tar.NewReader(files)
	var folders []string
	for {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		if err := place(root, r, h); err != nil {
			return fmt.Errorf("%s: %w", h.Name, err)
		}
	}
	err = filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			folders = append(folders, p)
		}
		return err
	})
	if err != nil {
		return err
	}
	for _, p := range folders {
		// Not the root itself: some systems let only a writable folder be renamed.
		if p == dir {
			err = os.Chmod(p, 0o755) //nolint:gosec // for every task's user
		} else {
			err = os.Chmod(p, 0o555) //nolint:gosec // likewise
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// place writes one entry. Files belong to whoever runs the cluster, so that what
// the image's owner may read or run, everybody may; nobody may write.
func place(root *os.Root, r io.Reader, h *tar.Header) error {
	at := strings.TrimPrefix(path.Clean("/"+h.Name), "/")
	if at == "" {
		return nil
	}
	if err := root.MkdirAll(path.Dir(at), 0o755); err != nil {
		return err
	}
	switch h.Typeflag {
	case tar.TypeDir:
		return root.MkdirAll(at, 0o755)
	case tar.TypeReg:
		owner := fs.FileMode(h.Mode & 0o500)
		return write(root, at, r, owner|owner>>3|owner>>6|0o444)
	case tar.TypeSymlink:
		return root.Symlink(h.Linkname, at)
	case tar.TypeLink:
		return root.Link(strings.TrimPrefix(path.Clean("/"+h.Linkname), "/"), at)
	case tar.TypeChar, tar.TypeBlock, tar.TypeFifo:
		return nil // a process finds devices where its host has them
	default:
		return fmt.Errorf("entry of unknown type %q", h.Typeflag)
	}
}

func write(root *os.Root, at string, r io.Reader, mode fs.FileMode) error {
	f, err := root.OpenFile(at, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, r)
	return errors.Join(err, f.Chmod(mode), f.Close())
}

// remove deletes a folder tree that may have read-only folders.
func remove(dir string) error {
	_ = filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			_ = os.Chmod(p, 0o700) //nolint:gosec // a folder; what cannot be changed shows in RemoveAll
		}
		return nil
	})
	return os.RemoveAll(dir)
}

// Prune removes the unpacked images that have not been unpacked lately and whose
// folder inUse does not report. Call it when no pull is under way.
func (s *Store) Prune(inUse func(dir string) bool) error {
	entries, err := os.ReadDir(s.cfg.Dir)
	if err != nil {
		return fmt.Errorf("list images: %w", err)
	}
	type unpacked struct {
		dir  string
		time int64
	}
	var idle []unpacked
	for _, e := range entries {
		dir := filepath.Join(s.cfg.Dir, e.Name())
		info, err := e.Info()
		if err != nil || !e.IsDir() || strings.HasPrefix(e.Name(), partial) || inUse(dir) {
			continue
		}
		idle = append(idle, unpacked{dir, info.ModTime().UnixNano()})
	}
	slices.SortFunc(idle, func(a, b unpacked) int { return cmp.Compare(b.time, a.time) })
	for _, u := range idle[min(keep, len(idle)):] {
		if err := remove(u.dir); err != nil {
			return fmt.Errorf("remove image: %w", err)
		}
	}
	return nil
}

// Lookup finds a file of the image as its processes would, and returns its path
// on this machine: a path with a slash below the root or below cwd, a bare name
// in the folders of searchPath. Links are followed inside the root only.
func Lookup(root, cwd, searchPath, file string) (string, error) {
	if file == "" {
		return "", errors.New("no command specified")
	}
	if strings.Contains(file, "/") {
		return resolve(root, path.Join("/", absolute(cwd, file)))
	}
	for _, dir := range filepath.SplitList(searchPath) {
		at, err := resolve(root, path.Join("/", dir, file))
		if info, statErr := os.Stat(at); err == nil && statErr == nil && !info.IsDir() && info.Mode()&0o111 != 0 {
			return at, nil
		}
	}
	return "", fmt.Errorf("exec: %q: executable file not found in $PATH", file)
}

func absolute(cwd, file string) string {
	if path.IsAbs(file) {
		return file
	}
	return path.Join("/", cwd, file)
}

// maxLinks is how many symbolic links a path may lead through, as on Linux.
const maxLinks = 40

// resolve follows a path below root, link by link.
func resolve(root, at string) (string, error) {
	rest := strings.Split(strings.Trim(at, "/"), "/")
	done := "/"
	for links := 0; len(rest) > 0; {
		next := path.Join(done, rest[0])
		rest = rest[1:]
		info, err := os.Lstat(filepath.Join(root, next))
		if err != nil {
			return "", fmt.Errorf("exec: %q: stat %s: no such file or directory", at, next)
		}
		if info.Mode()&fs.ModeSymlink == 0 {
			done = next
			continue
		}
		if links++; links > maxLinks {
			return "", fmt.Errorf("exec: %q: too many links", at)
		}
		target, err := os.Readlink(filepath.Join(root, next))
		if err != nil {
			return "", err
		}
		if path.IsAbs(target) {
			done = "/"
		}
		rest = append(strings.Split(strings.Trim(target, "/"), "/"), rest...)
	}
	return filepath.Join(root, done), nil
}
