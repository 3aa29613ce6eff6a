//go:build unix && !linux

package sandbox

import "syscall"

// For root these set the saved ids, too (POSIX).

func setgid(id int) error { return syscall.Setgid(id) }
func setuid(id int) error { return syscall.Setuid(id) }
