package record

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"sync"

	"posta/internal/blob"
)

// wholeBytes: a record up to this length is read at once and held in memory by its reader.
const wholeBytes = 128 << 10

// Reader reads the payload of one record; it is a blob.Reader. A record of at most 128 KiB, or a
// compressed one, is read and verified by Open and needs its source no more; of a longer one each
// chunk is verified when it is read.
type Reader struct {
	h       Header
	src     io.ReaderAt
	closer  io.Closer
	payload []byte // all of it, or nil

	mu    sync.Mutex
	index int64 // which chunk is in chunk, -1: none
	chunk []byte
}

// Open reads the record at that place of the unit src and checks that it is the one of id. closer, which
// may be nil, is closed when src is needed no more: at once if the record was read whole, at an error, or by
// Reader.Close.
func Open(src io.ReaderAt, closer io.Closer, salt Salt, id blob.ID, at blob.Location, codec *Codec) (*Reader, error) {
	r := &Reader{src: src, closer: closer, index: -1}
	done, err := r.open(salt, id, at, codec)
	if err == nil && !done {
		return r, nil
	}
	if closeErr := r.release(); err == nil {
		err = closeErr
	}
	if err != nil {
		return nil, err
	}
	return r, nil
}

func (r *Reader) open(salt Salt, id blob.ID, at blob.Location, codec *Codec) (done bool, err error) {
	if at.Offset < UnitHeaderBytes || at.Length < MinBytes || at.Length > Length(blob.MaxAcceptBytes, blob.MaxBodyBytes) {
		return false, fmt.Errorf("%w: %v cannot be a location", blob.ErrNotFound, at)
	}
	buf := make([]byte, min(at.Length, wholeBytes))
	if err := readFull(r.src, buf, at.Offset); err != nil {
		return false, err
	}
	h, accept, err := parseFixed(buf, salt)
	if err != nil {
		return false, err
	}
	if h.ID != id || Length(accept, h.Stored) != at.Length {
		return false, fmt.Errorf("%w: %v holds blob %v, not %v", blob.ErrCorrupt, at, h.ID, id)
	}
	if err := h.supported(buf); err != nil {
		return false, err
	}
	whole := at.Length <= wholeBytes || h.Compression != None
	if need := HeaderBytes + accept + sumBytes; need > len(buf) || whole && int64(len(buf)) < at.Length {
		if whole {
			need = int(at.Length)
		}
		buf = append(buf, make([]byte, need-len(buf))...)
		if err := readFull(r.src, buf, at.Offset); err != nil {
			return false, err
		}
	}
	if err := h.acceptFrom(buf, accept); err != nil {
		return false, err
	}
	h.Location = at
	r.h = h
	if !whole {
		return false, nil
	}
	r.payload, err = h.joinChunks(buf[h.payloadOffset():], codec)
	return true, err
}

// acceptFrom checks and takes the accept record out of the start of a record.
func (h *Header) acceptFrom(buf []byte, n int) error {
	accept, sum := buf[HeaderBytes:HeaderBytes+n], buf[HeaderBytes+n:]
	if crc32.Update(h.seed, castagnoli, accept) != binary.LittleEndian.Uint32(sum) {
		return fmt.Errorf("%w: accept record of blob %v", blob.ErrCorrupt, h.ID)
	}
	h.Accept = append([]byte(nil), accept...)
	return nil
}

// joinChunks verifies the chunks in p, closes the gaps between them in place, and decompresses.
func (h *Header) joinChunks(p []byte, codec *Codec) ([]byte, error) {
	out := p[:0]
	for i, left := int64(0), h.Stored; left > 0; i++ {
		n := min(left, ChunkBytes)
		if !h.chunkOK(i, p[:n+sumBytes]) {
			return nil, h.badChunk(i)
		}
		out = append(out, p[:n]...)
		p, left = p[n+sumBytes:], left-n
	}
	if h.Compression == None {
		return out, nil
	}
	return codec.expand(h.Compression, out, h.Size)
}

func (h *Header) chunkOK(i int64, withSum []byte) bool {
	n := len(withSum) - sumBytes
	return chunkSum(h.seed, i, withSum[:n]) == binary.LittleEndian.Uint32(withSum[n:])
}

func (h *Header) badChunk(i int64) error {
	return fmt.Errorf("%w: blob %v: chunk %d", blob.ErrCorrupt, h.ID, i)
}

// readFull reads len(p) bytes; a unit that ends before is corrupt.
func readFull(r io.ReaderAt, p []byte, off int64) error {
	n, err := r.ReadAt(p, off)
	if n == len(p) {
		return nil
	}
	if err == io.EOF {
		return fmt.Errorf("%w: the unit ends at %d", blob.ErrCorrupt, off+int64(n))
	}
	return err
}

// ReadAt implements io.ReaderAt.
func (r *Reader) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 || off >= r.h.Size {
		return 0, io.EOF
	}
	if r.payload != nil {
		n := copy(p, r.payload[off:])
		if n < len(p) {
			return n, io.EOF
		}
		return n, nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	n := 0
	for n < len(p) {
		if off == r.h.Size {
			return n, io.EOF
		}
		if err := r.load(off / ChunkBytes); err != nil {
			return n, err
		}
		k := copy(p[n:], r.chunk[off%ChunkBytes:])
		n, off = n+k, off+int64(k)
	}
	return n, nil
}

// load makes r.chunk the verified chunk i. r.mu is held.
func (r *Reader) load(i int64) error {
	if r.index == i {
		return nil
	}
	r.index = -1
	n := min(ChunkBytes, r.h.Stored-i*ChunkBytes)
	if r.chunk == nil {
		r.chunk = make([]byte, ChunkBytes+sumBytes)
	}
	r.chunk = r.chunk[:n+sumBytes]
	at := r.h.Location.Offset + r.h.payloadOffset() + i*(ChunkBytes+sumBytes)
	if err := readFull(r.src, r.chunk, at); err != nil {
		return err
	}
	if !r.h.chunkOK(i, r.chunk) {
		return r.h.badChunk(i)
	}
	r.chunk = r.chunk[:n]
	r.index = i
	return nil
}

// Size of the payload in bytes.
func (r *Reader) Size() int64 { return r.h.Size }

// Entry describes the record.
func (r *Reader) Entry() blob.Entry { return r.h.Entry }

// Close releases the source. It may be called more than once, not during ReadAt.
func (r *Reader) Close() error { return r.release() }

func (r *Reader) release() error {
	c := r.closer
	r.closer = nil
	if c == nil {
		return nil
	}
	return c.Close()
}

// Verify reads the whole payload and checks its SHA-256.
func Verify(ctx context.Context, r blob.Reader) error {
	sum := sha256.New()
	buf := make([]byte, min(ChunkBytes, r.Size()))
	for off := int64(0); off < r.Size(); {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, err := r.ReadAt(buf[:min(int64(len(buf)), r.Size()-off)], off)
		if err != nil && err != io.EOF {
			return err
		}
		sum.Write(buf[:n])
		off += int64(n)
	}
	if e := r.Entry(); [32]byte(sum.Sum(nil)) != e.SHA256 {
		return fmt.Errorf("%w: SHA-256 of blob %v", blob.ErrCorrupt, e.ID)
	}
	return nil
}
