package attest

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"debug/buildinfo"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/slipway-dev/slipway/platform/kit/attest/bom"
	"github.com/slipway-dev/slipway/platform/kit/attest/referrer"
)

// maxBinary bounds what is read of one binary, in bytes.
const maxBinary = 1 << 30

// binariesOf reads a service's binaries back from its image. All that is read
// is covered by the image's digest.
func binariesOf(ctx context.Context, repo *referrer.Repository, service, imageDigest string) ([]bom.Binary, error) {
	_, content, err := repo.Manifest(ctx, imageDigest)
	if err != nil {
		return nil, err
	}
	var index struct {
		Manifests []struct {
			Digest   string `json:"digest"`
			Platform *struct {
				OS           string `json:"os"`
				Architecture string `json:"architecture"`
			} `json:"platform"`
		} `json:"manifests"`
	}
	if err := json.Unmarshal(content, &index); err != nil {
		return nil, fmt.Errorf("decode index %s: %w", imageDigest, err)
	}
	var binaries []bom.Binary
	for _, m := range index.Manifests {
		if m.Platform == nil {
			continue
		}
		platform := m.Platform.OS + "/" + m.Platform.Architecture
		b, err := binaryOf(ctx, repo, "app/"+service, m.Digest)
		if err != nil {
			return nil, fmt.Errorf("read binary of %s for %s: %w", service, platform, err)
		}
		b.Platform = platform
		binaries = append(binaries, b)
	}
	if len(binaries) == 0 {
		return nil, fmt.Errorf("read binaries of %s: the image is no index of platforms", service)
	}
	return binaries, nil
}

// binaryOf reads a file from the last layer that has it.
func binaryOf(ctx context.Context, repo *referrer.Repository, path, manifestDigest string) (bom.Binary, error) {
	_, content, err := repo.Manifest(ctx, manifestDigest)
	if err != nil {
		return bom.Binary{}, err
	}
	var image struct {
		Layers []struct {
			Digest string `json:"digest"`
		} `json:"layers"`
	}
	if err := json.Unmarshal(content, &image); err != nil {
		return bom.Binary{}, fmt.Errorf("decode manifest %s: %w", manifestDigest, err)
	}
	for _, layer := range slices.Backward(image.Layers) {
		packed, err := repo.Blob(ctx, layer.Digest)
		if err != nil {
			return bom.Binary{}, err
		}
		program, err := fileIn(packed, path)
		if err != nil || program == nil {
			if err != nil {
				return bom.Binary{}, err
			}
			continue
		}
		info, err := buildinfo.Read(bytes.NewReader(program))
		if err != nil {
			return bom.Binary{}, err
		}
		sum := sha256.Sum256(program)
		return bom.Binary{Digest: "sha256:" + hex.EncodeToString(sum[:]), Info: info}, nil
	}
	return bom.Binary{}, fmt.Errorf("no layer has /%s", path)
}

// fileIn returns a file of a packed layer; nil when it has none of that name.
func fileIn(packed []byte, path string) ([]byte, error) {
	var plain io.Reader
	if bytes.HasPrefix(packed, []byte{0x1f, 0x8b}) { // RFC 1952
		unzip, err := gzip.NewReader(bytes.NewReader(packed))
		if err != nil {
			return nil, err
		}
		plain = unzip
	} else {
		unpack, err := zstd.NewReader(bytes.NewReader(packed), zstd.WithDecoderConcurrency(1))
		if err != nil {
			return nil, err
		}
		defer unpack.Close()
		plain = unpack
	}
	for archive := tar.NewReader(plain); ; {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		if header.Typeflag != tar.TypeReg || header.Name != path {
			continue
		}
		return io.ReadAll(io.LimitReader(archive, maxBinary))
	}
}
