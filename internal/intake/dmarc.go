package intake

import (
	"context"

	"posta/internal/authres"
	"posta/internal/dkim"
	"posta/internal/dmarc"
	"posta/internal/finding"
	"posta/internal/mail"
	"posta/internal/spf"
)

// addDMARC evaluates the From domain (RFC 9989) and returns what its record asks to
// do with the message: nothing, if a forwarder whom the administrator trusts says
// that DMARC passed when the message came to it.
func (k *sink) addDMARC(ctx context.Context, set *finding.Set, f *facts) mail.Action {
	j := &k.tx.judge
	args := dmarc.Args{
		FromDomains: f.from, SPFDomain: j.spfSeen.Domain,
		SPFPass: j.spfSeen.Status == spf.Pass, SPFTempError: j.spfSeen.Status == spf.TempError,
	}
	for _, r := range f.dkim {
		args.DKIM = append(args.DKIM, dmarc.DKIM{SDID: r.SDID, Pass: r.Status == dkim.Pass, TempError: r.Status == dkim.TempError})
	}
	r := dmarc.Evaluate(ctx, dmarc.Lookup{TXT: k.s.in.lookupTXT, Exists: k.s.in.exists}, args)
	f.dmarc = &r
	domain := string(r.Author)
	result := authres.DMARC(r.Status.String(), domain)
	asked := askedOf(r.Disposition)
	switch r.Status {
	case dmarc.StatusPass:
		for _, id := range []finding.ID{finding.DMARCFail, finding.DMARCMissing, finding.DMARCInvalid} {
			set.Add(finding.Finding{Check: id, Outcome: finding.Pass})
		}
	case dmarc.StatusFail:
		f.chain = chainOf(f, &r)
		failed := finding.Of(finding.DMARCFail, finding.Fail, domain, k.dmarcFacts(f, &r)...)
		if o := k.override(f, &r); o != nil {
			failed.Evidence = append(failed.Evidence, finding.Fact{What: "not counted", Seen: o.Comment})
			set.Note(failed)
			f.override, result.Reason, asked = o, o.Comment, mail.Accept
			break
		}
		set.Add(failed)
	case dmarc.StatusNone:
		set.Add(finding.Of(finding.DMARCMissing, finding.Fail, domain, r.Facts()...))
	case dmarc.StatusTempError:
		set.Add(finding.Of(finding.DMARCFail, finding.Unverified, domain, k.dmarcFacts(f, &r)...))
	case dmarc.StatusPermError:
		if r.Reason == dmarc.ReasonRecordInvalid {
			set.Add(finding.Of(finding.DMARCInvalid, finding.Fail, domain, k.dmarcFacts(f, &r)...))
		}
	}
	addPublished(set, &r)
	if domain != "" {
		j.results = append(j.results, result)
	}
	return asked
}

// askedOf is what a policy asks for, as an action.
func askedOf(p dmarc.Policy) mail.Action {
	switch p {
	case dmarc.Quarantine:
		return mail.Junk
	case dmarc.Reject:
		return mail.Reject
	}
	return mail.Accept
}

// addPublished tells of a record that asks for nothing (S48).
func addPublished(set *finding.Set, r *dmarc.Result) {
	switch r.Policy {
	case dmarc.None:
		set.Add(finding.Of(finding.DMARCNone, finding.Fail, string(r.RecordDomain), "record", r.RecordText))
	case dmarc.Quarantine, dmarc.Reject:
		set.Add(finding.Finding{Check: finding.DMARCNone, Outcome: finding.Pass})
	}
}

// dmarcFacts are what DMARC was given, and what it made of that.
func (k *sink) dmarcFacts(f *facts, r *dmarc.Result) []string {
	seen := k.tx.judge.spfSeen
	facts := []string{"SPF", seen.Status.String() + " " + seen.Domain}
	if len(f.dkim) == 0 {
		facts = append(facts, "DKIM", "no signature")
	}
	for i := range f.dkim {
		facts = append(facts, "DKIM", f.dkim[i].Status.String()+" "+f.dkim[i].SDID)
	}
	return append(facts, r.Facts()...)
}
