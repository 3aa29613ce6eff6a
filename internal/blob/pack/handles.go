package pack

import (
	"container/list"
	"errors"
	"io"
	"io/fs"
	"sync"
	"syscall"

	"posta/internal/blob"
	"posta/internal/blob/record"
	"posta/internal/durable"
)

// handles keeps a bounded number of packs open for reading, the least recently used one closed first.
// Files in use are not counted, nor closed.
type handles struct {
	open  func(name string) (durable.File, record.Salt, error)
	limit int

	mu     sync.Mutex
	byName map[string]*handle
	idle   *list.List // of *handle without users, most recent first
}

// handle is an open pack. Each user closes its own use.
type handle struct {
	set   *handles
	name  string
	file  durable.File
	salt  record.Salt
	users int
	gone  bool          // no longer in byName: close when the last user leaves
	elem  *list.Element // in idle
}

func (h *handles) acquire(name string) (*handle, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	c := h.byName[name]
	if c == nil {
		file, salt, err := h.open(name)
		if err != nil {
			return nil, err
		}
		c = &handle{set: h, name: name, file: file, salt: salt}
		h.byName[name] = c
	}
	if c.elem != nil {
		h.idle.Remove(c.elem)
		c.elem = nil
	}
	c.users++
	return c, nil
}

// Close ends one use.
func (c *handle) Close() error {
	h := c.set
	h.mu.Lock()
	defer h.mu.Unlock()
	if c.users--; c.users > 0 {
		return nil
	}
	if c.gone {
		return c.file.Close()
	}
	c.elem = h.idle.PushFront(c)
	if h.idle.Len() <= h.limit {
		return nil
	}
	return h.forget(h.idle.Back().Value.(*handle))
}

// forget closes a handle, or lets its last user close it. h.mu is held.
func (h *handles) forget(c *handle) error {
	delete(h.byName, c.name)
	c.gone = true
	if c.users > 0 {
		return nil
	}
	h.idle.Remove(c.elem)
	c.elem = nil
	return c.file.Close()
}

// evict forgets a pack that is removed.
func (h *handles) evict(name string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if c := h.byName[name]; c != nil {
		return h.forget(c)
	}
	return nil
}

func (h *handles) close() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	var errs []error
	for _, c := range h.byName {
		errs = append(errs, h.forget(c))
	}
	return errors.Join(errs...)
}

// ReadAt implements io.ReaderAt. What the medium cannot read is ErrCorrupt.
func (c *handle) ReadAt(p []byte, off int64) (int, error) {
	n, err := c.file.ReadAt(p, off)
	if errors.Is(err, syscall.EIO) {
		err = errors.Join(blob.ErrCorrupt, err)
	}
	return n, err
}

// openForReading opens the file of a unit under the name that it has just now.
func (s *Store) openForReading(name string) (durable.File, record.Salt, error) {
	s.mu.Lock()
	u := s.units[name]
	open := u != nil && u.open
	s.mu.Unlock()
	if u == nil {
		return nil, record.Salt{}, blob.ErrNotFound
	}
	f, err := s.fs.Open(s.file(name, open))
	if errors.Is(err, fs.ErrNotExist) {
		f, err = s.fs.Open(s.file(name, !open)) // sealed meanwhile
	}
	if errors.Is(err, fs.ErrNotExist) {
		err = errors.Join(blob.ErrNotFound, err)
	}
	if err != nil {
		return nil, record.Salt{}, err
	}
	salt, err := s.saltOf(u, f)
	if err != nil {
		return nil, record.Salt{}, errors.Join(err, f.Close())
	}
	return f, salt, nil
}

// saltOf reads the salt of a unit once. A damaged unit header alone keeps nobody from reading.
func (s *Store) saltOf(u *unit, src io.ReaderAt) (record.Salt, error) {
	s.mu.Lock()
	salt, known := u.salt, u.known
	s.mu.Unlock()
	if known {
		return salt, nil
	}
	salt, err := record.ReadSalt(src)
	if err != nil && salt == (record.Salt{}) {
		return salt, err
	}
	s.mu.Lock()
	u.salt, u.known = salt, true
	s.mu.Unlock()
	return salt, nil
}
