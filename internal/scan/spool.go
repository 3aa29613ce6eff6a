package scan

import (
	"os"

	"posta/internal/blob"
)

// TempDir is the folder for bodies that scanners replaced, "" the system's.
type TempDir string

// inMemory is the size up to which a replaced body is held in memory.
const inMemory = 256 << 10

// spool takes a replaced body. Its file is unlinked as soon as it is made.
type spool struct {
	dir  TempDir
	mem  []byte
	file *os.File
	size int64
}

// Write appends. An error is the disk's.
func (s *spool) Write(p []byte) (int, error) {
	s.size += int64(len(p))
	if s.file == nil && s.size > inMemory {
		if err := s.spill(); err != nil {
			return 0, err
		}
	}
	if s.file != nil {
		return s.file.Write(p)
	}
	s.mem = append(s.mem, p...)
	return len(p), nil
}

// spill moves what is in memory to a file.
func (s *spool) spill() error {
	f, err := os.CreateTemp(string(s.dir), "scanned-*")
	if err != nil {
		return err
	}
	os.Remove(f.Name())
	s.file = f
	_, err = f.Write(s.mem)
	s.mem = nil
	return err
}

// body is what was written, to be read until free.
func (s *spool) body() blob.Body {
	if s.file != nil {
		return blob.From(s.file, s.size)
	}
	return blob.Bytes(s.mem)
}

// free gives everything back; a nil spool has nothing.
func (s *spool) free() {
	if s != nil && s.file != nil {
		s.file.Close()
		s.file = nil
	}
}
