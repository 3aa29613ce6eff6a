package dmarc

import (
	"context"
	"errors"
	"strings"

	"posta/internal/addr"
)

// TXTLookup asks the DNS for the TXT records of name, which has no final dot.
// Each record is its character-strings joined. found is false, without an error,
// when the name or the type does not exist; an error means that the answer could
// not be had now. It may block until ctx is done.
type TXTLookup func(ctx context.Context, name string) (records []string, found bool, err error)

// ExistsLookup asks whether name exists in the DNS: false, without an error, only
// for NXDOMAIN (RFC 8020). It may block until ctx is done.
type ExistsLookup func(ctx context.Context, name string) (bool, error)

// Lookup is what Evaluate asks of the DNS. TXT is required. Without Exists every
// domain counts as existing, and np= is never applied.
type Lookup struct {
	TXT    TXTLookup
	Exists ExistsLookup
}

const (
	prefix        = "_dmarc."
	maxQueries    = 64
	maxWalkLabels = 7 // RFC 9989 §4.10: where the walk of a long name goes on
)

// Query is what was seen of _dmarc.Domain.
type Query struct {
	Domain addr.Domain
	Record *Record // the one policy record; nil: there is none
	Text   string  // of it, or of the first of several
	Count  int     // how many policy records there are; several count as none
	Err    error   // why it could not be asked
}

// ErrTooMany means that a message would cost more than 64 queries.
var ErrTooMany = errors.New("dmarc: the message asks for more than 64 queries")

// walker asks for records, each name once.
type walker struct {
	lookup  Lookup
	known   []Query
	queries int
}

// record returns the one valid DMARC record of domain, or none (§4.10 steps 2
// and 6: several are none).
func (w *walker) record(ctx context.Context, domain addr.Domain) Query {
	for i := range w.known {
		if w.known[i].Domain == domain {
			return w.known[i]
		}
	}
	f := Query{Domain: domain}
	if len(prefix)+len(domain) > addr.MaxDomain {
		return f // no such name can exist, and no failure to ask for it matters
	}
	if w.queries >= maxQueries {
		f.Err = ErrTooMany
		return f
	}
	w.queries++
	texts, _, err := w.lookup.TXT(ctx, prefix+string(domain))
	if f.Err = err; err == nil {
		f.choose(texts)
	}
	w.known = append(w.known, f)
	return f
}

// choose takes the only policy record.
func (q *Query) choose(texts []string) {
	for _, text := range texts {
		r, err := Parse(text)
		if err != nil {
			continue
		}
		if q.Count++; q.Count == 1 {
			q.Record, q.Text = r, text
		} else {
			q.Record = nil
		}
	}
}

// next returns the target after domain in a tree walk: the parent, or seven
// labels of a name that has eight or more (§4.10 step 4).
func next(domain addr.Domain) addr.Domain {
	if n := domain.Labels(); n > maxWalkLabels {
		return lastLabels(domain, maxWalkLabels)
	}
	return domain.Parent()
}

// lastLabels returns the last n labels of domain, which has at least n.
func lastLabels(domain addr.Domain, n int) addr.Domain {
	i := len(domain)
	for ; n > 0; n-- {
		i = strings.LastIndexByte(string(domain[:i]), '.')
	}
	return domain[i+1:]
}

// place is the outcome of a tree walk.
type place struct {
	org addr.Domain // the Organizational Domain
	// policy is the record that applies to the starting point: its own, or that of
	// its Organizational Domain, or that of its Public Suffix Domain. record is nil
	// if there is none.
	policy Query
	err    error // of a query that failed; nothing else is known
}

// walk performs the DNS Tree Walk from start and selects the Organizational
// Domain (§4.10.2) and the policy record (§4.10.1).
func (w *walker) walk(ctx context.Context, start addr.Domain) place {
	var path []Query // where records were, longest name first
	for at := start; at != ""; at = next(at) {
		f := w.record(ctx, at)
		if f.Err != nil {
			return place{err: f.Err}
		}
		if f.Record == nil {
			continue
		}
		path = append(path, f)
		if f.Record.PSD != PSDUnknown {
			break
		}
	}
	if len(path) == 0 {
		return place{org: start}
	}
	// Only the last record can have psd=y or psd=n, as these end the walk.
	p := place{policy: path[len(path)-1]}
	p.org = p.policy.Domain
	if p.policy.Record.PSD == PSDYes && p.org != start {
		p.org = lastLabels(start, p.org.Labels()+1)
	}
	for _, f := range path {
		if f.Domain == start || f.Domain == p.org {
			p.policy = f // the most preferred comes first on the path
			break
		}
	}
	return p
}
