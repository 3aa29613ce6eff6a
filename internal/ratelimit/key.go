package ratelimit

import "net/netip"

// Host is the key of one customer's host: an IPv4 address, or the /64 that one
// host has of IPv6. Mapped addresses count as IPv4. The zero prefix is the key
// of an invalid address.
func Host(ip netip.Addr) netip.Prefix { return prefix(ip, 32, 64) }

// Network is the key of one network: the /24 of IPv4, the /48 of IPv6.
func Network(ip netip.Addr) netip.Prefix { return prefix(ip, 24, 48) }

func prefix(ip netip.Addr, v4, v6 int) netip.Prefix {
	ip = ip.Unmap().WithZone("")
	bits := v6
	if ip.Is4() {
		bits = v4
	}
	p, err := ip.Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return p
}
