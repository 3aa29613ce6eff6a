package durable

import (
	"errors"
	"os"
	"syscall"
)

// datasync is fdatasync: contents and size, without the times that fsync would write too.
func datasync(f *os.File) error {
	return control(f, "fdatasync", syscall.Fdatasync)
}

// allocate is fallocate with mode 0, which also sets the size, so that the fdatasync after a write in
// the reserved part has no new size to record.
func allocate(f *os.File, off, n int64) error {
	err := control(f, "fallocate", func(fd int) error { return syscall.Fallocate(fd, 0, off, n) })
	if errors.Is(err, syscall.EOPNOTSUPP) || errors.Is(err, syscall.ENOSYS) || errors.Is(err, syscall.EINVAL) {
		return nil // NFS, ZFS and others cannot reserve
	}
	return err
}

// control runs a system call on the descriptor, again when a signal interrupts it.
func control(f *os.File, op string, call func(fd int) error) error {
	raw, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var callErr error
	err = raw.Control(func(fd uintptr) {
		for {
			if callErr = call(int(fd)); callErr != syscall.EINTR {
				return
			}
		}
	})
	if err == nil && callErr != nil {
		err = &os.PathError{Op: op, Path: f.Name(), Err: callErr}
	}
	return err
}
