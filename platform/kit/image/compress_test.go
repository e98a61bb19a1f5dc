package image

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"pgregory.net/rapid"
)

// However a stream is cut into writes, the packed bytes are the same, unpack
// to the stream, and are described truly.
func TestPackIsIndependentOfWrites(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := rapid.SampledFrom([]Compression{Zstd, Gzip}).Draw(t, "compression")
		pattern := rapid.SliceOfN(rapid.Byte(), 1, 64).Draw(t, "pattern")
		content := bytes.Repeat(pattern, rapid.IntRange(0, 200_000).Draw(t, "repeat"))
		cut := rapid.IntRange(1, 1<<20).Draw(t, "cut")

		whole, m := packAll(t, c, content, len(content)+1)
		pieces, again := packAll(t, c, content, cut)
		if !bytes.Equal(whole, pieces) || m != again {
			t.Fatalf("packed differently: %+v, %+v", m, again)
		}
		if sum := sha256.Sum256(whole); hex.EncodeToString(sum[:]) != m.Digest.Hex || int64(len(whole)) != m.Size {
			t.Fatalf("description %+v does not fit", m)
		}
		if sum := sha256.Sum256(content); hex.EncodeToString(sum[:]) != m.DiffID.Hex {
			t.Fatalf("DiffID %s does not fit", m.DiffID)
		}
		if got := unpackAll(t, c, whole); !bytes.Equal(got, content) {
			t.Fatalf("%d bytes came back as %d", len(content), len(got))
		}
	})
}

func packAll(t *rapid.T, c Compression, content []byte, cut int) ([]byte, meta) {
	var out bytes.Buffer
	m, err := c.pack(&out, func(w io.Writer) (int64, error) {
		for at := 0; at < len(content); at += cut {
			if _, err := w.Write(content[at:min(at+cut, len(content))]); err != nil {
				return 0, err
			}
		}
		return int64(len(content)), nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out.Bytes(), m
}

func unpackAll(t *rapid.T, c Compression, packed []byte) []byte {
	if len(packed) == 0 {
		return nil
	}
	var r io.Reader
	var err error
	if c == Gzip {
		r, err = gzip.NewReader(bytes.NewReader(packed))
	} else {
		r, err = zstd.NewReader(bytes.NewReader(packed))
	}
	if err != nil {
		t.Fatal(err)
	}
	content, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return content
}
