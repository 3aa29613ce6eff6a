package sqlstore

import (
	"errors"
	"os"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// sideFile finds traces. It is written without waiting for the disk, and may be
// deleted while the store is closed: it is made again from the main file, except
// for what was refused.
const sideFile = "trace.db"

// openOrReplace opens a file that can be made again: one that is damaged is put
// aside as <name>.damaged.
func openOrReplace(path string, open func() (engine, error)) (engine, error) {
	e, err := open()
	if !damaged(err) {
		return e, err
	}
	if err := os.Rename(path, path+".damaged"); err != nil {
		return nil, err
	}
	for _, suffix := range []string{"-wal", "-shm"} {
		if err := os.Remove(path + suffix); err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, err
		}
	}
	return open()
}

// damaged tells whether SQLite found that a file is not what it wrote.
func damaged(err error) bool {
	e, ok := errors.AsType[*sqlite.Error](err)
	if !ok {
		return false
	}
	code := e.Code() & 0xff
	return code == sqlite3.SQLITE_CORRUPT || code == sqlite3.SQLITE_NOTADB
}
