package spf

import (
	"cmp"
	"net/netip"
	"strconv"
	"strings"

	"posta/internal/resolver"
)

const (
	// maxExplanation is the longest explanation that is given; it has to fit in a reply.
	maxExplanation = 1000
	// explainLetters are for macros in explanations.
	explainLetters = anyLetter
)

// value is what a macro letter stands for while the record of domain is evaluated (§7.2).
func (e *evaluation) value(letter byte, domain string) string {
	switch letter {
	case 's':
		return e.local + "@" + e.domain
	case 'l':
		return e.local
	case 'o':
		return e.domain
	case 'd':
		return domain
	case 'i':
		return dotted(e.ip)
	case 'p':
		return e.validatedName(domain)
	case 'v':
		if e.ip.Is6() {
			return "ip6"
		}
		return "in-addr"
	case 'h':
		return e.args.HELO
	case 'c':
		return e.ip.String()
	case 'r':
		return cmp.Or(e.args.ReceiverHost, "unknown")
	case 't':
		return strconv.FormatInt(e.args.Now.Unix(), 10)
	}
	return ""
}

// dotted writes an address for %{i}: IPv4 as usual, IPv6 as 32 nibbles with dots between.
func dotted(ip netip.Addr) string {
	if ip.Is4() {
		return ip.String()
	}
	const hex = "0123456789abcdef"
	var b [63]byte
	for i, octet := range ip.As16() {
		b[4*i], b[4*i+2] = hex[octet>>4], hex[octet&15]
		b[4*i+1] = '.'
		if i < 15 {
			b[4*i+3] = '.'
		}
	}
	return string(b[:])
}

// validatedName is %{p}: a verified reverse name, by choice the domain itself, or one below it, or any; else "unknown".
func (e *evaluation) validatedName(domain string) string {
	r := e.clientNames()
	wanted := []func(string) bool{
		func(n string) bool { return n == domain },
		func(n string) bool { return within(n, domain) },
		func(string) bool { return true },
	}
	for _, want := range wanted {
		for i, n := range r.names {
			if want(n) && e.verify(i) {
				return n
			}
		}
	}
	return "unknown"
}

// explain gets the text for a fail (§6.2). Whatever goes wrong, there is simply none.
func (e *evaluation) explain(d decision) string {
	t := d.record.Modifier(Exp)
	if t == nil {
		return ""
	}
	name, ok := e.target(t, d.domain)
	if !ok {
		return ""
	}
	ans, err := e.dns.LookupTXT(e.ctx, name)
	if err != nil || len(ans.Records) != 1 || ans.State != resolver.Found {
		return ""
	}
	text := ans.Records[0]
	// explain-string = *( macro-string / SP ): no space inside a macro is well-formed, so each word is checked alone.
	for word := range strings.SplitSeq(text, " ") {
		if checkMacro(word, explainLetters) != "" {
			return ""
		}
	}
	out, ok := expand(make([]byte, 0, 256), text, func(l byte) string { return e.value(l, d.domain) }, maxExplanation)
	if !ok {
		return ""
	}
	for _, c := range out {
		if c < 0x20 || c > 0x7e {
			return ""
		}
	}
	return string(out)
}
