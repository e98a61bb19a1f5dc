package vuln

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// Access is what is needed to read from a registry.
type Access interface {
	// Login returns credentials.
	Login(ctx context.Context) (user, password string, err error)
	// RepositoryURI returns HOST/NAME of a repository.
	RepositoryURI(ctx context.Context, name string) (string, error)
}

// Registry reads binaries from the images that the kit builds: an index, each
// of whose images has its binary as the entrypoint, in its last layer.
type Registry struct{ Access Access }

var _ Images = Registry{}

// maxBinary bounds what is read of one binary, in bytes.
const maxBinary = 1 << 30

// Binaries returns the binaries of an image.
func (r Registry) Binaries(ctx context.Context, repository, digest string) ([]Binary, error) {
	what := fmt.Sprintf("read image %s of %s", digest, repository)
	uri, err := r.Access.RepositoryURI(ctx, repository)
	if err != nil {
		return nil, err
	}
	user, password, err := r.Access.Login(ctx)
	if err != nil {
		return nil, err
	}
	repo, err := name.NewRepository(uri, name.StrictValidation)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	puller, err := remote.NewPuller(remote.WithAuth(&authn.Basic{Username: user, Password: password}), remote.WithUserAgent("slipway"))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	described, err := puller.Get(ctx, repo.Digest(digest))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	index, err := described.ImageIndex()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	binaries, err := binariesOf(index)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	return binaries, nil
}

func binariesOf(index v1.ImageIndex) ([]Binary, error) {
	listed, err := index.IndexManifest()
	if err != nil {
		return nil, err
	}
	var binaries []Binary
	for _, m := range listed.Manifests {
		if m.Platform == nil || m.Platform.OS == "" || m.Platform.OS == "unknown" {
			continue // something about an image, not one
		}
		binaries = append(binaries, Binary{Platform: m.Platform.OS + "/" + m.Platform.Architecture, Open: func(context.Context) (Bytes, error) {
			img, err := index.Image(m.Digest)
			if err != nil {
				return nil, err
			}
			return binaryOf(img)
		}})
	}
	if len(binaries) == 0 {
		return nil, errors.New("it is no index of images with platforms")
	}
	return binaries, nil
}

// memory is a binary that was read as a whole.
type memory struct{ *bytes.Reader }

// Close does nothing.
func (memory) Close() error { return nil }

// binaryOf reads the entrypoint of an image.
func binaryOf(img v1.Image) (Bytes, error) {
	config, err := img.ConfigFile()
	if err != nil {
		return nil, err
	}
	if len(config.Config.Entrypoint) == 0 {
		return nil, errors.New("the image has no entrypoint")
	}
	path := strings.TrimPrefix(config.Config.Entrypoint[0], "/")
	layers, err := img.Layers()
	if err != nil {
		return nil, err
	}
	for _, layer := range slices.Backward(layers) {
		content, err := fileIn(layer, path)
		if err != nil {
			return nil, err
		}
		if content != nil {
			return memory{bytes.NewReader(content)}, nil
		}
	}
	return nil, fmt.Errorf("the image lacks its entrypoint /%s", path)
}

// fileIn returns a file of a layer, nil when the layer has none of that name.
func fileIn(layer v1.Layer, path string) ([]byte, error) {
	content, err := layer.Uncompressed()
	if err != nil {
		return nil, err
	}
	defer content.Close()
	for archive := tar.NewReader(content); ; {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		if header.Typeflag != tar.TypeReg || strings.TrimPrefix(header.Name, "/") != path {
			continue
		}
		if header.Size > maxBinary {
			return nil, fmt.Errorf("/%s has %d bytes", path, header.Size)
		}
		data := make([]byte, header.Size)
		_, err = io.ReadFull(archive, data)
		return data, err
	}
}
