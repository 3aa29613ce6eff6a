package config

import "net"

// Port is the number at the end of a listener's address, 0 if it is closed.
func Port(address string) uint16 {
	_, p, err := net.SplitHostPort(address)
	if err != nil {
		return 0
	}
	n, err := net.LookupPort("tcp", p)
	if err != nil {
		return 0
	}
	return uint16(n)
}
