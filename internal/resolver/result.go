package resolver

import (
	"context"
	"net/netip"
	"time"

	"github.com/miekg/dns"
)

// MaxChain is the number of aliases (CNAME) followed from one question; a longer chain is an error of kind [BadChain].
const MaxChain = 8

// Type is a DNS record type, by its IANA number.
type Type uint16

// The types that mail asks for.
const (
	TypeA     Type = 1
	TypeNS    Type = 2
	TypeCNAME Type = 5
	TypeSOA   Type = 6
	TypePTR   Type = 12
	TypeMX    Type = 15
	TypeTXT   Type = 16
	TypeAAAA  Type = 28
	TypeSRV   Type = 33
	TypeDS    Type = 43
	TypeTLSA  Type = 52
	TypeCAA   Type = 257
)

// String gives the mnemonic ("MX"), or "TYPE123" for a number without one.
func (t Type) String() string { return dns.Type(t).String() }

// State says what kind of answer a [Result] is. Its zero value is no answer and is returned only beside an error.
type State uint8

const (
	// Found: there is at least one record.
	Found State = 1 + iota
	// NoData: the name exists, but not with this type (RCODE 0, no answer).
	NoData
	// NXDomain: the name, or the name that its alias leads to, does not exist (RCODE 3).
	NXDomain
)

// String gives "found", "no data" or "nxdomain".
func (s State) String() string {
	switch s {
	case Found:
		return "found"
	case NoData:
		return "no data"
	case NXDomain:
		return "nxdomain"
	}
	return "unknown"
}

// Result is one answer. It is a value shared with the cache and other callers: its slices must not be modified.
type Result[T any] struct {
	Records   []T           // in the server's order, MX by preference; empty unless State is Found
	State     State         // Found, NoData or NXDomain
	Authentic bool          // the server vouches for the answer by DNSSEC (AD), and is trusted to say so
	TTL       time.Duration // how long the answer still holds, bounded by the cache's limits; > 0
	Chain     []string      // the aliases followed, in order: the last one is the owner of the records; nil without CNAME
}

// MX is a mail exchanger (RFC 5321 §5.1). Host "." with preference 0 is a null MX (RFC 7505).
type MX struct {
	Preference uint16
	Host       string
}

// TLSA is a certificate association (RFC 6698 §2.1).
type TLSA struct {
	Usage, Selector, MatchingType uint8
	Data                          []byte
}

// Record is a record of any type, its data in presentation form (RFC 1035 §5.1).
type Record struct {
	Name string
	Type Type
	TTL  time.Duration
	Data string
}

// Resolver answers DNS questions. All methods follow aliases, may block until the answer is known or the context ends, and
// are safe for concurrent use. An error is an [*Error].
type Resolver interface {
	// LookupA gives the IPv4 addresses of a name.
	LookupA(ctx context.Context, name string) (Result[netip.Addr], error)
	// LookupAAAA gives the IPv6 addresses of a name. They are never IPv4-mapped.
	LookupAAAA(ctx context.Context, name string) (Result[netip.Addr], error)
	// LookupMX gives the mail exchangers of a name, lowest preference first.
	LookupMX(ctx context.Context, name string) (Result[MX], error)
	// LookupTXT gives the text records of a name: each is its own string, in which the character-strings of the one record
	// are joined without anything between them (RFC 7208 §3.3, RFC 6376 §3.6.2.2). The octets are raw.
	LookupTXT(ctx context.Context, name string) (Result[string], error)
	// LookupPTR gives the names that the reverse zone has for an address. An IPv4-mapped address counts as IPv4.
	LookupPTR(ctx context.Context, ip netip.Addr) (Result[string], error)
	// LookupNS gives the name servers of a zone.
	LookupNS(ctx context.Context, name string) (Result[string], error)
	// LookupTLSA gives the certificate associations of a name such as _25._tcp.mx.example.org.
	LookupTLSA(ctx context.Context, name string) (Result[TLSA], error)
	// Lookup gives the records of any type. TypeCNAME gives the alias itself and does not follow it. Types that are not data
	// (ANY, AXFR, OPT…) are errors of kind InvalidName.
	Lookup(ctx context.Context, name string, t Type) (Result[Record], error)
}
