// Package helo judges the argument of HELO and EHLO.
//
// [Classify] looks at its shape and at whether the client claims to be us; it is a pure function. [Check] then asks DNS
// whether the name exists and whether it belongs to the client. [Names] compares all the names that one host calls itself.
//
// What it sees of the practices: no FQDN (S2), a literal (S3, S4), our own name, address or domain (S5), a name that does
// not exist (S6), one that nothing ties to the client (S7: a confirmed reverse name, an address, SPF, or at least the MX
// of the sender's domain), names at odds with each other (S8).
//
// Standards: RFC 5321 §2.3.5 and §4.1.1.1 (a server names itself by a domain that resolves, or by an address literal when it
// has none), §4.1.3 (literals), §4.1.4 (a server must not refuse mail only because the name does not match the address:
// that is policy's to weigh, this package only says what it sees). Mail programs of people send what they like; nothing
// here should be asked of authenticated clients.
//
// Limits: an argument of more than 255 octets is Garbage. Internationalised names are expected as A-labels; others are
// BadName, since a client cannot know before EHLO whether we support RFC 6531.
package helo

import (
	"net/netip"
	"slices"
	"strings"
)

// Shape is what an argument is, by its form alone.
type Shape uint8

const (
	Empty          Shape = iota // nothing given
	FQDN                        // a domain name of two labels or more
	SingleLabel                 // "PC-SECRETARIA", "localhost"
	LiteralOwn                  // an address literal of the client's own address
	LiteralOther                // a well-formed address literal of another address
	LiteralInvalid              // brackets, but nothing valid in them
	BareIP                      // an address without brackets, which is no valid argument
	BadName                     // meant as a name, with characters or labels that no host name has, such as "_"
	Garbage                     // anything else: spaces, control characters, "user@host"
)

var shapeNames = [...]string{"empty", "fqdn", "single label", "own address literal", "foreign address literal", "invalid address literal", "bare address", "bad name", "garbage"}

// String gives the shape as lower-case words.
func (s Shape) String() string { return shapeNames[min(int(s), len(shapeNames)-1)] }

// Claim says which of our own identities a stranger gave as its own.
type Claim uint8

const (
	ClaimsNothing Claim = iota
	ClaimsName          // one of our host names
	ClaimsAddress       // one of our addresses, bare or as a literal
	ClaimsDomain        // one of our local domains
)

// String gives the claim as words.
func (c Claim) String() string {
	return [...]string{"nothing of ours", "our host name", "our address", "our domain"}[min(c, ClaimsDomain)]
}

// Own is who we are. The zero value claims nothing, so nothing can be claimed.
type Own struct {
	Names   []string                 // host names of ours, lower-case
	Addrs   []netip.Addr             // our addresses; a client that has one of them is us
	IsLocal func(domain string) bool // tells a local domain (lower-case, no trailing dot); nil: there are none
}

// Class is what the argument's form says.
type Class struct {
	Arg   string     // as given
	Shape Shape      //
	Name  string     // of FQDN and SingleLabel: lower-case, no trailing dot
	Addr  netip.Addr // of BareIP and the literals, when it could be read
	Claim Claim      // what of ours it claims, when the client is not us
	// Private: the name ends in a label that public DNS does not have, so that it can mean something on its own network only.
	// DNS is asked all the same: the network may be ours.
	Private bool
	Reason  string // in English, for LiteralInvalid, BadName and Garbage: what is wrong
}

// Classify judges an argument by its form. client is the address of the SMTP client.
func Classify(arg string, client netip.Addr, own Own) Class {
	client = client.Unmap().WithZone("")
	c := Class{Arg: arg}
	c.shape(client)
	if client.IsLoopback() || slices.Contains(own.Addrs, client) {
		return c // it is us
	}
	switch {
	case c.Addr.IsValid() && slices.Contains(own.Addrs, c.Addr):
		c.Claim = ClaimsAddress
	case c.Name == "":
	case slices.Contains(own.Names, c.Name):
		c.Claim = ClaimsName
	case own.IsLocal != nil && own.IsLocal(c.Name):
		c.Claim = ClaimsDomain
	}
	return c
}

// shape fills everything but the claim.
func (c *Class) shape(client netip.Addr) {
	switch arg := c.Arg; {
	case arg == "":
		c.Shape = Empty
	case len(arg) > 255:
		c.Shape, c.Reason = Garbage, "longer than 255 octets"
	case arg[0] == '[':
		c.literal(arg, client)
	case bareIP(arg).IsValid():
		c.Shape, c.Addr = BareIP, bareIP(arg)
	default:
		c.name(strings.TrimSuffix(arg, "."))
	}
}

func bareIP(s string) netip.Addr {
	ip, _ := netip.ParseAddr(s)
	return ip.Unmap().WithZone("")
}

// literal reads "[192.0.2.1]" or "[IPv6:2001:db8::1]" (RFC 5321 §4.1.3).
func (c *Class) literal(arg string, client netip.Addr) {
	c.Shape = LiteralInvalid
	inner, closed := strings.CutSuffix(arg[1:], "]")
	if !closed {
		c.Reason = "no closing bracket"
		return
	}
	const tag = "IPv6:"
	tagged := len(inner) > len(tag) && strings.EqualFold(inner[:len(tag)], tag)
	if tagged {
		inner = inner[len(tag):]
	}
	ip, err := netip.ParseAddr(inner)
	c.Addr = ip.Unmap().WithZone("")
	switch {
	case err != nil || ip.Zone() != "":
		c.Addr, c.Reason = netip.Addr{}, "no address in the brackets"
	case tagged && !ip.Is6():
		c.Reason = "an IPv4 address with the IPv6 tag"
	case !tagged && ip.Is6():
		c.Reason = "an IPv6 address without the IPv6 tag"
	case c.Addr == client:
		c.Shape = LiteralOwn
	default:
		c.Shape = LiteralOther
	}
}

// name sorts what stands without brackets into names, bad names and garbage.
func (c *Class) name(arg string) {
	labels := 0
	for label := range strings.SplitSeq(arg, ".") {
		labels++
		if reason, garbage := labelFault(label); reason != "" {
			if garbage || c.Reason == "" {
				c.Shape, c.Reason = BadName, reason
			}
			if garbage {
				c.Shape = Garbage
				return
			}
		}
	}
	last := arg[strings.LastIndexByte(arg, '.')+1:]
	switch {
	case c.Reason != "":
	case len(arg) > 253:
		c.Shape, c.Reason = BadName, "longer than 253 octets"
	case strings.Trim(last, "0123456789") == "":
		c.Shape, c.Reason = BadName, "the last label is a number"
	case labels == 1:
		c.Shape, c.Name = SingleLabel, strings.ToLower(arg)
	default:
		c.Shape, c.Name = FQDN, strings.ToLower(arg)
		c.Private = isPrivate(c.Name)
	}
}

// private are the ends of names that networks use inside: RFC 6761, 6762, 8375 and 9476, what ICANN keeps free for it, and
// what programs make up. They are no top-level domains.
var private = []string{"localhost", "localdomain", "local", "lan", "home.arpa", "internal", "intranet", "home", "corp", "workgroup", "domain", "invalid", "alt", "onion"}

func isPrivate(name string) bool {
	for _, end := range private {
		if rest, ok := strings.CutSuffix(name, end); ok && (rest == "" || rest[len(rest)-1] == '.') {
			return true
		}
	}
	return false
}

// labelFault tells what is wrong with a label, and whether it makes the whole argument garbage.
func labelFault(label string) (reason string, garbage bool) {
	if label == "" {
		return "empty label", true
	}
	for i := range len(label) {
		switch c := label[i]; {
		case 'a' <= c|0x20 && c|0x20 <= 'z', '0' <= c && c <= '9', c == '-':
		case c == '_':
			reason = "underscore in a host name"
		case c >= 0x80:
			reason = "not ASCII"
		case c <= ' ' || c == 0x7f:
			return "space or control character", true
		default:
			return "character that no name has", true
		}
	}
	switch {
	case reason != "":
	case len(label) > 63:
		reason = "label longer than 63 octets"
	case label[0] == '-' || label[len(label)-1] == '-':
		reason = "label starts or ends with a hyphen"
	}
	return reason, false
}
