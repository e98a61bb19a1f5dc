package registry

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"cuelabs.dev/go/oci/ociregistry"
	"github.com/opencontainers/go-digest"
)

const (
	mediaTypeBlob  = "application/octet-stream"
	mediaTypeIndex = "application/vnd.oci.image.index.v1+json"

	// uploadIdle is how long an unfinished upload is kept after its last byte.
	uploadIdle = time.Hour
	// smallestChunk is what OCI-Chunk-Min-Length tells clients.
	smallestChunk = 8 << 10
)

func blobDescriptor(d string, size int64) ociregistry.Descriptor {
	return ociregistry.Descriptor{MediaType: mediaTypeBlob, Digest: digest.Digest(d), Size: size}
}

func (r *Registry) resolveBlob(_ context.Context, repo string, d ociregistry.Digest) (ociregistry.Descriptor, error) {
	if err := r.checkExists(repo); err != nil {
		return ociregistry.Descriptor{}, err
	}
	size, err := r.store.blobSize(d.String())
	if err != nil {
		return ociregistry.Descriptor{}, err
	}
	// A client that learns the blob is here will not send it: from now on it
	// is as young to GC as one just pushed.
	if path, err := r.store.blobPath(d.String()); err == nil {
		_ = os.Chtimes(path, time.Time{}, r.clock.Now())
	}
	return blobDescriptor(d.String(), size), nil
}

type blobReader struct {
	io.Reader
	io.Closer
	desc ociregistry.Descriptor
}

func (b blobReader) Descriptor() ociregistry.Descriptor { return b.desc }

func (r *Registry) getBlob(_ context.Context, repo string, d ociregistry.Digest) (ociregistry.BlobReader, error) {
	file, size, err := r.openBlob(repo, d)
	if err != nil {
		return nil, err
	}
	v := &verified{file: file, hash: d.Verifier(), left: size, path: file.Name(), broken: r.discardBlob}
	return blobReader{v, v, blobDescriptor(d.String(), size)}, nil
}

func (r *Registry) getBlobRange(_ context.Context, repo string, d ociregistry.Digest, from, to int64) (ociregistry.BlobReader, error) {
	file, size, err := r.openBlob(repo, d)
	if err != nil {
		return nil, err
	}
	if to < 0 || to > size {
		to = size
	}
	section := io.NewSectionReader(file, from, max(0, to-from))
	return blobReader{section, file, blobDescriptor(d.String(), size)}, nil
}

func (r *Registry) openBlob(repo string, d ociregistry.Digest) (*os.File, int64, error) {
	if err := r.checkExists(repo); err != nil {
		return nil, 0, err
	}
	path, err := r.store.blobPath(d.String())
	if err != nil {
		return nil, 0, err
	}
	file, err := os.Open(path)
	if notExist(err) {
		return nil, 0, ociregistry.ErrBlobUnknown
	}
	if err != nil {
		return nil, 0, fmt.Errorf("open blob: %w", err)
	}
	info, err := file.Stat()
	if err != nil {
		return nil, 0, errors.Join(fmt.Errorf("stat blob: %w", err), file.Close())
	}
	return file, info.Size(), nil
}

func (r *Registry) discardBlob(path string) {
	r.log.Error("blob does not match its digest; removing it", "path", path)
	if err := remove(path); err != nil {
		r.log.Error("remove damaged blob", "error", err)
	}
}

func (r *Registry) mountBlob(ctx context.Context, from, repo string, d ociregistry.Digest) (ociregistry.Descriptor, error) {
	if err := r.checkExists(from); err != nil {
		return ociregistry.Descriptor{}, err
	}
	return r.resolveBlob(ctx, repo, d)
}

// deleteBlob is refused: content is shared between repositories, and GC knows
// what is still in use. ECR offers no blob deletion either.
func (r *Registry) deleteBlob(context.Context, string, ociregistry.Digest) error {
	return ociregistry.ErrUnsupported
}

func (r *Registry) pushBlob(ctx context.Context, repo string, desc ociregistry.Descriptor, content io.Reader) (ociregistry.Descriptor, error) {
	w, err := r.startUpload(ctx, repo, 0)
	if err != nil {
		return ociregistry.Descriptor{}, err
	}
	defer func() { _ = w.Cancel() }()
	n, err := io.Copy(w, content)
	if err != nil {
		return ociregistry.Descriptor{}, fmt.Errorf("receive blob: %w", err)
	}
	if desc.Size > 0 && n != desc.Size {
		return ociregistry.Descriptor{}, ociregistry.ErrSizeInvalid
	}
	return w.Commit(desc.Digest)
}

// upload is content on its way in. Its lock is held by the one request that
// writes to it at a time.
type upload struct {
	lock sync.Mutex
	id   string
	repo string
	file *os.File
	hash hash.Hash
	size int64
	used time.Time
}

func (r *Registry) startUpload(_ context.Context, repo string, _ int) (ociregistry.BlobWriter, error) {
	if err := r.checkExists(repo); err != nil {
		return nil, err
	}
	var random [16]byte
	if _, err := rand.Read(random[:]); err != nil {
		return nil, fmt.Errorf("name upload: %w", err)
	}
	id := hex.EncodeToString(random[:])
	file, err := os.OpenFile(filepath.Join(r.store.uploads(), id), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, fmt.Errorf("create upload: %w", err)
	}
	u := &upload{id: id, repo: repo, file: file, hash: sha256.New(), used: r.clock.Now()}
	u.lock.Lock()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.dropIdle()
	r.uploads[id] = u
	return &blobWriter{r: r, u: u, offset: -1}, nil
}

// dropIdle forgets uploads nobody has written to for long. Called with mu held.
func (r *Registry) dropIdle() {
	for id, u := range r.uploads {
		if !u.lock.TryLock() {
			continue
		}
		if r.clock.Since(u.used) > uploadIdle {
			delete(r.uploads, id)
			_ = u.file.Close()
			_ = os.Remove(u.file.Name())
		}
		u.lock.Unlock()
	}
}

func (r *Registry) resumeUpload(ctx context.Context, repo, id string, offset int64, _ int) (ociregistry.BlobWriter, error) {
	if err := r.checkExists(repo); err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	u := r.uploads[id]
	if u == nil || u.repo != repo {
		return nil, ociregistry.ErrBlobUploadUnknown
	}
	if !u.lock.TryLock() {
		return nil, ociregistry.ErrBlobUploadInvalid
	}
	w := &blobWriter{r: r, u: u, offset: offset}
	switch ctx.Value(rangeless{}) {
	case http.MethodPut:
		w.offset = -1
	case http.MethodPatch:
		if err := u.restart(); err != nil {
			u.lock.Unlock()
			return nil, err
		}
	}
	return w, nil
}

// restart empties the upload: a streamed PATCH carries the whole content, and
// one that a client repeats after a broken connection replaces the first.
func (u *upload) restart() error {
	if u.size == 0 {
		return nil
	}
	if err := u.file.Truncate(0); err != nil {
		return fmt.Errorf("truncate upload: %w", err)
	}
	if _, err := u.file.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("rewind upload: %w", err)
	}
	u.hash.Reset()
	u.size = 0
	return nil
}

// blobWriter is one request's hold on an upload.
type blobWriter struct {
	r      *Registry
	u      *upload
	offset int64 // where the client believes it is; -1 once checked
	done   bool
}

func (w *blobWriter) Write(p []byte) (int, error) {
	if w.offset >= 0 && w.offset != w.u.size {
		return 0, fmt.Errorf("write at %d of an upload of %d bytes: %w", w.offset, w.u.size, ociregistry.ErrRangeInvalid)
	}
	w.offset = -1
	n, err := w.u.file.Write(p)
	_, _ = w.u.hash.Write(p[:n])
	w.u.size += int64(n)
	w.u.used = w.r.clock.Now()
	if err != nil {
		return n, fmt.Errorf("write upload: %w", err)
	}
	return n, nil
}

func (w *blobWriter) Size() int64    { return w.u.size }
func (w *blobWriter) ChunkSize() int { return smallestChunk }
func (w *blobWriter) ID() string     { return w.u.id }

// Close ends the request's hold; the upload can be resumed.
func (w *blobWriter) Close() error {
	if !w.done {
		w.done = true
		w.u.lock.Unlock()
	}
	return nil
}

// Cancel ends the upload; after Commit or Close it does nothing.
func (w *blobWriter) Cancel() error {
	if w.done {
		return nil
	}
	w.forget()
	err := errors.Join(w.u.file.Close(), os.Remove(w.u.file.Name()))
	return errors.Join(err, w.Close())
}

func (w *blobWriter) forget() {
	w.r.mu.Lock()
	delete(w.r.uploads, w.u.id)
	w.r.mu.Unlock()
}

// Commit verifies the content against the digest and stores it. A mismatch
// ends the upload: what came in is of no use to anybody.
func (w *blobWriter) Commit(d ociregistry.Digest) (ociregistry.Descriptor, error) {
	path, err := w.r.store.blobPath(d.String())
	if err != nil {
		return ociregistry.Descriptor{}, errors.Join(err, w.Cancel())
	}
	if got := hex.EncodeToString(w.u.hash.Sum(nil)); got != d.Encoded() {
		mismatch := fmt.Errorf("content has digest sha256:%s, not %s: %w", got, d, ociregistry.ErrDigestInvalid)
		return ociregistry.Descriptor{}, errors.Join(mismatch, w.Cancel())
	}
	w.forget()
	defer func() { _ = w.Close() }()
	if err := w.r.store.commit(w.u.file, path); err != nil {
		_ = os.Remove(w.u.file.Name())
		return ociregistry.Descriptor{}, err
	}
	return blobDescriptor(d.String(), w.u.size), nil
}
