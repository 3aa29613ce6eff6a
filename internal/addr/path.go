package addr

import (
	"net/netip"
	"strings"
)

// Kind tells what stands between the brackets of a path.
type Kind uint8

const (
	Null           Kind = iota // <>, a reverse-path only (RFC 5321 §4.5.5)
	Postmaster                 // <Postmaster> without domain, a forward-path only (§4.1.1.3)
	Mailbox                    // <local@domain>
	IPLiteral                  // <local@[192.0.2.1]> or <local@[IPv6:…]> (§4.1.3)
	GeneralLiteral             // <local@[tag:content]>
)

var kindNames = [...]string{"null", "postmaster", "mailbox", "ip-literal", "general-literal"}

func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return "unknown"
}

// Path is a reverse-path or forward-path of SMTP. The zero value is the null
// reverse-path. Paths are comparable.
type Path struct {
	Kind    Kind
	Local   Localpart  // empty for Null
	Domain  Domain     // for Mailbox
	IP      netip.Addr // for IPLiteral; never with zone, never IPv4-mapped
	General string     // "tag:content" for GeneralLiteral
	// Route is a source route as written, "@a,@b" (RFC 5321 App. C). Servers
	// ignore it or refuse it; String leaves it out.
	Route string
}

// PathOf returns the path of an address; the null path for the zero address.
func PathOf(a Address) Path {
	if a.IsZero() {
		return Path{}
	}
	return Path{Kind: Mailbox, Local: a.Local, Domain: a.Domain}
}

// IsNull reports whether p is the null reverse-path.
func (p Path) IsNull() bool { return p.Kind == Null }

// Address returns the address of a path of kind Mailbox.
func (p Path) Address() (a Address, ok bool) {
	if p.Kind != Mailbox {
		return Address{}, false
	}
	return Address{p.Local, p.Domain}, true
}

// NeedsUTF8 reports whether the path can only travel with SMTPUTF8.
func (p Path) NeedsUTF8() bool { return p.Local.NeedsUTF8() }

// String returns the path without brackets and without source route: "" for
// the null path, "Postmaster", "local@domain", "local@[192.0.2.1]". Put between
// brackets it parses to the same path (less the route).
func (p Path) String() string {
	return string(p.AppendTo(make([]byte, 0, len(p.Local)+len(p.Domain)+len(p.General)+24)))
}

// AppendTo appends what String returns.
func (p Path) AppendTo(b []byte) []byte {
	switch p.Kind {
	case Null:
		return b
	case Postmaster:
		return p.Local.AppendQuote(b)
	}
	b = append(p.Local.AppendQuote(b), '@')
	return p.AppendHost(b)
}

// AppendHost appends the part after the @: domain or address literal.
func (p Path) AppendHost(b []byte) []byte {
	switch p.Kind {
	case Mailbox:
		return append(b, p.Domain...)
	case IPLiteral:
		b = append(b, '[')
		if p.IP.Is6() {
			b = append(b, "IPv6:"...)
		}
		return append(p.IP.AppendTo(b), ']')
	case GeneralLiteral:
		b = append(b, '[')
		b = append(b, p.General...)
		return append(b, ']')
	}
	return b
}

// ParsePath reads a path with its brackets and nothing around it. Without
// allowUTF8 (no SMTPUTF8 on MAIL), non-ASCII is ErrNeedUTF8. It allocates only
// for quoted pairs, upper-case or internationalised domains.
//
// Both kinds of path have one grammar here; the door refuses Null and
// Postmaster where they do not belong, and decides about Route.
func ParsePath(s string, allowUTF8 bool) (Path, error) {
	p, rest, err := ScanPath(s, allowUTF8)
	if err == nil && rest != "" {
		err = ErrSyntax
	}
	if err != nil {
		return Path{}, err
	}
	return p, nil
}

// ScanPath reads a path at the start of s and returns what follows the closing
// bracket, which only this scan can find: a quoted local part may hold ">" and
// spaces.
func ScanPath(s string, allowUTF8 bool) (p Path, rest string, err error) {
	if len(s) < 2 || s[0] != '<' {
		return Path{}, "", ErrSyntax
	}
	s = s[1:]
	if s[0] == '>' {
		return Path{}, s[1:], nil
	}
	if s[0] == '@' {
		if p.Route, s, err = scanRoute(s, allowUTF8); err != nil {
			return Path{}, "", err
		}
	}
	local, n, err := scanLocal(s, allowUTF8)
	if err != nil {
		return Path{}, "", err
	}
	p.Local, s = local, s[n:]
	switch {
	case s == "":
		return Path{}, "", ErrSyntax
	case s[0] == '>' && p.Route == "" && strings.EqualFold(string(local), "postmaster"):
		p.Kind = Postmaster
		return p, s[1:], nil
	case s[0] == '>':
		return Path{}, "", ErrNoDomain
	case s[0] != '@':
		return Path{}, "", ErrLocalSyntax
	}
	s = s[1:]
	end := strings.IndexByte(s, '>')
	if end < 0 {
		return Path{}, "", ErrSyntax
	}
	if err := p.setHost(s[:end], allowUTF8); err != nil {
		return Path{}, "", err
	}
	return p, s[end+1:], nil
}

func (p *Path) setHost(host string, allowUTF8 bool) (err error) {
	if strings.HasPrefix(host, "[") {
		p.Kind, p.IP, p.General, err = parseLiteral(host)
		return err
	}
	if !allowUTF8 && !isASCII(host) {
		return ErrNeedUTF8
	}
	p.Kind = Mailbox
	p.Domain, err = ParseDomain(host)
	return err
}

// scanRoute reads "@a,@b:" and returns it without the colon, and the rest.
func scanRoute(s string, allowUTF8 bool) (route, rest string, err error) {
	end := strings.IndexByte(s, ':')
	if end < 0 || end > 4*MaxDomain {
		return "", "", ErrSyntax
	}
	for hop := range strings.SplitSeq(s[:end], ",") {
		if !strings.HasPrefix(hop, "@") {
			return "", "", ErrSyntax
		}
		var host Path
		if err := host.setHost(hop[1:], allowUTF8); err != nil {
			return "", "", err
		}
	}
	return s[:end], s[end+1:], nil
}

// ParseLiteral reads an address literal with its brackets, as in EHLO or after
// an @: "[192.0.2.1]" or "[IPv6:2001:db8::1]". A general literal is ErrLiteral.
func ParseLiteral(s string) (netip.Addr, error) {
	kind, ip, _, err := parseLiteral(s)
	if err == nil && kind != IPLiteral {
		err = ErrLiteral
	}
	return ip, err
}

// parseLiteral reads RFC 5321 §4.1.3.
func parseLiteral(s string) (Kind, netip.Addr, string, error) {
	if len(s) < 3 || len(s) > MaxDomain+2 || s[len(s)-1] != ']' {
		return 0, netip.Addr{}, "", ErrLiteral
	}
	s = s[1 : len(s)-1]
	tag, content, tagged := strings.Cut(s, ":")
	if !tagged {
		ip, err := netip.ParseAddr(s)
		if err != nil || !ip.Is4() {
			return 0, netip.Addr{}, "", ErrLiteral
		}
		return IPLiteral, ip, "", nil
	}
	if strings.EqualFold(tag, "IPv6") {
		ip, err := netip.ParseAddr(content)
		if err != nil || !ip.Is6() || ip.Zone() != "" {
			return 0, netip.Addr{}, "", ErrLiteral
		}
		if ip.Is4In6() {
			ip = ip.Unmap() // one host, one form
		}
		return IPLiteral, ip, "", nil
	}
	if !isTag(tag) || content == "" {
		return 0, netip.Addr{}, "", ErrLiteral
	}
	for i := 0; i < len(content); i++ {
		// dcontent: printable ASCII except brackets and backslash; '>' cannot
		// occur, the scan for the closing bracket ends there.
		if c := content[i]; c <= ' ' || c > '~' || c == '[' || c == ']' || c == '\\' {
			return 0, netip.Addr{}, "", ErrLiteral
		}
	}
	return GeneralLiteral, netip.Addr{}, s, nil
}

// isTag: Standardized-tag = Ldh-str.
func isTag(s string) bool {
	for i := 0; i < len(s); i++ {
		c := s[i]
		if (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && c != '-' {
			return false
		}
	}
	return s != "" && s[len(s)-1] != '-'
}
