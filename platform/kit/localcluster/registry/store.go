package registry

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"cuelabs.dev/go/oci/ociregistry"
	"cuelabs.dev/go/oci/ociregistry/ociref"
	"github.com/opencontainers/go-digest"
)

// store is the layout on disk:
//
//	blobs/sha256/HEX                       content, shared by all repositories
//	repositories/REPO/_manifests/HEX.json  record: media type, time of the push
//	repositories/REPO/_tags/TAG.json       pointer: digest
//	uploads/ID                             content on its way; emptied by open
//
// Manifests are blobs too. Every file appears by rename, complete and synced.
type store struct{ dir string }

func (s store) blobs() string   { return filepath.Join(s.dir, "blobs", "sha256") }
func (s store) uploads() string { return filepath.Join(s.dir, "uploads") }

func (s store) open() error {
	if err := os.RemoveAll(s.uploads()); err != nil {
		return err
	}
	for _, dir := range []string{s.blobs(), s.uploads(), filepath.Join(s.dir, "repositories")} {
		if err := os.MkdirAll(dir, 0o750); err != nil {
			return err
		}
	}
	return nil
}

func checkRepo(repo string) error {
	if !ociref.IsValidRepository(repo) {
		return ociregistry.ErrNameInvalid
	}
	return nil
}

// checkDigest accepts sha256 alone, the one algorithm ECR stores.
func checkDigest(d string) error {
	parsed := digest.Digest(d)
	if err := parsed.Validate(); err != nil || parsed.Algorithm() != digest.SHA256 {
		return ociregistry.ErrDigestInvalid
	}
	return nil
}

func (s store) blobPath(d string) (string, error) {
	if err := checkDigest(d); err != nil {
		return "", err
	}
	return filepath.Join(s.blobs(), digest.Digest(d).Encoded()), nil
}

func (s store) blobSize(d string) (int64, error) {
	path, err := s.blobPath(d)
	if err != nil {
		return 0, err
	}
	info, err := os.Stat(path) //nolint:gosec // blobPath lets nothing but 64 hex digits into the name
	if notExist(err) {
		return 0, ociregistry.ErrBlobUnknown
	}
	if err != nil {
		return 0, fmt.Errorf("stat blob: %w", err)
	}
	return info.Size(), nil
}

// readBlob returns a whole small blob (a manifest), verified.
func (s store) readBlob(d string) ([]byte, error) {
	path, err := s.blobPath(d)
	if err != nil {
		return nil, err
	}
	content, err := os.ReadFile(path)
	if notExist(err) {
		return nil, ociregistry.ErrBlobUnknown
	}
	if err != nil {
		return nil, fmt.Errorf("read blob: %w", err)
	}
	if got := digest.FromBytes(content).String(); got != d {
		return nil, fmt.Errorf("read blob %s: its content on disk has digest %s", d, got)
	}
	return content, nil
}

// writeBlob stores a small blob and returns its digest.
func (s store) writeBlob(content []byte) (string, error) {
	sum := sha256.Sum256(content)
	name := hex.EncodeToString(sum[:])
	if _, err := s.readBlob("sha256:" + name); err == nil {
		return "sha256:" + name, nil
	}
	return "sha256:" + name, s.writeFile(filepath.Join(s.blobs(), name), content)
}

// commit syncs an upload's file and gives it its final name.
func (s store) commit(file *os.File, path string) error {
	if err := file.Sync(); err != nil {
		return errors.Join(fmt.Errorf("sync blob: %w", err), file.Close())
	}
	if err := file.Close(); err != nil {
		return fmt.Errorf("close blob: %w", err)
	}
	if err := os.Rename(file.Name(), path); err != nil {
		return fmt.Errorf("rename blob: %w", err)
	}
	return syncDir(filepath.Dir(path))
}

// writeFile replaces path with content, all or nothing, durably.
func (s store) writeFile(path string, content []byte) error {
	dir := filepath.Dir(path)
	if err := s.makeDir(dir); err != nil {
		return err
	}
	file, err := os.CreateTemp(s.uploads(), "file-*")
	if err != nil {
		return fmt.Errorf("create file: %w", err)
	}
	if _, err := file.Write(content); err != nil {
		return errors.Join(fmt.Errorf("write file: %w", err), file.Close(), os.Remove(file.Name()))
	}
	if err := s.commit(file, path); err != nil {
		_ = os.Remove(file.Name())
		return err
	}
	return nil
}

// makeDir makes dir and syncs each parent whose entry is new, up to the root
// of the store, so that a file in it cannot vanish with its folder.
func (s store) makeDir(dir string) error {
	var fresh []string
	for at := dir; len(at) > len(s.dir); at = filepath.Dir(at) {
		if _, err := os.Stat(at); err == nil {
			break
		}
		fresh = append(fresh, at)
	}
	if len(fresh) == 0 {
		return nil
	}
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return fmt.Errorf("make folder: %w", err)
	}
	for _, at := range fresh {
		if err := syncDir(filepath.Dir(at)); err != nil {
			return err
		}
	}
	return nil
}

func (s store) writeJSON(path string, v any) error {
	content, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode record: %w", err)
	}
	return s.writeFile(path, content)
}

// readJSON decodes a record; found is false if there is none.
func readJSON(path string, v any) (found bool, err error) {
	content, err := os.ReadFile(path)
	if notExist(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("read record: %w", err)
	}
	if err := json.Unmarshal(content, v); err != nil {
		return false, fmt.Errorf("decode record %s: %w", path, err)
	}
	return true, nil
}

// remove deletes a file durably; removing what is not there is no error.
func remove(path string) error {
	if err := os.Remove(path); notExist(err) {
		return nil
	} else if err != nil {
		return fmt.Errorf("remove file: %w", err)
	}
	return syncDir(filepath.Dir(path))
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("open folder: %w", err)
	}
	defer d.Close()
	if err := d.Sync(); err != nil {
		return fmt.Errorf("sync folder: %w", err)
	}
	return nil
}

// verified reads a blob and, when the last byte has gone out, compares its
// digest. One that does not match is taken away, so that the next push of the
// same layer brings it again instead of being told it is there.
type verified struct {
	file   *os.File
	hash   digest.Verifier
	left   int64
	path   string
	broken func(path string)
}

func (v *verified) Read(p []byte) (int, error) {
	n, err := v.file.Read(p)
	_, _ = v.hash.Write(p[:n])
	v.left -= int64(n)
	if (errors.Is(err, io.EOF) || v.left == 0) && !v.hash.Verified() {
		v.broken(v.path)
		return n, fmt.Errorf("read blob %s: content on disk does not match its digest", filepath.Base(v.path))
	}
	return n, err
}

func (v *verified) Close() error { return v.file.Close() }
