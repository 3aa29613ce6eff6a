package intake

import (
	"crypto/sha256"
	"hash"
	"io"
	"os"
	"sync"

	"posta/internal/blob"
)

// inMemory is the size up to which a message is held in memory; a larger one
// goes to a temporary file, so that a hundred sessions with 150 MiB each cost
// disk and not memory.
const inMemory = 256 << 10

// spool takes the bytes of one message. Its file, if it has one, is unlinked as
// soon as it is made: a crash leaves nothing behind.
type spool struct {
	dir  string
	mem  *[]byte
	file *os.File
	size int64
	hash hash.Hash
}

// buffers are reused between messages, since nearly all mail is small.
var buffers = sync.Pool{New: func() any { b := make([]byte, 0, 32<<10); return &b }}

func newSpool(dir string) *spool {
	return &spool{dir: dir, mem: buffers.Get().(*[]byte), hash: sha256.New()}
}

// Write appends; an error is the disk's.
func (s *spool) Write(p []byte) (int, error) {
	s.hash.Write(p)
	s.size += int64(len(p))
	if s.file == nil && s.size > inMemory {
		if err := s.spill(); err != nil {
			return 0, err
		}
	}
	if s.file != nil {
		return s.file.Write(p)
	}
	*s.mem = append(*s.mem, p...)
	return len(p), nil
}

// spill moves what is in memory to a file.
func (s *spool) spill() error {
	f, err := os.CreateTemp(s.dir, "incoming-*")
	if err != nil {
		return err
	}
	os.Remove(f.Name())
	s.file = f
	_, err = f.Write(*s.mem)
	return err
}

// body is what was written, to be read any number of times.
func (s *spool) body() blob.Body {
	if s.file != nil {
		return blob.From(s.file, s.size)
	}
	return blob.Bytes(*s.mem)
}

// replace puts edited bytes in the place of what was written.
func (s *spool) replace(edit func(w io.Writer, from io.ReaderAt, size int64) error) error {
	old := *s
	fresh := newSpool(s.dir)
	if err := edit(fresh, old.body(), old.size); err != nil {
		fresh.free()
		return err
	}
	*s = *fresh
	old.free()
	return nil
}

func (s *spool) sum() (out [32]byte) {
	s.hash.Sum(out[:0])
	return out
}

// free gives everything back; the body must not be used any more.
func (s *spool) free() {
	if s.file != nil {
		s.file.Close()
		s.file = nil
	}
	if s.mem != nil {
		*s.mem = (*s.mem)[:0]
		buffers.Put(s.mem) // at most about inMemory large
		s.mem = nil
	}
}
