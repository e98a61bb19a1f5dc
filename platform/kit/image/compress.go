package image

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"golang.org/x/sync/errgroup"
)

// Compression is how layers are packed. docs/decisions/2026-11-22-layer-compression.md
// compares the two.
type Compression string

const (
	// Zstd is the default. ECR stores it and Fargate (platform 1.4.0), containerd
	// and Docker from 23.0 unpack it.
	Zstd Compression = "zstd"
	// Gzip is for registries and engines that know nothing newer.
	Gzip Compression = "gzip"
)

func (c Compression) validate() error {
	switch c {
	case "", Zstd, Gzip:
		return nil
	}
	return fmt.Errorf("configure image build: compression %q is neither zstd nor gzip", string(c))
}

// String names the compression; the zero value is zstd.
func (c Compression) String() string {
	if c == "" {
		return string(Zstd)
	}
	return string(c)
}

func (c Compression) mediaType() types.MediaType {
	if c == Gzip {
		return types.OCILayer
	}
	return types.OCILayerZStd
}

// chunkBytes is how much is packed at a time. Each chunk is a zstd frame or
// gzip member of its own, so chunks are packed in parallel and the result does
// not depend on how many cores there are. 4 MiB costs half a percent of size.
const chunkBytes = 4 << 20

// packers is how many chunks are packed at once.
const packers = 2

// pack compresses what write produces into out and describes the result.
func (c Compression) pack(out io.Writer, write func(io.Writer) (int64, error)) (meta, error) {
	squeeze, err := c.squeezer()
	if err != nil {
		return meta{}, err
	}
	p := &packer{out: out, squeeze: squeeze, plain: sha256.New(), packed: sha256.New()}
	p.group.SetLimit(packers)
	n, err := write(p)
	if err := p.finish(err); err != nil {
		return meta{}, err
	}
	return meta{
		MediaType: string(c.mediaType()),
		DiffID:    v1.Hash{Algorithm: "sha256", Hex: hex.EncodeToString(p.plain.Sum(nil))},
		Digest:    v1.Hash{Algorithm: "sha256", Hex: hex.EncodeToString(p.packed.Sum(nil))},
		Size:      p.size,
		Bytes:     n,
	}, nil
}

// squeezer returns a function that packs one chunk, safe for concurrent use.
func (c Compression) squeezer() (func([]byte) ([]byte, error), error) {
	if c == Gzip {
		return gzipChunk, nil
	}
	encoder, err := zstd.NewWriter(nil,
		zstd.WithEncoderLevel(zstd.SpeedDefault), zstd.WithEncoderConcurrency(packers),
		zstd.WithEncoderCRC(true), zstd.WithWindowSize(chunkBytes))
	if err != nil {
		return nil, fmt.Errorf("make zstd encoder: %w", err)
	}
	return func(chunk []byte) ([]byte, error) {
		return encoder.EncodeAll(chunk, make([]byte, 0, len(chunk)/2)), nil
	}, nil
}

func gzipChunk(chunk []byte) ([]byte, error) {
	var out bytes.Buffer
	w, err := gzip.NewWriterLevel(&out, 6)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(chunk); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// packer cuts a stream into chunks, packs them in parallel and writes the
// results in order.
type packer struct {
	out     io.Writer
	squeeze func([]byte) ([]byte, error)
	chunk   []byte
	group   errgroup.Group
	last    chan struct{} // closed when the chunk before has been written
	plain   hash.Hash
	packed  hash.Hash
	size    int64
}

func (p *packer) Write(data []byte) (int, error) {
	total := len(data)
	for len(data) > 0 {
		if p.chunk == nil {
			p.chunk = make([]byte, 0, chunkBytes)
		}
		n := min(len(data), chunkBytes-len(p.chunk))
		p.chunk = append(p.chunk, data[:n]...)
		data = data[n:]
		if len(p.chunk) == chunkBytes {
			p.flush()
		}
	}
	return total, nil
}

// flush hands the chunk to a worker, waiting for a free one. The order of
// writing is kept by each worker waiting for the one before.
func (p *packer) flush() {
	chunk, before, done := p.chunk, p.last, make(chan struct{})
	p.chunk, p.last = nil, done
	p.group.Go(func() error {
		defer close(done)
		packed, err := p.squeeze(chunk)
		if before != nil {
			<-before
		}
		if err != nil {
			return err
		}
		_, _ = p.plain.Write(chunk)
		_, _ = p.packed.Write(packed)
		p.size += int64(len(packed))
		_, err = p.out.Write(packed)
		return err
	})
}

func (p *packer) finish(err error) error {
	if err == nil && len(p.chunk) > 0 {
		p.flush()
	}
	if worker := p.group.Wait(); err == nil {
		err = worker
	}
	return err
}
