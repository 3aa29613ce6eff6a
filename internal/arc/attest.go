package arc

import (
	"slices"
	"strings"

	"posta/internal/authres"
	"posta/internal/dkim"
)

// Attestation is what a trusted sealer recorded when the message came to it.
type Attestation struct {
	Instance int
	Sealer   string // d= of its seal
	Results  authres.Header
}

// Attested returns what the oldest sealer recorded whom one may believe (RFC 8617
// §7.2.1): the chain passes, trust accepts its domain, and nobody whom trust does
// not accept can have put its set above another letter. That is so if all who sealed
// after it are trusted, or if its own message signature still verifies; either way
// the signature relied upon covers From. trust gets A-labels in lower case.
func (r *Result) Attested(trust func(domain string) bool) (a Attestation, ok bool) {
	i, ok := Believed(r.Vouchers(), trust)
	if !ok {
		return Attestation{}, false
	}
	s := &r.Sets[len(r.Sets)-1-i]
	return Attestation{Instance: s.Instance, Sealer: s.Sealer(), Results: s.Results}, true
}

// Voucher is what must be known of one set to say later, of another list of trusted
// sealers, whether what it recorded may be believed.
type Voucher struct {
	Instance int
	Sealer   string // d= of its seal
	// Intact: its own message signature verifies. Covered: the newest set's does. Both
	// cover From, and what the set recorded can be read.
	Intact, Covered bool
}

// Vouchers are the sets of a chain that passes, the newest first; nil of any other.
func (r *Result) Vouchers() []Voucher {
	if r.Status != Pass {
		return nil
	}
	out := make([]Voucher, 0, len(r.Sets))
	newest := r.Sets[len(r.Sets)-1].Message
	for i := len(r.Sets) - 1; i >= 0; i-- {
		s := &r.Sets[i]
		out = append(out, Voucher{
			Instance: s.Instance, Sealer: s.Sealer(),
			Intact:  s.ResultsErr == nil && s.Message.Status == dkim.Pass && s.Message.SignsFrom,
			Covered: s.ResultsErr == nil && newest.SignsFrom,
		})
	}
	return out
}

// Believed gives the place of the oldest set that one may believe, as Attested does.
func Believed(newestFirst []Voucher, trust func(domain string) bool) (at int, ok bool) {
	unbroken := true // all sealers after the one looked at are trusted
	for i, v := range newestFirst {
		if !trust(v.Sealer) {
			unbroken = false
		} else if v.Intact || unbroken && v.Covered {
			at, ok = i, true
		}
	}
	return at, ok
}

// Method returns the results of one method, such as "spf", "dkim" or "dmarc".
func (a *Attestation) Method(method string) []authres.Result {
	var out []authres.Result
	for _, r := range a.Results.Results {
		if r.Method == method {
			out = append(out, r)
		}
	}
	return out
}

// Passed returns the domains for which a method passed, in lower case, each once:
// those of smtp.mailfrom (or smtp.helo) for spf, of header.d (or header.i) for dkim,
// of header.from for dmarc. A domain that is not ASCII or no name is left out.
func (a *Attestation) Passed(method string) []string {
	var out []string
	for _, r := range a.Method(method) {
		if r.Value != "pass" {
			continue
		}
		d := subject(r)
		if d != "" && !slices.Contains(out, d) {
			out = append(out, d)
		}
	}
	return out
}

// subjects are the properties that name the domain of a result, best first. mfrom is
// what RFC 8617 itself writes in its examples.
var subjects = map[string][][2]string{
	"spf":   {{"smtp", "mailfrom"}, {"smtp", "mfrom"}, {"smtp", "helo"}},
	"dkim":  {{"header", "d"}, {"header", "i"}},
	"dmarc": {{"header", "from"}},
}

func subject(r authres.Result) string {
	for _, p := range subjects[r.Method] {
		v := r.Property(p[0], p[1])
		if v == "" {
			continue
		}
		d := strings.ToLower(v[strings.LastIndexByte(v, '@')+1:])
		if strings.Trim(d, "abcdefghijklmnopqrstuvwxyz0123456789-_.") != "" {
			return ""
		}
		return d
	}
	return ""
}
