package record

import (
	"fmt"
	"sync"

	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"

	"posta/internal/blob"
)

// Codec compresses what is written, if asked to, and decompresses whatever is read. Safe for several
// goroutines. The nil Codec writes uncompressed and cannot read compressed records.
type Codec struct {
	kind Compression
	enc  *zstd.Encoder
	dec  func() (*zstd.Decoder, error) // made at first use
}

// NewCodec returns a codec that writes with the given compression.
func NewCodec(kind Compression) (*Codec, error) {
	c := &Codec{kind: kind, dec: sync.OnceValues(func() (*zstd.Decoder, error) {
		return zstd.NewReader(nil, zstd.WithDecoderConcurrency(0), zstd.WithDecoderMaxMemory(MaxCompressBytes))
	})}
	switch kind {
	case None, S2:
	case Zstd:
		enc, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderCRC(false), zstd.WithWindowSize(MaxCompressBytes))
		if err != nil {
			return nil, err
		}
		c.enc = enc
	default:
		return nil, fmt.Errorf("blob: unknown compression %d", kind)
	}
	return c, nil
}

// compress returns the smaller form of a payload and how it was made.
func (c *Codec) compress(p []byte) ([]byte, Compression) {
	if c == nil || c.kind == None || len(p) > MaxCompressBytes {
		return p, None
	}
	var out []byte
	if c.kind == Zstd {
		out = c.enc.EncodeAll(p, make([]byte, 0, len(p)/2))
	} else {
		out = s2.Encode(nil, p)
	}
	if len(out) >= len(p) {
		return p, None
	}
	return out, c.kind
}

// expand returns the payload of size bytes, at most MaxCompressBytes.
func (c *Codec) expand(kind Compression, p []byte, size int64) ([]byte, error) {
	var out []byte
	err := fmt.Errorf("%w: no codec for compression %d", blob.ErrInvalid, kind)
	switch {
	case c == nil:
	case kind == Zstd:
		var dec *zstd.Decoder
		if dec, err = c.dec(); err == nil {
			out, err = dec.DecodeAll(p, make([]byte, 0, size))
		}
	case kind == S2:
		var n int
		if n, err = s2.DecodedLen(p); err == nil && int64(n) == size {
			out, err = s2.Decode(nil, p)
		}
	}
	if err != nil || int64(len(out)) != size {
		return nil, fmt.Errorf("%w: decompression: %v", blob.ErrCorrupt, err)
	}
	return out, nil
}
