package dmarc

import (
	"context"
	"slices"

	"posta/internal/addr"
)

// maxAuthors bounds the author domains of a message that are evaluated.
const maxAuthors = 4

// Status is a result word of RFC 9989 for Authentication-Results.
type Status uint8

const (
	StatusNone      Status = iota // no policy applies
	StatusPass                    // an aligned domain is authenticated
	StatusFail                    // none is
	StatusTempError               // it could not be found out now
	StatusPermError               // From or record cannot be used
)

var statusWords = [...]string{"none", "pass", "fail", "temperror", "permerror"}

// String returns the word for Authentication-Results.
func (s Status) String() string { return statusWords[min(int(s), len(statusWords)-1)] }

// Reason tells how a Status came about. The values are stable: they are stored
// and counted.
type Reason string

const (
	ReasonAligned         Reason = "aligned"                 // pass
	ReasonNotAligned      Reason = "not-aligned"             // fail: domains are authenticated, but others
	ReasonUnauthenticated Reason = "unauthenticated"         // fail: no domain is authenticated
	ReasonNoRecord        Reason = "no-record"               // none
	ReasonRecordInvalid   Reason = "record-invalid"          // permerror: see Record.Invalid
	ReasonLookup          Reason = "lookup-failed"           // temperror: a DMARC query failed
	ReasonAuthentication  Reason = "mechanism-failed"        // temperror: SPF or DKIM of an aligned domain failed
	ReasonNoAuthor        Reason = "no-author-domain"        // permerror: From has no domain
	ReasonBadAuthor       Reason = "bad-author-domain"       // permerror: From has what is no domain
	ReasonManyAuthors     Reason = "too-many-author-domains" // permerror
)

// DKIM is the outcome of one signature.
type DKIM struct {
	SDID      string // d=
	Pass      bool
	TempError bool
}

// Args is what is known of the message. Domains may be in any case and form.
type Args struct {
	// FromDomains are the domains of all addresses in all From fields; an address
	// without a usable domain is an empty string. Repeated domains count once.
	FromDomains []string
	// SPFDomain is the domain that SPF checked: of the reverse-path, or of HELO for
	// a null reverse-path.
	SPFDomain    string
	SPFPass      bool
	SPFTempError bool
	DKIM         []DKIM
}

// Result is the outcome for one author domain.
type Result struct {
	Status Status
	Reason Reason
	// Disposition is what the domain owner asks to do with this very message: None
	// unless Status is StatusFail.
	Disposition Policy
	// Author is the author domain, "" if there is none or it is malformed.
	Author addr.Domain
	// Policy is the applicable policy before t=y, and PolicyTag the tag it is from:
	// "p", "sp" or "np". Both are zero when no record applies. The tag is "sp" for a
	// subdomain even where the value comes from p= by default. np= is looked at only
	// for a message that fails.
	Policy    Policy
	PolicyTag string
	// Record applies to the author domain and was found at RecordDomain, where it
	// reads RecordText; nil if none.
	Record       *Record
	RecordDomain addr.Domain
	RecordText   string
	// Org is the Organizational Domain of Author, "" if it was not needed.
	Org addr.Domain
	// Identifiers are the domains whose alignment was judged: the authenticated
	// ones, and those whose authentication failed for now.
	Identifiers []Identifier
	// SPFAligned and DKIMAligned tell which mechanism passed for an aligned domain,
	// as aggregate reports want it.
	SPFAligned, DKIMAligned bool
	// Queries counts the DNS queries asked for the whole message. Asked are the names
	// whose policy records were looked for, in the order of asking; NameErr is why it
	// could not be asked whether the author domain exists.
	Queries int
	Asked   []Query
	NameErr error
	// Others are the outcomes for further author domains, none of them stricter.
	Others []Result
}

// Evaluate applies DMARC to a message. It blocks for the lookups. It never fails:
// what cannot be found out is a temperror.
func Evaluate(ctx context.Context, lookup Lookup, args Args) Result {
	e := evaluation{walker: walker{lookup: lookup}, args: args}
	e.normalize()
	if len(args.FromDomains) == 1 {
		r := e.author(ctx, args.FromDomains[0])
		r.Queries, r.Asked = e.queries, e.known
		return r
	}
	return e.authors(ctx)
}

// evaluation is the state of one Evaluate.
type evaluation struct {
	walker
	args Args
	spf  addr.Domain
	dkim []dkimDomain
}

type dkimDomain struct {
	domain     addr.Domain
	pass, temp bool
}

// normalize brings the authenticated domains to normal form and drops what did
// not authenticate, repetitions, and what is no domain.
func (e *evaluation) normalize() {
	if e.args.SPFPass || e.args.SPFTempError {
		e.spf, _ = addr.ParseDomain(e.args.SPFDomain)
	}
	for _, d := range e.args.DKIM {
		if !d.Pass && !d.TempError {
			continue
		}
		domain, err := addr.ParseDomain(d.SDID)
		if err != nil {
			continue
		}
		i := slices.IndexFunc(e.dkim, func(x dkimDomain) bool { return x.domain == domain })
		if i < 0 {
			e.dkim = append(e.dkim, dkimDomain{domain, d.Pass, d.TempError})
			continue
		}
		e.dkim[i].pass = e.dkim[i].pass || d.Pass
		e.dkim[i].temp = e.dkim[i].temp || d.TempError
	}
}

// authors evaluates each author domain and puts the strictest outcome first
// (RFC 9989 §5.3.1 leaves this to the receiver).
func (e *evaluation) authors(ctx context.Context) Result {
	distinct := distinctDomains(e.args.FromDomains)
	switch {
	case len(distinct) == 0:
		return Result{Status: StatusPermError, Reason: ReasonNoAuthor, Disposition: None}
	case len(distinct) > maxAuthors:
		return Result{Status: StatusPermError, Reason: ReasonManyAuthors, Disposition: None}
	}
	results := make([]Result, len(distinct))
	strictest := 0
	for i, d := range distinct {
		results[i] = e.author(ctx, d)
		if results[i].severity() > results[strictest].severity() {
			strictest = i
		}
	}
	r := results[strictest]
	r.Others = slices.Delete(results, strictest, strictest+1)
	if len(r.Others) == 0 {
		r.Others = nil
	}
	r.Queries, r.Asked = e.queries, e.known
	return r
}

// distinctDomains drops repetitions, comparing normal forms.
func distinctDomains(domains []string) []string {
	var out, normal []string
	for _, d := range domains {
		n := d
		if p, err := addr.ParseDomain(d); err == nil {
			n = string(p)
		}
		if !slices.Contains(normal, n) {
			out, normal = append(out, d), append(normal, n)
			if len(out) > maxAuthors {
				break
			}
		}
	}
	return out
}

// severity orders outcomes: a message is as bad as its worst author.
func (r *Result) severity() int {
	switch {
	case r.Status == StatusFail && r.Disposition == Reject:
		return 6
	case r.Status == StatusFail && r.Disposition == Quarantine:
		return 5
	case r.Status == StatusPermError:
		return 4
	case r.Status == StatusTempError:
		return 3
	case r.Status == StatusFail:
		return 2
	case r.Status == StatusNone:
		return 1
	}
	return 0
}

// author evaluates one author domain.
func (e *evaluation) author(ctx context.Context, from string) Result {
	r := Result{Disposition: None}
	if from == "" {
		r.Status, r.Reason = StatusPermError, ReasonNoAuthor
		return r
	}
	domain, err := addr.ParseDomain(from)
	if err != nil {
		r.Status, r.Reason = StatusPermError, ReasonBadAuthor
		return r
	}
	r.Author = domain
	if !e.discover(ctx, &r) {
		return r
	}
	e.align(ctx, &r)
	if r.Status == StatusFail {
		e.decide(ctx, &r)
	}
	return r
}

// discover finds the policy record (§4.10.1) and reports whether to go on.
func (e *evaluation) discover(ctx context.Context, r *Result) bool {
	f := e.record(ctx, r.Author)
	if f.Record == nil && f.Err == nil {
		p := e.walk(ctx, r.Author)
		r.Org, f = p.org, p.policy
		f.Err = p.err
	}
	switch {
	case f.Err != nil:
		r.Status, r.Reason = StatusTempError, ReasonLookup
		return false
	case f.Record == nil:
		r.Status, r.Reason = StatusNone, ReasonNoRecord
		return false
	}
	r.Record, r.RecordDomain, r.RecordText = f.Record, f.Domain, f.Text
	if f.Record.Invalid {
		r.Status, r.Reason = StatusPermError, ReasonRecordInvalid
		return false
	}
	r.Policy, r.PolicyTag = f.Record.P, "p"
	if f.Domain != r.Author {
		r.PolicyTag = "sp"
		if f.Record.SP != Unset {
			r.Policy = f.Record.SP
		}
	}
	return true
}

// decide sets what the owner asks for a failing message: np= for an author domain
// that does not exist, and one step less under t=y (§4.7).
func (e *evaluation) decide(ctx context.Context, r *Result) {
	if r.PolicyTag == "sp" && r.Record.NP != Unset && e.lookup.Exists != nil {
		e.queries++
		exists, err := e.lookup.Exists(ctx, string(r.Author))
		r.NameErr = err
		if err != nil && r.Record.NP != r.Policy {
			r.Status, r.Reason = StatusTempError, ReasonLookup
			return
		}
		if err == nil && !exists {
			r.Policy, r.PolicyTag = r.Record.NP, "np"
		}
	}
	r.Disposition = r.Policy
	if r.Record.Testing && r.Disposition > None {
		r.Disposition--
	}
}
