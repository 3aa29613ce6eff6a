// Package dnsbl asks DNS lists (blocklists and allowlists) about addresses and domains, and believes them only when they are
// sound.
//
// [Catalogue] is the one table of lists that we know: what each lists, what its codes mean, where a listing is contested,
// its terms, in which form it wants a name, and which are dead. [Usable] tells whether a zone may be configured. Zones that are not in the table may: they
// are asked, only their codes have no words.
//
// A [Checker] asks one list one question and gives listed, not listed, or could not verify with the cause; [Checker.Ask] puts
// many questions side by side, so that all take as long as the slowest answer and no longer than [Bound]. A list is tested
// before it is believed, once an hour: it must list its test entry and must not list its counter-test (RFC 5782 §5).
// [Checker.Run] repeats the tests before they grow old, so that no message waits for one. An
// answer outside 127.0.0.0/8 is never a listing: it comes from a parked domain, a misspelt list name, or a resolver that
// turns "no such name" into an advertisement. Nor are the codes by which lists say that the question was refused.
//
// Standards: RFC 5782 (§2.1 IPv4, §2.2 domains, §2.4 IPv6, §5 test entries). Refusal codes 127.255.255.x as Spamhaus and others use
// them; 127.0.0.1 as SURBL and URIBL use it (RFC 5782 §5 forbids it as a listing).
//
// Limits: an answer has at most 32 codes that are read. The TXT cause is asked for only on a hit, once; it is a stranger's
// text, cut to 500 octets. Tests of at most 256 lists are remembered. Lists of hashed mail addresses (EBL) are not asked.
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
	Zone       string       // the list; it may hold an account's key, so people are shown Name
	Name       string       // the list as it may be shown: without the key
	Query      string       // the name that was asked; it may hold the key too
	Subject    string       // the address or domain that was asked about
	About      About        // what the subject is; set by Ask
	List       *List        // its row of the catalogue, nil for a list that we do not know
	Status     Status       //
	Good       bool         // of Listed: the codes speak for the subject (an allowlist)
	Codes      []netip.Addr // the addresses answered, listed or not; do not modify
	Meanings   []string     // of Listed: what the codes mean, in the catalogue's words
	Texts      []string     // the list's explanation of a listing, when it gives one
	Delist     string       // of Listed: where the listing is looked up and contested, or empty
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
	maxCodes   = 32
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
		return Result{Zone: zone, Name: Public(zone), Subject: ip.String(), Cause: BadQuestion, Err: errNoAddress}
	}
	k := ipv4
	if ip.Is6() {
		k = ipv6
	}
	return c.ask(ctx, zone, ip.String(), reversed(ip), k)
}

// Domain asks a list of domains about a name in A-labels, in the form that the list wants: Subject is that form.
func (c *Checker) Domain(ctx context.Context, zone, domain string) Result {
	name, err := resolver.Normalize(domain)
	if err == nil {
		if _, notIP := netip.ParseAddr(name); notIP == nil || name[0] == '[' || name == "." {
			err = errNoDomain
		}
	}
	if err != nil {
		return Result{Zone: zone, Name: Public(zone), Subject: domain, Cause: BadQuestion, Err: err}
	}
	name = Find(zone).form(name)
	return c.ask(ctx, zone, name, name, domains)
}

// reversed is the subject of a question about an address (RFC 5782 §2.1, §2.4).
func reversed(ip netip.Addr) string {
	name := resolver.ReverseName(ip)
	return strings.TrimSuffix(strings.TrimSuffix(name, ".in-addr.arpa"), ".ip6.arpa")
}

// ask puts the question, and beside it the test of the list unless that is known. label is the subject as it stands in the
// question.
func (c *Checker) ask(ctx context.Context, zone, subject, label string, k kind) Result {
	res := Result{Zone: zone, Query: label + "." + strings.TrimPrefix(zone, "."), Subject: subject}
	normal, err := resolver.Normalize(zone)
	if err == nil {
		zone = normal
		res.Zone, res.Query = zone, label+"."+zone
		_, err = resolver.Normalize(res.Query)
	}
	res.List = Find(zone)
	res.Name = res.List.public(zone)
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
		res.explain()
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
	res.Codes = ans.Records[:min(len(ans.Records), maxCodes)]
	if ans.State != resolver.Found {
		res.Status = NotListed
		return
	}
	if res.Cause = judge(res.List, res.Codes); res.Cause == NoCause {
		res.Status = Listed
	}
}

// judge tells a listing (NoCause) from answers that are none. One bad code spoils the answer.
func judge(l *List, codes []netip.Addr) Cause {
	for _, code := range codes {
		if !code.Is4() {
			return ForeignAnswer
		}
		a := code.As4()
		switch {
		case a[0] != 127:
			return ForeignAnswer
		case l != nil && l.Refusal.matches(a):
			return Refused
		case a == [4]byte{127, 0, 0, 1} && !l.means(a):
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

// explain puts a listing into the catalogue's words.
func (r *Result) explain() {
	if r.List == nil {
		return
	}
	r.Good = true
	for _, code := range r.Codes {
		meanings, good := r.List.Meaning(code)
		r.Good = r.Good && good
		for _, m := range meanings {
			if !slices.Contains(r.Meanings, m) {
				r.Meanings = append(r.Meanings, m)
			}
		}
	}
	r.Delist = strings.ReplaceAll(r.List.Delist, "{subject}", r.Subject)
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
	fmt.Fprintf(&b, "%s: %v", r.Name, r.Status)
	for _, code := range r.Codes {
		fmt.Fprintf(&b, " %v", code)
	}
	if r.Cause != NoCause {
		fmt.Fprintf(&b, " (%v)", r.Cause)
	} else if len(r.Meanings) > 0 {
		fmt.Fprintf(&b, " (%s)", strings.Join(r.Meanings, "; "))
	}
	if r.Suggestion != "" {
		fmt.Fprintf(&b, ", did you mean %s?", r.Suggestion)
	}
	return b.String()
}
