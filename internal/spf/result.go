package spf

import (
	"context"
	"errors"
	"net/netip"
	"time"

	"posta/internal/resolver"
)

// Resolver is the part of [resolver.Resolver] that SPF asks.
type Resolver interface {
	LookupTXT(ctx context.Context, name string) (resolver.Result[string], error)
	LookupA(ctx context.Context, name string) (resolver.Result[netip.Addr], error)
	LookupAAAA(ctx context.Context, name string) (resolver.Result[netip.Addr], error)
	LookupMX(ctx context.Context, name string) (resolver.Result[resolver.MX], error)
	LookupPTR(ctx context.Context, ip netip.Addr) (resolver.Result[string], error)
}

// Status is the result of an evaluation (RFC 7208 §2.6). The zero value is None.
type Status uint8

const (
	None      Status = iota // no domain to check, or no record
	Neutral                 // the domain says nothing about the address
	Pass                    // the address may use the domain
	Fail                    // the address may not use the domain
	SoftFail                // probably not
	TempError               // DNS failed; later it may be known
	PermError               // the record, or one that it refers to, cannot be understood
)

var statusNames = [...]string{"none", "neutral", "pass", "fail", "softfail", "temperror", "permerror"}

// String gives the result as Authentication-Results writes it (RFC 8601 §2.7.2).
func (s Status) String() string { return statusNames[min(int(s), len(statusNames)-1)] }

// Identity is what was evaluated.
type Identity uint8

const (
	MailFrom Identity = iota // the domain of the reverse-path
	HELO                     // the HELO name: by CheckHELO, or by Check for a null reverse-path
)

// String gives "mailfrom" or "helo".
func (i Identity) String() string {
	if i == HELO {
		return "helo"
	}
	return "mailfrom"
}

// Sender is a reverse-path without its angle brackets. The zero value is the null reverse-path.
type Sender struct {
	Local  string // decoded (no quoting), UTF-8 allowed; empty counts as "postmaster"
	Domain string // A-labels or U-labels
}

// Args are the facts of one evaluation.
type Args struct {
	IP           netip.Addr // of the SMTP client; IPv4-mapped counts as IPv4
	HELO         string     // as the client gave it; it need not be a domain
	MailFrom     Sender     // not used by CheckHELO
	ReceiverHost string     // for %{r} in explanations; empty: "unknown"
	Now          time.Time  // for %{t} in explanations
}

// Result is the outcome of an evaluation and its evidence.
type Result struct {
	Status   Status
	Identity Identity
	Sender   string // the <sender> evaluated: local@domain, the domain in A-labels
	Domain   string // the domain evaluated, in A-labels; as given when it is not a domain name

	Term       string // the term that decided, as written in the record; empty when none did
	TermDomain string // the domain whose record has the term: Domain, or where redirect= led

	// Explanation is the domain's text for a fail, its macros expanded, or empty. It is printable ASCII of at most 1,000
	// octets; a stranger wrote it, so a reply should say so (RFC 7208 §6.2).
	Explanation string

	Lookups     int  // terms that looked something up, of MaxLookups
	VoidLookups int  // of these, with nothing found, of MaxVoidLookups
	Authentic   bool // every DNS answer used was authentic

	Err   error  // why TempError or PermError (see the Err… values); nil otherwise
	Steps []Step // evidence, in the order of evaluation
}

// Outcome is what became of one [Step].
type Outcome uint8

const (
	NoMatch Outcome = iota // the term did not match, or the domain has no record
	Match                  // the term matched, or the domain has a record
	Failed                 // the term or the record ended the evaluation with an error
)

// String gives "no match", "match" or "error".
func (o Outcome) String() string { return [...]string{"no match", "match", "error"}[min(o, Failed)] }

// Step is one line of the evaluation's tree: a record that was fetched (Term empty), or a term that was evaluated. Terms that
// need no look-up (all, ip4, ip6) are listed only when they match. Its slices belong to the resolver: do not modify them.
type Step struct {
	Depth   int            // 0 for the first record and where redirect= leads, one more inside each include
	Domain  string         // whose record
	Term    string         // as written; empty when the step is the fetching of the record itself
	Target  string         // the name that was looked up, macros expanded; empty without look-up
	Outcome Outcome        //
	Lookup  uint8          // which one of MaxLookups it was; 0 when it counts for none
	Void    uint8          // which one of MaxVoidLookups it was, or one more; 0 when it was not void
	State   resolver.State // of the answer; 0 without one
	Texts   []string       // the SPF records found; for mx the hosts, for ptr the reverse names
	Addrs   []netip.Addr   // the addresses found; for mx those of the last host looked at
	Err     error          // why Failed, or a DNS error that counts as no match
}

// Limits of RFC 7208 §4.6.4.
const (
	MaxLookups     = 10 // include, a, mx, ptr, exists and redirect= in one evaluation
	MaxVoidLookups = 2  // of these, without an answer
	MaxNames       = 10 // MX hosts of one mx term, reverse names of one ptr term
)

// Causes of PermError, for errors.Is. A TempError wraps the resolver's error.
var (
	ErrSyntax          = errors.New("syntax error in the SPF record") // details: *SyntaxError
	ErrMultipleRecords = errors.New("more than one SPF record")
	ErrTooManyLookups  = errors.New("more than 10 DNS look-ups")
	ErrTooManyVoid     = errors.New("more than 2 void look-ups")
	ErrTooManyMX       = errors.New("more than 10 MX hosts")
	ErrNoTarget        = errors.New("include or redirect to a domain without SPF record")
)
