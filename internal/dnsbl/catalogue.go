package dnsbl

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/net/publicsuffix"

	"posta/internal/resolver"
)

// Kind is what a list is asked about.
type Kind uint8

// The kinds.
const (
	Addresses Kind = iota // IPv4 and, where the list has it, IPv6
	Domains
	Hashes // of mail addresses; not asked here
)

// Form is the form of a name that a list of domains wants to be asked about.
type Form uint8

// The forms.
const (
	WholeName        Form = iota // as it is written: the list has what is below a domain, or single hosts
	RegisteredDomain             // the domain that somebody registered: a name below it is not listed, and the question is lost
)

// State is whether a list can be used.
type State uint8

// The states.
const (
	Alive       State = iota
	WithAccount       // answers only those who registered: see Terms
	ShowOnly          // lists whole networks or providers; worth seeing, nothing to refuse by
	Gone              // dead: see Terms for since when
)

var stateNames = [...]string{"alive", "needs an account", "to be shown, never scored", "dead"}

// String gives the state as words.
func (s State) String() string { return stateNames[s] }

// List is one row of the catalogue.
type List struct {
	// Zone is what questions end in. "*.x" is for x with the key of an account before it, and Gone lists are
	// so with all that is below them.
	Zone    string
	Kind    Kind
	Form    Form // of Domains
	State   State
	White   bool    // a listing speaks for the subject, unless the code says otherwise
	What    string  // what it lists
	Codes   []Code  // in order; every one that matches counts
	Refusal Pattern // a code that means "not asked so": no listing
	Entry   string  // of Domains: the test entry where it is not RFC 5782's "test"
	Delist  string  // page to look a listing up and contest it; {subject} is the address or domain
	Terms   string
}

// Code says what an answer means.
type Code struct {
	Pattern Pattern
	Meaning string
	Good    bool // it speaks for the subject
}

// Pattern matches answers: four octets, of which one may be a range ("127.0.0.4-7") or any ("127.0.*.3"); or one bit of the
// last octet ("bit 8").
type Pattern string

// matches reports whether an answer fits; "" fits none.
func (p Pattern) matches(a [4]byte) bool {
	if bit, ok := strings.CutPrefix(string(p), "bit "); ok {
		n, err := strconv.ParseUint(bit, 10, 8)
		return err == nil && a[0] == 127 && a[1] == 0 && a[2] == 0 && uint64(a[3])&n != 0
	}
	i := 0
	for octet := range strings.SplitSeq(string(p), ".") {
		if i == 4 || !inRange(octet, a[i]) {
			return false
		}
		i++
	}
	return i == 4
}

func inRange(s string, octet byte) bool {
	if s == "*" {
		return true
	}
	low, high, ranged := strings.Cut(s, "-")
	if !ranged {
		high = low
	}
	from, err1 := strconv.ParseUint(low, 10, 8)
	to, err2 := strconv.ParseUint(high, 10, 8)
	return err1 == nil && err2 == nil && uint64(octet) >= from && uint64(octet) <= to
}

// Meaning puts an answer into words, and tells whether it speaks for the subject.
func (l *List) Meaning(code netip.Addr) (meanings []string, good bool) {
	if !code.Is4() {
		return nil, false
	}
	good = l.White
	for _, c := range l.Codes {
		if c.Pattern.matches(code.As4()) {
			meanings = append(meanings, c.Meaning)
			good = c.Good || l.White
		}
	}
	if len(meanings) == 0 {
		meanings = []string{l.What}
	}
	return meanings, good
}

// means reports whether the list has a meaning for exactly this answer; nil has none.
func (l *List) means(a [4]byte) bool {
	return l != nil && slices.ContainsFunc(l.Codes, func(c Code) bool { return c.Pattern.matches(a) })
}

// form is a name, in A-labels, as the list wants it; a list that we do not know is asked about what is written.
func (l *List) form(name string) string {
	if l == nil || l.Form != RegisteredDomain {
		return name
	}
	return registered(name)
}

// registered is the registered domain of a name: of a public suffix, which nobody registered, the name itself.
func registered(name string) string {
	if d, err := publicsuffix.EffectiveTLDPlusOne(name); err == nil {
		return d
	}
	return name
}

// test is the entry that must be listed.
func (l *List) test() string {
	if l == nil || l.Entry == "" {
		return "test"
	}
	return l.Entry
}

// Catalogue lists all rows.
func Catalogue() []List { return slices.Clone(catalogue[:]) }

// Find gives the row of a zone, nil for a list that we do not know.
func Find(zone string) *List {
	zone, err := resolver.Normalize(zone)
	if err != nil {
		return nil
	}
	for i := range catalogue {
		l := &catalogue[i]
		suffix, keyed := strings.CutPrefix(l.Zone, "*")
		switch {
		case zone == l.Zone, keyed && len(zone) > len(suffix) && strings.HasSuffix(zone, suffix):
			return l
		case l.State == Gone && strings.HasSuffix(zone, "."+l.Zone):
			return l
		}
	}
	return nil
}

// Public is the zone as it may be shown: without the key of an account.
func Public(zone string) string { return Find(zone).public(zone) }

func (l *List) public(zone string) string {
	if l != nil && strings.HasPrefix(l.Zone, "*.") {
		return l.Zone[2:]
	}
	return zone
}

// Usable tells whether a zone may be asked about a kind of subject. The error names the zone and what to do: a list that is
// dead, misspelt, or of another kind is refused. A list that we do not know is taken as it is, with a nil row.
func Usable(zone string, k Kind) (*List, error) {
	normal, err := resolver.Normalize(zone)
	if err != nil || normal == "." || !strings.Contains(normal, ".") {
		return nil, fmt.Errorf("%q is no zone of a DNS list, such as zen.spamhaus.org", zone)
	}
	l := Find(normal)
	if l == nil {
		if name := suggest(normal); name != "" {
			return nil, fmt.Errorf("%q is not known; did you mean %q?", zone, name)
		}
		return nil, nil
	}
	switch {
	case l.State == Gone:
		return l, fmt.Errorf("the list %s is dead: %s; remove it", zone, l.Terms)
	case l.Kind == Hashes:
		return l, fmt.Errorf("%s lists hashes of mail addresses, which are not asked about; remove it", zone)
	case l.Kind != k && l.Kind == Domains:
		return l, fmt.Errorf("%s lists domains: it must not be asked about addresses", zone)
	case l.Kind != k:
		return l, fmt.Errorf("%s lists addresses: it must not be asked about domains", zone)
	}
	return l, nil
}

// ReplyText is the text with which a listed client is refused. template is the administrator's, with sendmail's
// $&{client_addr} (also {client_addr} and {zone}); "" is sendmail's default.
func ReplyText(template string, r Result) string {
	if template == "" {
		template = "Rejected: {client_addr} listed at {zone}"
	}
	return strings.NewReplacer("$&{client_addr}", r.Subject, "{client_addr}", r.Subject, "{zone}", r.Name).Replace(template)
}
