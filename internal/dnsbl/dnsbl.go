// Package dnsbl asks DNS lists (blocklists and allowlists) about addresses and domains, and believes them only when they are
// sound.
//
// A [Checker] asks one list one question and gives listed, not listed, or could not verify with the cause. A list is tested
// before it is believed, once an hour: it must list its test entry and must not list its counter-test (RFC 5782 §5). An
// answer outside 127.0.0.0/8 is never a listing: it comes from a parked domain, a misspelt list name, or a resolver that
// turns "no such name" into an advertisement. Nor are the codes by which lists say that the question was refused.
//
// Standards: RFC 5782 (§2.1 IPv4, §2.2 domains, §2.4 IPv6, §5 test entries). Refusal codes 127.255.255.x as Spamhaus and others use
// them; 127.0.0.1 as SURBL and URIBL use it (RFC 5782 §5 forbids it as a listing).
//
// Limits: what a code other than these means differs from list to list; [Result].Codes gives them all for policy to weigh.
// The TXT cause is asked for only on a hit; it is a stranger's text, cut to 500 octets. Tests of at most 256 lists are
// remembered.
package dnsbl

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"posta/internal/resolver"
)

// Resolver is the part of [resolver.Resolver] that is asked.
type Resolver interface {
	LookupA(ctx context.Context, name string) (resolver.Result[netip.Addr], error)
	LookupTXT(ctx context.Context, name string) (resolver.Result[string], error)
}

// Status is what a list says. The zero value is Unverified.
type Status uint8

const (
	Unverified Status = iota // nothing can be said: see Cause
	NotListed
	Listed
)

// String gives the status as words.
func (s Status) String() string {
	return [...]string{"could not verify", "not listed", "listed"}[min(s, Listed)]
}

// Cause is why a question could not be verified.
type Cause uint8

const (
	NoCause       Cause = iota
	DNSFailure          // the look-up failed: timeout, SERVFAIL…
	ForeignAnswer       // an answer outside 127.0.0.0/8: a wrong or parked list name
	Rewriting           // the same, and our resolver answers for names that cannot exist
	WrongName           // the list says that its name is misspelt (127.255.255.252)
	OpenResolver        // the list refuses questions through a public resolver (127.255.255.254)
	TooMany             // the list refuses so many questions (127.255.255.255)
	Refused             // the list refuses for another reason (127.0.0.1, other 127.255.255.x)
	Dead                // the list does not list its test entry
	Wildcard            // the list lists its counter-test: it lists everything
	BadQuestion         // the question cannot be asked: not an address, not a domain, or a name too long
)

var causeNames = [...]string{"", "DNS failure", "answer outside 127.0.0.0/8", "the resolver rewrites missing names", "wrong list name",
	"refused: public resolver", "refused: too many questions", "refused", "the list does not work", "the list lists everything", "bad question"}

// String gives the cause as words, empty for NoCause.
func (c Cause) String() string { return causeNames[min(int(c), len(causeNames)-1)] }

// Result is what one list says about one subject, and the evidence.
type Result struct {
	Zone       string       // the list
	Query      string       // the name that was asked
	Status     Status       //
	Codes      []netip.Addr // the addresses answered, listed or not; do not modify
	Texts      []string     // the list's explanation of a listing, when it gives one
	Cause      Cause        // of Unverified
	Suggestion string       // for ForeignAnswer, Dead and WrongName: a well-known list of nearly this name, or empty
	Err        error        // for DNSFailure and BadQuestion: the error
}

const (
	// healthTTL is how long a test of a list is believed.
	healthTTL = time.Hour
	// failureTTL is how long a test that DNS prevented is not repeated.
	failureTTL = time.Minute
	maxHealth  = 256
	maxText    = 500
)

// Checker asks lists. It is safe for concurrent use; its methods block on the resolver.
type Checker struct {
	dns   Resolver
	clock func() time.Time

	mu     sync.Mutex
	health map[healthKey]health
}

type healthKey struct {
	zone string
	kind kind
}

// kind is what is asked about; each has its own test entries.
type kind uint8

const (
	ipv4 kind = iota
	ipv6
	domains
)

type health struct {
	cause Cause // NoCause: sound
	err   error
	until time.Time
}

// New makes a checker. clock is the time by which tests grow old; nil means time.Now.
func New(r Resolver, clock func() time.Time) *Checker {
	if clock == nil {
		clock = time.Now
	}
	return &Checker{dns: r, clock: clock, health: make(map[healthKey]health)}
}

var (
	errNoAddress = errors.New("dnsbl: no IP address")
	errNoDomain  = errors.New("dnsbl: an address is not a domain; lists of domains must not be asked about it")
)

// IP asks a list about an address: reversed octets for IPv4 (IPv4-mapped included), reversed nibbles for IPv6.
func (c *Checker) IP(ctx context.Context, zone string, ip netip.Addr) Result {
	ip = ip.Unmap().WithZone("")
	if !ip.IsValid() {
		return Result{Zone: zone, Cause: BadQuestion, Err: errNoAddress}
	}
	k := ipv4
	if ip.Is6() {
		k = ipv6
	}
	return c.ask(ctx, zone, reversed(ip), k)
}

// Domain asks a list of domains about a name in A-labels.
func (c *Checker) Domain(ctx context.Context, zone, domain string) Result {
	name, err := resolver.Normalize(domain)
	if err == nil {
		if _, notIP := netip.ParseAddr(name); notIP == nil || name[0] == '[' || name == "." {
			err = errNoDomain
		}
	}
	if err != nil {
		return Result{Zone: zone, Cause: BadQuestion, Err: err}
	}
	return c.ask(ctx, zone, name, domains)
}

// reversed is the subject of a question about an address (RFC 5782 §2.1, §2.4).
func reversed(ip netip.Addr) string {
	name := resolver.ReverseName(ip)
	return strings.TrimSuffix(strings.TrimSuffix(name, ".in-addr.arpa"), ".ip6.arpa")
}

// ask puts the question, and beside it the test of the list unless that is known.
func (c *Checker) ask(ctx context.Context, zone, subject string, k kind) Result {
	res := Result{Zone: zone, Query: subject + "." + strings.TrimPrefix(zone, ".")}
	normal, err := resolver.Normalize(zone)
	if err == nil {
		zone = normal
		res.Zone, res.Query = zone, subject+"."+zone
		_, err = resolver.Normalize(res.Query)
	}
	if err != nil {
		res.Cause, res.Err = BadQuestion, err
		return res
	}
	h, known := c.known(healthKey{zone, k})
	if known {
		c.read(ctx, &res)
	} else {
		var wg sync.WaitGroup
		wg.Go(func() { h = c.test(ctx, zone, k) })
		c.read(ctx, &res)
		wg.Wait()
	}
	if h.cause != NoCause && (res.Cause == NoCause || res.Cause == ForeignAnswer) {
		res.Status, res.Cause, res.Err = Unverified, h.cause, h.err
	}
	switch {
	case res.Status == Listed:
		res.Texts = c.texts(ctx, res.Query)
	case res.Cause == ForeignAnswer || res.Cause == Dead || res.Cause == WrongName:
		res.Suggestion = suggest(zone)
	}
	return res
}

// read puts the question itself and reads the answer.
func (c *Checker) read(ctx context.Context, res *Result) {
	ans, err := c.dns.LookupA(ctx, res.Query)
	if err != nil {
		res.Cause, res.Err = DNSFailure, err
		return
	}
	res.Codes = ans.Records
	if ans.State != resolver.Found {
		res.Status = NotListed
		return
	}
	if res.Cause = judge(ans.Records); res.Cause == NoCause {
		res.Status = Listed
	}
}

// judge tells a listing (NoCause) from answers that are none. One bad code spoils the answer.
func judge(codes []netip.Addr) Cause {
	for _, code := range codes {
		if !code.Is4() {
			return ForeignAnswer
		}
		a := code.As4()
		switch {
		case a[0] != 127:
			return ForeignAnswer
		case a == [4]byte{127, 0, 0, 1}:
			return Refused
		case a[1] != 255 || a[2] != 255:
		case a[3] == 252:
			return WrongName
		case a[3] == 254:
			return OpenResolver
		case a[3] == 255:
			return TooMany
		default:
			return Refused
		}
	}
	return NoCause
}

// texts gets the list's explanation; without one a listing is still a listing.
func (c *Checker) texts(ctx context.Context, query string) []string {
	ans, err := c.dns.LookupTXT(ctx, query)
	if err != nil || len(ans.Records) == 0 {
		return nil
	}
	texts := slices.Clone(ans.Records[:min(len(ans.Records), 8)])
	for i, s := range texts {
		texts[i] = strings.ToValidUTF8(s[:min(len(s), maxText)], "\ufffd")
	}
	return texts
}

// String gives the result in one line, for logs and the command line.
func (r Result) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %v", r.Zone, r.Status)
	for _, code := range r.Codes {
		fmt.Fprintf(&b, " %v", code)
	}
	if r.Cause != NoCause {
		fmt.Fprintf(&b, " (%v)", r.Cause)
	}
	if r.Suggestion != "" {
		fmt.Fprintf(&b, ", did you mean %s?", r.Suggestion)
	}
	return b.String()
}
