// Package durable is the file system as Posta relies on it: few operations, each with a promise about
// what survives a power cut.
//
// The promises are those of POSIX on a journaling file system, and no more:
//
//   - what was written to a file survives once [File.Sync] has returned nil;
//   - a name that was created, renamed or removed survives once [FS.SyncDir] of its folder has
//     returned nil; until then it may or may not be there after a crash;
//   - a rename is atomic: after a crash either the old name or the new one is there;
//   - a write is not atomic: after a crash any of its 512-byte sectors may be old or new;
//   - after a Sync has failed nothing is known about any write since the last good one, and a later
//     Sync that succeeds does not mend that (Linux marks the pages clean). Abandon the file.
//
// [OS] is the real thing, rooted in a folder. [Mem] is one in memory that forgets what was not
// synced, and [Faulty] fails the operations that a test wants to see fail. [Failpoints] stops a whole
// program at a named step.
package durable

import (
	"errors"
	"io"
	"path"
	"syscall"
	"time"
)

// FS is a folder tree. Names are slash-separated and relative to its root; "." is the root itself.
// Errors match fs.ErrNotExist and fs.ErrExist. All methods may be called from several goroutines.
type FS interface {
	// Create makes a new file for reading and writing, readable by the owner only.
	Create(name string) (File, error)
	// Open opens an existing file for reading.
	Open(name string) (File, error)
	// Edit opens an existing file for reading and writing.
	Edit(name string) (File, error)
	// Mkdir makes a folder and its parents where missing. It is durable when it returns.
	Mkdir(name string) error
	// Rename replaces newName by oldName, atomically. Files only.
	Rename(oldName, newName string) error
	// Remove removes a file. Who has it open can still read it.
	Remove(name string) error
	// ReadDir lists a folder, sorted by name.
	ReadDir(name string) ([]Info, error)
	// Stat describes a file or folder.
	Stat(name string) (Info, error)
	// SyncDir makes the names in a folder durable.
	SyncDir(name string) error
	// Lock takes the named lock file (made if missing) for this process, or fails at once with
	// ErrLocked. The lock goes with Close or with the process.
	Lock(name string) (io.Closer, error)
}

// File is an open file. ReadAt and WriteAt may be called from several goroutines.
type File interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	// Sync makes the contents and the size durable (fdatasync where there is one).
	Sync() error
	// Truncate sets the size; growth reads as zeros.
	Truncate(size int64) error
	// Preallocate reserves space so that the file is at least size bytes long; growth reads as zeros.
	// Where the file system cannot reserve, it does nothing and returns nil.
	Preallocate(size int64) error
	// Size in bytes.
	Size() (int64, error)
}

// Info describes a file or folder.
type Info struct {
	Name     string // last element of the path
	Size     int64
	Dir      bool
	Modified time.Time
}

// ErrLocked: another process holds the lock.
var ErrLocked = errors.New("durable: locked by another process")

// IsFull tells whether an error means that there is no space left (ENOSPC, EDQUOT).
func IsFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}

// WriteFile replaces the contents of a file so that after a crash either the old or the new contents
// are there, whole; when it returns nil, the new. One writer per name at a time; a name.tmp left by a
// crash is replaced. The sequence:
//
//	unlink(name.tmp)                     what an earlier crash left
//	open(name.tmp, O_CREAT|O_EXCL)
//	pwrite(name.tmp)
//	fdatasync(name.tmp)                  contents before the name: else a crash can show an empty file
//	rename(name.tmp, name)               atomic
//	fsync(folder)                        the name
func WriteFile(fsys FS, name string, data []byte) error {
	tmp := name + ".tmp"
	_ = fsys.Remove(tmp) // usually absent; if it cannot go, Create tells
	if err := writeNew(fsys, tmp, data); err != nil {
		return errors.Join(err, ignoreMissing(fsys.Remove(tmp)))
	}
	if err := fsys.Rename(tmp, name); err != nil {
		return errors.Join(err, ignoreMissing(fsys.Remove(tmp)))
	}
	return fsys.SyncDir(path.Dir(name))
}

func writeNew(fsys FS, name string, data []byte) error {
	f, err := fsys.Create(name)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(data, 0)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// ReadFile returns the contents of a file of at most limit bytes; a longer one is an error.
func ReadFile(fsys FS, name string, limit int64) ([]byte, error) {
	f, err := fsys.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil {
		return nil, err
	}
	if size > limit {
		return nil, errors.New("durable: " + name + " is longer than its limit")
	}
	buf := make([]byte, size)
	n, err := f.ReadAt(buf, 0)
	if n < len(buf) {
		return nil, err
	}
	return buf, nil
}
