package blob

import "io"

// Body is a payload in memory or in a file. It can be read more than once, because a store may have
// to send the same bytes again. The zero value is an empty payload.
type Body struct {
	mem  []byte
	at   io.ReaderAt
	size int64
}

// Bytes is a payload in memory. The slice is not copied.
func Bytes(b []byte) Body { return Body{mem: b, size: int64(len(b))} }

// From is a payload of size bytes at the start of r, such as a spool file; it is read as a stream, in
// bounded memory.
func From(r io.ReaderAt, size int64) Body { return Body{at: r, size: size} }

// Size of the payload in bytes.
func (b Body) Size() int64 { return b.size }

// Mem returns the payload if it lies in memory.
func (b Body) Mem() ([]byte, bool) { return b.mem, b.at == nil }

// ReadAt implements io.ReaderAt, bounded by Size.
func (b Body) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 || off > b.size {
		return 0, io.EOF
	}
	if b.at == nil {
		n := copy(p, b.mem[off:])
		if n < len(p) {
			return n, io.EOF
		}
		return n, nil
	}
	if rest := b.size - off; int64(len(p)) > rest {
		n, err := b.at.ReadAt(p[:rest], off)
		if err == nil {
			err = io.EOF
		}
		return n, err
	}
	n, err := b.at.ReadAt(p, off)
	if n == len(p) {
		err = nil
	}
	return n, err
}
