package spf

import (
	"net/netip"
	"strings"
)

// maxRecord is the longest record that is parsed. RFC 7208 §3.4 asks for records that fit 512 octets with the rest of the
// answer; the longest in use have a few thousand.
const maxRecord = 16 << 10

// IsRecord tells whether a TXT record is an SPF record, well-formed or not: it starts with the version (RFC 7208 §4.5).
func IsRecord(txt string) bool {
	const version = "v=spf1"
	return len(txt) >= len(version) && strings.EqualFold(txt[:len(version)], version) &&
		(len(txt) == len(version) || txt[len(version)] == ' ')
}

// Parse reads a whole record, version included. The error is a [*SyntaxError] for the first term that breaks the grammar.
func Parse(record string) (Record, error) {
	if !IsRecord(record) {
		return Record{}, &SyntaxError{Term: record, Reason: "no version v=spf1"}
	}
	if len(record) > maxRecord {
		return Record{}, &SyntaxError{Term: record, Reason: "record longer than 16 KiB"}
	}
	rest, offset := record[len("v=spf1"):], len("v=spf1")
	r := Record{Terms: make([]Term, 0, strings.Count(rest, " "))}
	var seen [Unknown]bool
	for rest != "" {
		if rest[0] == ' ' {
			rest, offset = rest[1:], offset+1
			continue
		}
		end := strings.IndexByte(rest, ' ')
		if end < 0 {
			end = len(rest)
		}
		t, reason := parseTerm(rest[:end])
		t.Text, t.Offset = rest[:end], offset
		if reason == "" && (t.Kind == Redirect || t.Kind == Exp) {
			if seen[t.Kind] {
				reason = "modifier given twice" // RFC 7208 §6
			}
			seen[t.Kind] = true
		}
		if reason != "" {
			return Record{}, &SyntaxError{Term: t.Text, Offset: offset, Reason: reason}
		}
		r.Terms = append(r.Terms, t)
		rest, offset = rest[end:], offset+end
	}
	return r, nil
}

// parseTerm reads a directive or a modifier; reason is empty when it is well-formed.
func parseTerm(s string) (t Term, reason string) {
	name := s[:nameEnd(s)]
	if len(name) < len(s) && s[len(name)] == '=' && name != "" {
		return parseModifier(name, s[len(name)+1:])
	}
	t.Qualifier = QPass
	switch s[0] {
	case '+', '-', '~', '?':
		t.Qualifier = Qualifier(s[0])
		s = s[1:]
		name = s[:nameEnd(s)]
	}
	kind, ok := mechanism(name)
	if !ok {
		return t, "unknown mechanism"
	}
	t.Kind = kind
	return parseArgument(t, s[len(name):])
}

// nameEnd finds the end of a name: ALPHA *( ALPHA / DIGIT / "-" / "_" / "." ).
func nameEnd(s string) int {
	for i := range len(s) {
		c := s[i]
		if !isAlpha(c) && (i == 0 || !isDigit(c) && c != '-' && c != '_' && c != '.') {
			return i
		}
	}
	return len(s)
}

func mechanism(name string) (Kind, bool) {
	for k := All; k < Redirect; k++ {
		if strings.EqualFold(name, kindNames[k]) {
			return k, true
		}
	}
	return 0, false
}

func parseModifier(name, value string) (t Term, reason string) {
	switch {
	case strings.EqualFold(name, "redirect"):
		t.Kind = Redirect
	case strings.EqualFold(name, "exp"):
		t.Kind = Exp
	default:
		t.Kind, t.Name, t.Spec = Unknown, name, Macro(value)
		// A modifier that we do not know may use letters that we do not know the place of.
		return t, checkMacro(value, anyLetter)
	}
	t.Spec = Macro(value)
	return t, checkDomainSpec(value)
}

// parseArgument reads what follows the mechanism's name, by kind.
func parseArgument(t Term, arg string) (Term, string) {
	value, colon := strings.CutPrefix(arg, ":")
	switch t.Kind {
	case All:
		if arg != "" {
			return t, "all takes no argument"
		}
		return t, ""
	case IP4, IP6:
		if !colon {
			return t, "network missing"
		}
		return parseNetwork(t, value)
	case A, MX:
		t.Bits4, t.Bits6 = 32, 128
		spec, reason := t.cutBits(arg)
		if reason != "" || spec == "" {
			return t, reason
		}
		if value, colon = strings.CutPrefix(spec, ":"); !colon {
			return t, "unknown mechanism"
		}
	case PTR:
		if arg == "" {
			return t, ""
		}
	}
	if !colon {
		return t, "domain missing"
	}
	t.Spec = Macro(value)
	return t, checkDomainSpec(value)
}

func parseNetwork(t Term, s string) (Term, string) {
	host, length, slash := strings.Cut(s, "/")
	ip, err := netip.ParseAddr(host)
	if err != nil || ip.Is4() != (t.Kind == IP4) || ip.Zone() != "" {
		return t, "not an address of this family"
	}
	bits := ip.BitLen()
	if slash {
		n, ok := prefixLength(length, bits)
		if !ok {
			return t, "bad prefix length"
		}
		bits = n
	}
	t.Prefix = netip.PrefixFrom(ip, bits)
	return t, ""
}

// cutBits takes the dual-cidr-length off the end of an a or mx argument. A "/" before it belongs to the domain-spec, where a
// macro may use it as a delimiter.
func (t *Term) cutBits(arg string) (spec, reason string) {
	tail := strings.LastIndexByte(arg, '}') + 1
	digits := func(end int) (start int) {
		for end > tail && isDigit(arg[end-1]) {
			end--
		}
		return end
	}
	end := len(arg)
	if i := digits(end); i-2 >= tail && arg[i-2:i] == "//" {
		n, ok := prefixLength(arg[i:end], 128)
		if !ok {
			return "", "bad IPv6 prefix length"
		}
		t.Bits6, end = uint8(n), i-2
	}
	if i := digits(end); i-1 >= tail && arg[i-1] == '/' {
		n, ok := prefixLength(arg[i:end], 32)
		if !ok {
			return "", "bad IPv4 prefix length"
		}
		t.Bits4, end = uint8(n), i-1
	}
	return arg[:end], ""
}

// prefixLength reads a number without leading zeros, up to most.
func prefixLength(s string, most int) (int, bool) {
	if s == "" || len(s) > 3 || s[0] == '0' && len(s) > 1 {
		return 0, false
	}
	n := 0
	for i := range len(s) {
		if !isDigit(s[i]) {
			return 0, false
		}
		n = n*10 + int(s[i]-'0')
	}
	return n, n <= most
}

func isAlpha(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }

func isDigit(c byte) bool { return '0' <= c && c <= '9' }
