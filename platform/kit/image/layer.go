package image

import (
	"archive/tar"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// format is part of every layer's key. Raise it when the bytes written for the
// same content change, so that caches of older kits are not used.
const format = "1"

// epoch is the modification time of every file and the time of creation of
// every image.
var epoch = time.Unix(0, 0).UTC()

// layer is a compressed layer in the cache.
type layer struct {
	meta   meta
	path   string
	cached bool
	binary string // SHA-256 of the binary in it, hexadecimal; empty for a base layer
}

var _ partial.CompressedLayer = (*layer)(nil)

// Digest is the digest of the compressed bytes.
func (l *layer) Digest() (v1.Hash, error) { return l.meta.Digest, nil }

// DiffID is the digest of the archive inside.
func (l *layer) DiffID() (v1.Hash, error) { return l.meta.DiffID, nil }

// Size is the number of compressed bytes.
func (l *layer) Size() (int64, error) { return l.meta.Size, nil }

// MediaType is one of the OCI layer types.
func (l *layer) MediaType() (types.MediaType, error) { return types.MediaType(l.meta.MediaType), nil }

// Compressed opens the layer's file.
func (l *layer) Compressed() (io.ReadCloser, error) { return os.Open(l.path) }

// appLayer holds the binary alone, at /app/SERVICE, readable and executable by
// everybody and writable by nobody.
func (c cache) appLayer(p Platform, service, binary string, compression Compression) (*layer, error) {
	sum, err := digestFile(binary)
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(c.platform(p), "layers")
	key := layerKey(compression, service, sum)
	built, err := layerFor(dir, key, compression, func(w io.Writer) (int64, error) {
		return archiveBinary(w, service, binary)
	})
	if err != nil {
		return nil, err
	}
	built.binary = sum
	now := c.clock.Now()
	_ = os.Chtimes(filepath.Join(dir, key+".json"), now, now) // used last; see prune
	prune(dir, keepLayers)
	return built, nil
}

func layerKey(compression Compression, parts ...string) string {
	h := sha256.New()
	fmt.Fprintf(h, "%s\n%s\n", format, compression)
	for _, part := range parts {
		fmt.Fprintf(h, "%s\n", part)
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

func digestFile(path string) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("open binary: %w", err)
	}
	defer file.Close()
	h := sha256.New()
	if _, err := io.CopyBuffer(struct{ io.Writer }{h}, struct{ io.Reader }{file}, make([]byte, 256<<10)); err != nil {
		return "", fmt.Errorf("read binary: %w", err)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

func archiveBinary(w io.Writer, service, binary string) (int64, error) {
	file, err := os.Open(binary)
	if err != nil {
		return 0, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return 0, err
	}
	a := newArchive(w)
	a.dir("app/", 0o755)
	a.header(tar.Header{Typeflag: tar.TypeReg, Name: "app/" + service, Mode: 0o555, Size: info.Size()})
	a.copy(file)
	return info.Size(), a.close()
}

// archive writes tar entries that depend on nothing but names and content. It
// keeps the first error.
type archive struct {
	tar *tar.Writer
	err error
}

func newArchive(w io.Writer) *archive { return &archive{tar: tar.NewWriter(w)} }

func (a *archive) header(h tar.Header) {
	if a.err == nil {
		h.ModTime, h.Format = epoch, tar.FormatUSTAR
		a.err = a.tar.WriteHeader(&h)
	}
}

func (a *archive) dir(name string, mode fs.FileMode) {
	a.header(tar.Header{Typeflag: tar.TypeDir, Name: name, Mode: int64(mode)})
}

func (a *archive) file(name string, content []byte) {
	a.header(tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o444, Size: int64(len(content))})
	if a.err == nil {
		_, a.err = a.tar.Write(content)
	}
}

// hardLink gives an earlier file of the archive a second name.
func (a *archive) hardLink(name, target string) {
	a.header(tar.Header{Typeflag: tar.TypeLink, Name: name, Linkname: target, Mode: 0o444})
}

func (a *archive) copy(r io.Reader) {
	if a.err == nil {
		_, a.err = io.CopyBuffer(struct{ io.Writer }{a.tar}, struct{ io.Reader }{r}, make([]byte, 256<<10))
	}
}

func (a *archive) close() error {
	if a.err != nil {
		return a.err
	}
	return a.tar.Close()
}
