//go:build unix

package lineio

import (
	"net"
	"syscall"
)

// pending asks the system, without waiting, whether octets have arrived. It
// knows sockets; of other connections it says no.
func pending(c net.Conn) bool {
	sc, ok := c.(syscall.Conn)
	if !ok {
		return false
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return false
	}
	var n int
	var octet [1]byte
	err = raw.Read(func(fd uintptr) bool {
		n, _, err = syscall.Recvfrom(int(fd), octet[:], syscall.MSG_PEEK) // Go's sockets do not block
		return true
	})
	return err == nil && n > 0
}
