package reputation

import (
	"crypto/sha256"
	"encoding/hex"
	"net/netip"
	"strings"

	"posta/internal/addr"
	"posta/internal/store"
)

// Network is the network by which a client is known: the /24 of IPv4, the /64 of
// IPv6; the zero Prefix for no address.
func Network(ip netip.Addr) netip.Prefix {
	ip = ip.Unmap().WithZone("")
	bits := 64
	if ip.Is4() {
		bits = 24
	}
	p, err := ip.Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return p
}

// key joins the parts of a fact's key. Neither domains, networks nor local parts
// hold a tab, so no two keys are the same by accident or by intent. One that
// would be too long becomes its hash.
func key(parts ...string) string {
	k := strings.Join(parts, "\t")
	if len(k) <= store.MaxFactKey {
		return k
	}
	sum := sha256.Sum256([]byte(k))
	return parts[0][:min(len(parts[0]), 64)] + "\t#" + hex.EncodeToString(sum[:])
}

// stableSender is a reverse-path without what changes from message to message:
// numbers, hashes and the recipient's address of VERP, SRS0=…, prvs=… . The null
// reverse-path is "<>".
func stableSender(a addr.Address) string {
	if a.IsZero() {
		return "<>"
	}
	local := string(a.Local.Fold())
	if rest, ok := strings.CutPrefix(local, "prvs="); ok { // BATV: prvs=0123abcdef=user
		if _, user, ok := strings.Cut(rest, "="); ok {
			local = user
		}
	}
	if kind, domain := srs(local); kind != "" { // the domain that is forwarded from stays
		return kind + "=" + domain + "@" + string(a.Domain)
	}
	if i := strings.LastIndexByte(local, '='); i > 0 && strings.IndexByte(local[i:], '.') > 0 {
		local = local[:i] // list-ana=example.org: the recipient's domain goes, its name below
		if j := strings.LastIndexAny(local, "-+"); j > 0 {
			local = local[:j]
		}
	}
	var b strings.Builder
	for word := range words(local) {
		if varies(word) {
			word = "#"
		}
		b.WriteString(word)
	}
	return b.String() + "@" + string(a.Domain)
}

// srs reads SRS0=hash=day=domain=user and SRS1=hash=domain==…; kind is "" for
// anything else, domain is "#" where it cannot be read.
func srs(local string) (kind, domain string) {
	if len(local) < 5 || local[:3] != "srs" || local[3] != '0' && local[3] != '1' || strings.IndexByte("=+-", local[4]) < 0 {
		return "", ""
	}
	kind, at := local[:4], 2
	if kind == "srs1" {
		at = 1
	}
	if parts := strings.Split(local[5:], "="); len(parts) > at && parts[at] != "" {
		return kind, parts[at]
	}
	return kind, "#"
}

// words parts a local part into words of letters and digits and what stands
// between them.
func words(s string) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		start := 0
		for i := 1; i <= len(s); i++ {
			if i == len(s) || isWord(s[i]) != isWord(s[i-1]) {
				if !yield(s[start:i]) {
					return
				}
				start = i
			}
		}
	}
}

func isWord(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || c >= 0x80
}

// varies reports whether a word looks made for one message: a number, or a long
// mixture of letters and digits.
func varies(word string) bool {
	digits := 0
	for i := range len(word) {
		if '0' <= word[i] && word[i] <= '9' {
			digits++
		}
	}
	return digits == len(word) && digits > 0 || digits > 0 && len(word) >= 8
}
