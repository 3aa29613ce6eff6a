package durable

import (
	"io"
	"sync/atomic"
)

// Op is one operation that [Faulty] is about to do.
type Op struct {
	N    int64  // 1 for the first operation
	Kind string // create, open, edit, mkdir, rename, remove, readdir, stat, syncdir, lock, read, write, sync, truncate, preallocate
	Name string // the file or folder; of a rename the new name
	Len  int    // bytes of a read or write
}

// Changes tells whether the operation writes.
func (op Op) Changes() bool {
	switch op.Kind {
	case "open", "readdir", "stat", "read", "lock":
		return false
	}
	return true
}

// ShortWrite, returned by the hook of a write, lets the first N bytes pass before Err.
type ShortWrite struct {
	N   int
	Err error
}

func (s ShortWrite) Error() string { return "short write: " + s.Err.Error() }
func (s ShortWrite) Unwrap() error { return s.Err }

// Faulty asks a hook before each operation on another FS. An error of the hook is returned instead of
// doing it. The hook may look around (take a CrashClone), block, or kill the process; it is called
// from whichever goroutine does the operation.
type Faulty struct {
	fs   FS
	hook func(Op) error
	n    atomic.Int64
}

// NewFaulty wraps fsys; hook must not be nil.
func NewFaulty(fsys FS, hook func(Op) error) *Faulty { return &Faulty{fs: fsys, hook: hook} }

func (f *Faulty) ask(kind, name string, n int) error {
	return f.hook(Op{N: f.n.Add(1), Kind: kind, Name: name, Len: n})
}

func (f *Faulty) open(kind, name string, open func(string) (File, error)) (File, error) {
	if err := f.ask(kind, name, 0); err != nil {
		return nil, err
	}
	file, err := open(name)
	if err != nil {
		return nil, err
	}
	return &faultyFile{file: file, name: name, f: f}, nil
}

func (f *Faulty) Create(name string) (File, error) { return f.open("create", name, f.fs.Create) }
func (f *Faulty) Open(name string) (File, error)   { return f.open("open", name, f.fs.Open) }
func (f *Faulty) Edit(name string) (File, error)   { return f.open("edit", name, f.fs.Edit) }

func (f *Faulty) Mkdir(name string) error {
	if err := f.ask("mkdir", name, 0); err != nil {
		return err
	}
	return f.fs.Mkdir(name)
}

func (f *Faulty) Rename(oldName, newName string) error {
	if err := f.ask("rename", newName, 0); err != nil {
		return err
	}
	return f.fs.Rename(oldName, newName)
}

func (f *Faulty) Remove(name string) error {
	if err := f.ask("remove", name, 0); err != nil {
		return err
	}
	return f.fs.Remove(name)
}

func (f *Faulty) ReadDir(name string) ([]Info, error) {
	if err := f.ask("readdir", name, 0); err != nil {
		return nil, err
	}
	return f.fs.ReadDir(name)
}

func (f *Faulty) Stat(name string) (Info, error) {
	if err := f.ask("stat", name, 0); err != nil {
		return Info{}, err
	}
	return f.fs.Stat(name)
}

func (f *Faulty) SyncDir(name string) error {
	if err := f.ask("syncdir", name, 0); err != nil {
		return err
	}
	return f.fs.SyncDir(name)
}

func (f *Faulty) Lock(name string) (io.Closer, error) {
	if err := f.ask("lock", name, 0); err != nil {
		return nil, err
	}
	return f.fs.Lock(name)
}

type faultyFile struct {
	file File
	name string
	f    *Faulty
}

func (f *faultyFile) ReadAt(p []byte, off int64) (int, error) {
	if err := f.f.ask("read", f.name, len(p)); err != nil {
		return 0, err
	}
	return f.file.ReadAt(p, off)
}

func (f *faultyFile) WriteAt(p []byte, off int64) (int, error) {
	err := f.f.ask("write", f.name, len(p))
	if short, ok := err.(ShortWrite); ok {
		n, writeErr := f.file.WriteAt(p[:min(short.N, len(p))], off)
		if writeErr != nil {
			return n, writeErr
		}
		return n, short.Err
	}
	if err != nil {
		return 0, err
	}
	return f.file.WriteAt(p, off)
}

func (f *faultyFile) Sync() error {
	if err := f.f.ask("sync", f.name, 0); err != nil {
		return err
	}
	return f.file.Sync()
}

func (f *faultyFile) Truncate(size int64) error {
	if err := f.f.ask("truncate", f.name, 0); err != nil {
		return err
	}
	return f.file.Truncate(size)
}

func (f *faultyFile) Preallocate(size int64) error {
	if err := f.f.ask("preallocate", f.name, 0); err != nil {
		return err
	}
	return f.file.Preallocate(size)
}

// Size and Close cannot fail in ways that matter: they are not asked about.
func (f *faultyFile) Size() (int64, error) { return f.file.Size() }
func (f *faultyFile) Close() error         { return f.file.Close() }
