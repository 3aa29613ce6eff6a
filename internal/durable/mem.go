package durable

import (
	"errors"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"path"
	"slices"
	"strings"
	"sync"
	"time"
)

// SectorBytes is the unit in which an unsynced write survives a crash, or not.
const SectorBytes = 512

// Mem is an FS in memory that knows what was synced. [Mem.CrashClone] is the same tree after a power
// cut.
type Mem struct {
	mu     sync.Mutex
	names  map[string]*inode // as a running program sees them
	synced map[string]*inode // as they are on disk for certain
	ops    []dirOp           // changes of names that are not certain yet, in order
	locks  map[string]bool
}

// dirOp is one atomic change of names: nil removes.
type dirOp map[string]*inode

type inode struct {
	dir      bool
	data     []byte
	disk     []byte // contents for certain
	lo, hi   int    // data[lo:hi] may differ from disk; hi 0: nothing does
	modified time.Time
}

// NewMem returns an empty tree.
func NewMem() *Mem {
	return &Mem{names: map[string]*inode{}, synced: map[string]*inode{}, locks: map[string]bool{}}
}

// CrashClone returns the tree as it may be found after a power cut at this moment: what was synced is
// there; each unsynced change of names has happened or not; each file has all, none or some sectors of
// what was written to it since its last Sync. Locks are gone. m itself is not changed.
func (m *Mem) CrashClone(rng *rand.Rand) *Mem {
	m.mu.Lock()
	defer m.mu.Unlock()
	names := maps.Clone(m.synced)
	for _, op := range m.ops {
		if rng.IntN(2) == 0 {
			apply(names, op)
		}
	}
	clone := NewMem()
	done := map[*inode]*inode{}
	for _, name := range slices.Sorted(maps.Keys(names)) { // sorted: the same rng gives the same clone
		if parent := path.Dir(name); parent != "." && names[parent] == nil {
			continue // its folder vanished
		}
		old := names[name]
		if done[old] == nil {
			done[old] = old.crash(rng)
		}
		clone.names[name] = done[old]
	}
	clone.synced = maps.Clone(clone.names)
	return clone
}

// crash mixes old and new contents by sector.
func (n *inode) crash(rng *rand.Rand) *inode {
	size := len(n.disk)
	switch mode := rng.IntN(4); {
	case n.dir:
		return &inode{dir: true, modified: n.modified}
	case mode == 0: // nothing of it reached the disk
		return &inode{data: slices.Clone(n.disk), disk: slices.Clone(n.disk), modified: n.modified}
	case mode == 1 && len(n.data) > len(n.disk): // part of the growth did
		size += rng.IntN(len(n.data) - len(n.disk) + 1)
	default:
		size = len(n.data)
	}
	keepAll := rng.IntN(4) == 0
	mixed := make([]byte, size)
	copy(mixed, n.disk)
	for at := n.lo / SectorBytes * SectorBytes; at < min(size, n.hi); at += SectorBytes {
		if end := min(at+SectorBytes, size, len(n.data)); at < end && (keepAll || rng.IntN(2) == 0) {
			copy(mixed[at:end], n.data[at:end])
		}
	}
	return &inode{data: mixed, disk: slices.Clone(mixed), modified: n.modified}
}

func apply(names map[string]*inode, op dirOp) {
	for name, n := range op {
		if n == nil {
			delete(names, name)
		} else {
			names[name] = n
		}
	}
}

// change does op now, and durably after a SyncDir of a folder that it touches. m.mu is held.
func (m *Mem) change(op dirOp) {
	apply(m.names, op)
	m.ops = append(m.ops, op)
}

// find returns the inode of a cleaned name. m.mu is held.
func (m *Mem) find(op, name string) (*inode, error) {
	if name == "." {
		return &inode{dir: true}, nil
	}
	if n := m.names[name]; n != nil {
		return n, nil
	}
	return nil, &fs.PathError{Op: op, Path: name, Err: fs.ErrNotExist}
}

func clean(op, name string) (string, error) {
	name = path.Clean(name)
	if !fs.ValidPath(name) {
		return "", &fs.PathError{Op: op, Path: name, Err: fs.ErrInvalid}
	}
	return name, nil
}

func (m *Mem) Create(name string) (File, error) {
	name, err := clean("create", name)
	if err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if parent, err := m.find("create", path.Dir(name)); err != nil || !parent.dir {
		return nil, errors.Join(err, &fs.PathError{Op: "create", Path: name, Err: fs.ErrNotExist})
	}
	if m.names[name] != nil {
		return nil, &fs.PathError{Op: "create", Path: name, Err: fs.ErrExist}
	}
	n := &inode{modified: time.Now()}
	m.change(dirOp{name: n})
	return &memFile{m: m, n: n, write: true}, nil
}

func (m *Mem) Open(name string) (File, error) { return m.open(name, false) }
func (m *Mem) Edit(name string) (File, error) { return m.open(name, true) }

func (m *Mem) open(name string, write bool) (File, error) {
	name, err := clean("open", name)
	if err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	n, err := m.find("open", name)
	if err != nil {
		return nil, err
	}
	if n.dir {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrInvalid}
	}
	return &memFile{m: m, n: n, write: write}, nil
}

func (m *Mem) Mkdir(name string) error {
	name, err := clean("mkdir", name)
	if err != nil || name == "." {
		return err
	}
	if err := m.Mkdir(path.Dir(name)); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	switch n := m.names[name]; {
	case n == nil:
		n = &inode{dir: true, modified: time.Now()}
		m.names[name], m.synced[name] = n, n
	case !n.dir:
		return &fs.PathError{Op: "mkdir", Path: name, Err: fs.ErrExist}
	}
	return nil
}

func (m *Mem) Rename(oldName, newName string) error {
	oldName, err := clean("rename", oldName)
	if err != nil {
		return err
	}
	newName, err = clean("rename", newName)
	if err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	n, err := m.find("rename", oldName)
	if err != nil {
		return err
	}
	if parent, err := m.find("rename", path.Dir(newName)); err != nil || !parent.dir || n.dir {
		return errors.Join(err, &fs.PathError{Op: "rename", Path: newName, Err: fs.ErrInvalid})
	}
	if oldName != newName {
		m.change(dirOp{oldName: nil, newName: n})
	}
	return nil
}

func (m *Mem) Remove(name string) error {
	name, err := clean("remove", name)
	if err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	n, err := m.find("remove", name)
	if err != nil {
		return err
	}
	if n.dir {
		return &fs.PathError{Op: "remove", Path: name, Err: fs.ErrInvalid}
	}
	m.change(dirOp{name: nil})
	return nil
}

func (m *Mem) ReadDir(name string) ([]Info, error) {
	name, err := clean("readdir", name)
	if err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, err := m.find("readdir", name); err != nil {
		return nil, err
	}
	var list []Info
	for _, key := range slices.Sorted(maps.Keys(m.names)) {
		if path.Dir(key) == name {
			list = append(list, m.names[key].info(key))
		}
	}
	return list, nil
}

func (m *Mem) Stat(name string) (Info, error) {
	name, err := clean("stat", name)
	if err != nil {
		return Info{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	n, err := m.find("stat", name)
	if err != nil {
		return Info{}, err
	}
	return n.info(name), nil
}

func (n *inode) info(name string) Info {
	return Info{Name: name[strings.LastIndexByte(name, '/')+1:], Size: int64(len(n.data)), Dir: n.dir, Modified: n.modified}
}

func (m *Mem) SyncDir(name string) error {
	name, err := clean("syncdir", name)
	if err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, err := m.find("syncdir", name); err != nil {
		return err
	}
	m.ops = slices.DeleteFunc(m.ops, func(op dirOp) bool {
		for key := range op {
			if path.Dir(key) == name {
				apply(m.synced, op)
				return true
			}
		}
		return false
	})
	return nil
}

func (m *Mem) Lock(name string) (io.Closer, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.locks[name] {
		return nil, ErrLocked
	}
	m.locks[name] = true
	return &memLock{m: m, name: name}, nil
}

type memLock struct {
	m    *Mem
	name string
}

func (l *memLock) Close() error {
	l.m.mu.Lock()
	defer l.m.mu.Unlock()
	delete(l.m.locks, l.name)
	return nil
}
