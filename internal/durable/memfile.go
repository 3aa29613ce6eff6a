package durable

import (
	"io"
	"io/fs"
	"slices"
	"time"
)

type memFile struct {
	m      *Mem
	n      *inode
	write  bool
	closed bool // guarded by m.mu
}

// enter locks the tree and checks that the file may be used so; the caller unlocks when err is nil.
func (f *memFile) enter(op string, write bool) error {
	f.m.mu.Lock()
	var err error
	switch {
	case f.closed:
		err = fs.ErrClosed
	case write && !f.write:
		err = fs.ErrPermission
	default:
		return nil
	}
	f.m.mu.Unlock()
	return &fs.PathError{Op: op, Path: "file", Err: err}
}

func (f *memFile) ReadAt(p []byte, off int64) (int, error) {
	if err := f.enter("read", false); err != nil {
		return 0, err
	}
	defer f.m.mu.Unlock()
	if off >= int64(len(f.n.data)) {
		return 0, io.EOF
	}
	n := copy(p, f.n.data[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (f *memFile) WriteAt(p []byte, off int64) (int, error) {
	if err := f.enter("write", true); err != nil {
		return 0, err
	}
	defer f.m.mu.Unlock()
	end := int(off) + len(p)
	f.n.resize(max(len(f.n.data), end))
	copy(f.n.data[off:], p)
	f.n.dirty(int(off), end)
	return len(p), nil
}

func (f *memFile) Truncate(size int64) error {
	if err := f.enter("truncate", true); err != nil {
		return err
	}
	defer f.m.mu.Unlock()
	f.n.resize(int(size))
	return nil
}

func (f *memFile) Preallocate(size int64) error {
	if err := f.enter("preallocate", true); err != nil {
		return err
	}
	defer f.m.mu.Unlock()
	f.n.resize(max(len(f.n.data), int(size)))
	return nil
}

func (f *memFile) Sync() error {
	if err := f.enter("sync", false); err != nil {
		return err
	}
	defer f.m.mu.Unlock()
	n := f.n
	size := len(n.data)
	n.disk = slices.Grow(n.disk, max(0, size-len(n.disk)))[:size]
	if n.lo < min(n.hi, size) {
		copy(n.disk[n.lo:], n.data[n.lo:min(n.hi, size)])
	}
	n.lo, n.hi = 0, 0
	return nil
}

func (f *memFile) Size() (int64, error) {
	if err := f.enter("stat", false); err != nil {
		return 0, err
	}
	defer f.m.mu.Unlock()
	return int64(len(f.n.data)), nil
}

func (f *memFile) Close() error {
	if err := f.enter("close", false); err != nil {
		return err
	}
	defer f.m.mu.Unlock()
	f.closed = true
	return nil
}

// resize sets the length; growth is zeroed and dirty, so that Sync copies it over what a reused
// array of disk may hold there.
func (n *inode) resize(size int) {
	old := len(n.data)
	if size > old {
		n.data = slices.Grow(n.data, size-old)[:size]
		clear(n.data[old:])
		n.dirty(old, size)
	} else {
		n.data = n.data[:size]
	}
	n.modified = time.Now()
}

func (n *inode) dirty(lo, hi int) {
	if n.hi == 0 {
		n.lo, n.hi = lo, hi
		return
	}
	n.lo, n.hi = min(n.lo, lo), max(n.hi, hi)
}
