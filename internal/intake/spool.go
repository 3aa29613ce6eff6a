package intake

import (
	"crypto/sha256"
	"hash"
	"io"
	"os"
	"sync"
	"sync/atomic"

	"posta/internal/blob"
)

// Where the bytes of a message wait for its end. Nearly all mail is small and stays
// in memory; what is larger does so as long as there is room for it, so that a
// hundred sessions with 150 MiB each cost disk and not memory.
const (
	inMemory    = 256 << 10 // up to this size always in memory
	largeMemory = 4 << 20   // above this size always in a file
	allLarge    = 48 << 20  // what all messages above inMemory may hold in memory together
	firstBuffer = 32 << 10
)

// spooler makes spools and lends them memory. Buffers of one size share a pool: if
// they grew in one, each would be large in the end, whatever it holds.
type spooler struct {
	dir     string
	buffers sync.Pool    // *[]byte of firstBuffer
	middle  sync.Pool    // *[]byte of inMemory
	large   atomic.Int64 // octets lent above inMemory
}

func newSpooler(dir string) *spooler {
	buffer := func(size int) func() any { return func() any { b := make([]byte, 0, size); return &b } }
	return &spooler{dir: dir, buffers: sync.Pool{New: buffer(firstBuffer)}, middle: sync.Pool{New: buffer(inMemory)}}
}

// spool takes the bytes of one message. Its file, if it has one, is unlinked as
// soon as it is made: a crash leaves nothing behind.
type spool struct {
	from *spooler
	mem  *[]byte
	lent int64 // of from.large
	want int64 // octets announced, 0 if not known
	file *os.File
	size int64
	hash hash.Hash
}

// open begins a spool for a message of about want octets; 0 is not known. Memory
// is taken when bytes arrive, not for the announcement.
func (s *spooler) open(want int64) *spool {
	return &spool{from: s, mem: s.buffers.Get().(*[]byte), want: want, hash: sha256.New()}
}

// Write appends; an error is the disk's.
func (s *spool) Write(p []byte) (int, error) {
	s.hash.Write(p)
	s.size += int64(len(p))
	if s.file == nil && !s.room(len(p)) {
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

// room makes room for n more octets in memory, if the message may stay there.
func (s *spool) room(n int) bool {
	old := *s.mem
	need := int64(len(old) + n)
	if need <= int64(cap(old)) {
		return true
	}
	if need > largeMemory {
		return false
	}
	size := min(max(2*int64(cap(old)), need), largeMemory)
	if s.want >= need && s.want <= min(8*size, largeMemory) { // trusted as far as what came lets it be
		size = s.want
	}
	if size > inMemory {
		more := size - s.lent
		if s.from.large.Add(more) > allLarge {
			s.from.large.Add(-more)
			return false
		}
		s.lent = size
	}
	grown := new([]byte)
	if size <= inMemory {
		grown = s.from.middle.Get().(*[]byte)
	} else {
		*grown = make([]byte, 0, size)
	}
	*grown = append(*grown, old...)
	s.giveBuffer()
	s.mem = grown
	return true
}

// spill moves what is in memory to a file.
func (s *spool) spill() error {
	f, err := os.CreateTemp(s.from.dir, "incoming-*")
	if err != nil {
		return err
	}
	os.Remove(f.Name())
	s.file = f
	_, err = f.Write(*s.mem)
	s.release()
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
	fresh := s.from.open(old.size)
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
	s.release()
}

// release gives the memory back.
func (s *spool) release() {
	if s.mem != nil {
		s.giveBuffer()
		s.mem = nil
	}
	s.from.large.Add(-s.lent)
	s.lent = 0
}

// giveBuffer gives the buffer back for another message, unless it is a large one.
func (s *spool) giveBuffer() {
	*s.mem = (*s.mem)[:0]
	switch cap(*s.mem) {
	case firstBuffer:
		s.from.buffers.Put(s.mem)
	case inMemory:
		s.from.middle.Put(s.mem)
	}
}
