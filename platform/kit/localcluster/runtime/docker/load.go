package docker

import (
	"archive/tar"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// zstdVersion is the engine's API (Docker 23) from which on it can pull layers
// that are compressed with zstd, as ours are.
const zstdVersion = "1.42"

// loadedName is what an image is called in an engine that did not pull it
// itself and so does not know its digest.
func loadedName(ref name.Reference) string {
	if digest, ok := ref.(name.Digest); ok {
		return ref.Context().Name() + ":" + strings.ReplaceAll(digest.DigestStr(), ":", "-")
	}
	return ref.Name()
}

// load fetches an image for an engine that cannot, checked by its digests, and
// hands it over with plain layers. It stays the same image: its id, the digest
// of its configuration, names its layers as they are uncompressed, and the engine
// compares them.
func (e *Engine) load(ctx context.Context, ref name.Reference, local string, auth authn.Authenticator) error {
	img, err := remote.Image(ref, remote.WithContext(ctx), remote.WithAuth(auth),
		remote.WithPlatform(v1.Platform{OS: "linux", Architecture: runtime.GOARCH}))
	if err != nil {
		return err
	}
	file, err := os.CreateTemp("", "slipway-image-*")
	if err != nil {
		return fmt.Errorf("make room for the image: %w", err)
	}
	defer func() { _ = errors.Join(file.Close(), os.Remove(file.Name())) }() // it was only read since
	if err := pack(file, img, local); err != nil {
		return err
	}
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return err
	}
	progress, err := e.api.ImageLoad(ctx, file)
	if err != nil {
		return err
	}
	return drain(progress)
}

// pack writes an image in the form that `docker save` has.
func pack(to io.Writer, img v1.Image, local string) error {
	config, err := img.RawConfigFile()
	if err != nil {
		return err
	}
	layers, err := img.Layers()
	if err != nil {
		return err
	}
	w := tar.NewWriter(to)
	names := make([]string, 0, len(layers))
	for _, l := range layers {
		id, err := l.DiffID()
		if err != nil {
			return err
		}
		names = append(names, id.Hex+".tar")
		if err := packLayer(w, l, id.Hex+".tar"); err != nil {
			return fmt.Errorf("unpack layer %s: %w", id, err)
		}
	}
	manifest, err := json.Marshal([]map[string]any{{"Config": "config.json", "RepoTags": []string{local}, "Layers": names}})
	if err != nil {
		return err
	}
	return errors.Join(packFile(w, "config.json", config), packFile(w, "manifest.json", manifest), w.Close())
}

func packFile(w *tar.Writer, name string, raw []byte) error {
	return errors.Join(w.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(raw)), Typeflag: tar.TypeReg}), write(w, raw))
}

func write(w io.Writer, raw []byte) error {
	_, err := w.Write(raw)
	return err
}

// packLayer writes a layer by way of a file, since its size has to be known
// first.
func packLayer(w *tar.Writer, l v1.Layer, name string) error {
	plain, err := l.Uncompressed()
	if err != nil {
		return err
	}
	defer plain.Close()
	spool, err := os.CreateTemp("", "slipway-layer-*")
	if err != nil {
		return err
	}
	defer func() { _ = errors.Join(spool.Close(), os.Remove(spool.Name())) }() // it was only read since
	size, err := io.Copy(spool, plain)
	if err != nil {
		return err
	}
	if _, err := spool.Seek(0, io.SeekStart); err != nil {
		return err
	}
	if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: size, Typeflag: tar.TypeReg}); err != nil {
		return err
	}
	_, err = io.Copy(w, spool)
	return err
}
