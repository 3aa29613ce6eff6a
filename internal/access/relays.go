package access

import "net/netip"

// Networks from which on the right to relay is broad (S72): each machine in them,
// hijacked ones too, sends in our name.
const (
	broad4 = 24
	broad6 = 64
)

// Relays are the clients' networks that may relay and are broad: shorter than /24,
// or /64 of IPv6. It looks at every entry only when there is a network so broad.
func (m *Map) Relays() []netip.Prefix {
	if m == nil || !m.hasBroad() {
		return nil
	}
	var out []netip.Prefix
	for k, v := range m.All() {
		if v.Action != RELAY || k.tag != Connect && k.tag != Untagged {
			continue
		}
		if kind := kindOf(k.raw); kind != kindNet && kind != kindBracket {
			continue
		}
		if p := prefixOf(k.raw); p.Bits() < broadest(p.Addr()) {
			out = append(out, p)
		}
	}
	return out
}

func broadest(ip netip.Addr) int {
	if ip.Is4() {
		return broad4
	}
	return broad6
}

func (m *Map) hasBroad() bool {
	for i, limit := range [...]int{broad4, broad6, broad4, broad6} {
		for _, n := range m.lengths[i][:limit] {
			if n > 0 {
				return true
			}
		}
	}
	return false
}
