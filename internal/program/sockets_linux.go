package program

import (
	"fmt"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Landlock looks at unix sockets from Linux 7.1 on, and at UDP not at all. A program is a
// process of our own user, to whom our command socket listens: so the kernel is told to
// answer EPERM to socket(2), for any kind without network, for unix sockets always.

// arches are the numbers by which seccomp knows the processor (linux/audit.h).
var arches = map[string]uint32{"amd64": unix.AUDIT_ARCH_X86_64, "arm64": unix.AUDIT_ARCH_AARCH64, "riscv64": unix.AUDIT_ARCH_RISCV64}

// Offsets in struct seccomp_data.
const (
	dataNumber = 0
	dataArch   = 4
	dataDomain = 16 // the low half of the first argument, where the processor is little-endian
)

// closeSockets takes sockets from this thread and from what it executes. The thread must be
// locked, and have no_new_privs.
func closeSockets(network bool) error {
	arch, ok := arches[runtime.GOARCH]
	if !ok {
		return fmt.Errorf("programs cannot be confined on %s", runtime.GOARCH)
	}
	const (
		deny  = unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM)
		allow = unix.SECCOMP_RET_ALLOW
		load  = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS
		equal = unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K
		least = unix.BPF_JMP | unix.BPF_JGE | unix.BPF_K
		end   = unix.BPF_RET | unix.BPF_K
	)
	domain := unix.SockFilter{Code: equal, Jt: 1, Jf: 0, K: unix.AF_UNIX} // to deny, or to allow
	if !network {
		domain = unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JA, K: 1}
	}
	filter := []unix.SockFilter{
		{Code: load, K: dataArch},
		{Code: equal, Jt: 0, Jf: 7, K: arch}, // another ABI has other numbers: denied
		{Code: load, K: dataNumber},
		{Code: least, Jt: 5, Jf: 0, K: 0x40000000},              // x32
		{Code: equal, Jt: 4, Jf: 0, K: unix.SYS_IO_URING_SETUP}, // it makes sockets too
		{Code: equal, Jt: 0, Jf: 2, K: unix.SYS_SOCKET},
		{Code: load, K: dataDomain},
		domain,
		{Code: end, K: allow},
		{Code: end, K: deny},
	}
	prog := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	err := unix.Prctl(unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, uintptr(unsafe.Pointer(&prog)), 0, 0)
	runtime.KeepAlive(filter)
	return err
}
