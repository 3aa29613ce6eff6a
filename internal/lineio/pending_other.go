//go:build !unix

package lineio

import "net"

// pending cannot be asked here: early talkers are seen with a greeting delay only.
func pending(net.Conn) bool { return false }
