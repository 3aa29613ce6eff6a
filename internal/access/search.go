package access

import (
	"hash/maphash"
	"net/netip"
	"strings"

	"posta/internal/addr"
)

// search asks the map for keys in sendmail's order. Its methods are the
// rulesets of proto.m4 that look keys up: D, A, F, U and E there.
type search struct {
	m    *Map
	only bool    // the tagged key alone, never the untagged one (sendmail's "!")
	log  *[]Step // what was asked, nil when nobody wants to know
}

// hit is an entry that was found.
type hit struct {
	key   Key
	value Value
}

// Step is one question to the map.
type Step struct {
	Key   Key
	Value Value // None when the key is not there
}

// probe asks for a name with the tag, then without.
func (s *search) probe(tag Tag, raw []byte) (hit, bool) {
	var values, name string
	var sh *shard
	if s.m != nil {
		h := maphash.Bytes(s.m.seed, raw)
		if s.m.filter.has(h) {
			sh = s.m.shards[h>>s.m.shift]
			values, name = sh.find(h, raw)
		}
	}
	if s.log != nil && values == "" {
		name = string(raw)
	}
	for {
		var v Value
		ok := false
		if values != "" {
			v, ok = sh.value(values, tag)
		}
		if s.log != nil {
			*s.log = append(*s.log, Step{Key{tag, name}, v})
		}
		if ok {
			return hit{Key{tag, name}, v}, true
		}
		if s.only || tag == Untagged || (values == "" && s.log == nil) {
			return hit{}, false
		}
		tag = Untagged
	}
}

// has reports whether the map has names of a kind, or somebody wants to know
// all that would be asked.
func (s *search) has(k kind) bool { return s.log != nil || s.m != nil && s.m.kinds[k] > 0 }

// domain looks for a domain and the ones above it (ruleset D). SKIP ends the
// search as if nothing were there.
func (s *search) domain(tag Tag, domain string) (hit, bool) {
	if len(domain) > addr.MaxDomain || !s.has(kindHost) && !s.has(kindBelow) {
		return hit{}, false
	}
	var buf [addr.MaxDomain]byte
	name := append(buf[:0], domain...)
	for len(name) > 0 {
		h, ok := s.probe(tag, name)
		dot := strings.IndexByte(domain, '.')
		if !ok && dot > 0 && s.has(kindBelow) {
			h, ok = s.probe(tag, name[dot:])
		}
		if ok {
			return h, h.value.Action != SKIP
		}
		if dot < 0 {
			break
		}
		domain, name = domain[dot+1:], name[dot+1:]
	}
	return hit{}, false
}

// address looks for an address and the networks around it, the longest first
// (ruleset A); bracketed are the names of clients that have none and domain
// literals (ruleset D with [ip]).
func (s *search) address(tag Tag, ip netip.Addr, bracketed bool) (hit, bool) {
	if !ip.IsValid() || s.m == nil && s.log == nil {
		return hit{}, false
	}
	ip = ip.Unmap().WithZone("")
	at, step := 0, 8
	if ip.Is6() {
		at, step = 1, 16
	}
	if bracketed {
		at += 2
	}
	var buf [18]byte
	for bits := ip.BitLen(); bits >= 0; bits-- {
		there := s.m != nil && s.m.lengths[at][bits] > 0
		if !there && (s.log == nil || bits%step != 0 || bits == 0) {
			continue
		}
		if h, ok := s.probe(tag, appendRaw(buf[:0], ip, bits, bracketed)); ok {
			return h, h.value.Action != SKIP
		}
	}
	return hit{}, false
}

// host looks for the name of a client or server; one without a verified name is
// called [its address].
func (s *search) host(tag Tag, name string, ip netip.Addr) (hit, bool) {
	if name != "" {
		return s.domain(tag, name)
	}
	return s.address(tag, ip, true)
}

// pathHost looks for what stands after the @ of a path (ruleset D).
func (s *search) pathHost(tag Tag, p *addr.Path) (hit, bool) {
	switch p.Kind {
	case addr.Mailbox:
		return s.domain(tag, string(p.Domain))
	case addr.IPLiteral:
		return s.address(tag, p.IP, true)
	}
	return hit{}, false
}

// exact looks for the host alone, not for domains above it (ruleset E).
func (s *search) exact(tag Tag, p *addr.Path) (hit, bool) {
	switch p.Kind {
	case addr.Mailbox:
		return s.probe(tag, []byte(p.Domain))
	case addr.IPLiteral:
		return s.probe(tag, appendRaw(nil, p.IP, p.IP.BitLen(), true))
	}
	return hit{}, false
}

// full looks for a whole address, then with any detail, then without its detail
// (ruleset F).
func (s *search) full(tag Tag, p *addr.Path) (hit, bool) {
	if p.Kind != addr.Mailbox && p.Kind != addr.IPLiteral || !s.has(kindAddress) {
		return hit{}, false
	}
	return s.local(tag, p, true)
}

// user looks for "user@", then with any detail, then without its detail
// (ruleset U).
func (s *search) user(tag Tag, p *addr.Path) (hit, bool) {
	if p.Local == "" || !s.has(kindUser) {
		return hit{}, false
	}
	return s.local(tag, p, false)
}

func (s *search) local(tag Tag, p *addr.Path, host bool) (hit, bool) {
	local := p.Local.Fold()
	h, ok := s.spelt(tag, p, local, host)
	plus := strings.IndexByte(string(local), '+')
	if ok || plus <= 0 {
		return h, ok
	}
	if s.log != nil || s.m != nil && s.m.stars > 0 {
		if h, ok = s.spelt(tag, p, local[:plus]+"+*", host); ok {
			return h, ok
		}
	}
	return s.spelt(tag, p, local[:plus], host)
}

func (s *search) spelt(tag Tag, p *addr.Path, local addr.Localpart, host bool) (hit, bool) {
	var buf [2*addr.HardLocalpart + 4 + addr.MaxDomain]byte
	name := append(local.AppendQuote(buf[:0]), '@')
	if host && p.Kind == addr.Mailbox {
		name = append(name, p.Domain...)
	} else if host {
		name = p.AppendHost(name)
	}
	return s.probe(tag, name)
}
