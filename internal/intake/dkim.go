package intake

import (
	"posta/internal/authres"
	"posta/internal/dkim"
	"posta/internal/finding"
)

// What follows from a message's DKIM-Signatures. One that verifies is enough,
// whoever made it: whether its domain is the author's is DMARC's question. Then the
// checks below pass, and what is wrong with further signatures (a list that changed
// the text under the author's own, an old key beside a new one) is noted with its
// evidence and weighs nothing. Without one, each signature fails the check that has
// its mend; if any could not be looked at now, all of them are "could not verify",
// for that one might have been good.

// dkimChecks are those that a valid signature passes.
var dkimChecks = [...]finding.ID{
	finding.DKIMFail, finding.DKIMKey, finding.DKIMSHA1, finding.DKIMLength, finding.DKIMExpired, finding.DKIMClock,
}

// dkimCheck is the check of a signature that does not count.
func dkimCheck(why dkim.Reason) finding.ID {
	switch why {
	case dkim.ReasonKeyMissing, dkim.ReasonKeyMultiple, dkim.ReasonKeyUnavailable, dkim.ReasonKeyRevoked,
		dkim.ReasonKeySyntax, dkim.ReasonKeyTooLarge, dkim.ReasonKeyInapplicable:
		return finding.DKIMKey
	case dkim.ReasonKeyWeak:
		return finding.DKIMWeak
	case dkim.ReasonSHA1:
		return finding.DKIMSHA1
	case dkim.ReasonLengthTag:
		return finding.DKIMLength
	case dkim.ReasonExpired:
		return finding.DKIMExpired
	case dkim.ReasonFuture:
		return finding.DKIMClock
	case dkim.ReasonTestFlag:
		return finding.DKIMTesting
	}
	return finding.DKIMFail
}

// dkimAlso is a second check of a signature that does not count, "" for none: what
// makes the signature invalid, where the first tells only of a habit that valid
// ones may have too.
func dkimAlso(check finding.ID) finding.ID {
	switch check {
	case finding.DKIMWeak:
		return finding.DKIMKey
	case finding.DKIMTesting:
		return finding.DKIMFail
	}
	return ""
}

// addDKIM turns the signatures' results into findings, and lists them for the
// header field.
func (k *sink) addDKIM(set *finding.Set, f *facts) {
	j := &k.tx.judge
	if len(f.dkim) == 0 {
		set.Add(finding.Of(finding.DKIMMissing, finding.Fail, ""))
		j.results = append(j.results, authres.Result{Method: "dkim", Value: "none"})
		return
	}
	j.results = appendSignatures(j.results, f.dkim)
	set.Add(finding.Finding{Check: finding.DKIMMissing, Outcome: finding.Pass})
	good, o := false, finding.Fail
	for i := range f.dkim {
		switch f.dkim[i].Status {
		case dkim.Pass:
			good = true
		case dkim.TempError:
			o = finding.Unverified
		}
	}
	if good {
		for _, id := range dkimChecks {
			set.Add(finding.Finding{Check: id, Outcome: finding.Pass})
		}
		k.addHabits(set, f.dkim)
	}
	for i := range f.dkim {
		r := &f.dkim[i]
		if r.Status == dkim.Pass {
			continue
		}
		found := finding.Of(dkimCheck(r.Reason), o, r.SDID, r.Facts(k.s.in.cfg.Now())...)
		if good {
			set.Note(found)
			continue
		}
		set.Add(found)
		if also := dkimAlso(found.Check); also != "" {
			set.Add(finding.Of(also, o, r.SDID, "selector", r.Selector, "detail", r.Detail))
		}
	}
}

// addHabits tells of valid signatures that are not made as they should be, unless
// the message has one that is.
func (k *sink) addHabits(set *finding.Set, rs []dkim.Result) {
	habit := func(id finding.ID, has func(*dkim.Result) bool) {
		var with *dkim.Result
		for i := range rs {
			if rs[i].Status != dkim.Pass {
				continue
			}
			if !has(&rs[i]) {
				set.Add(finding.Finding{Check: id, Outcome: finding.Pass})
				return
			}
			with = &rs[i]
		}
		set.Add(finding.Of(id, finding.Fail, with.SDID, with.Facts(k.s.in.cfg.Now())...))
	}
	habit(finding.DKIMWeak, func(r *dkim.Result) bool { return r.Weak })
	habit(finding.DKIMTesting, func(r *dkim.Result) bool { return r.Testing })
}

// appendSignatures lists signatures as Authentication-Results does (RFC 8601
// §2.7.1), with why one does not count.
func appendSignatures(out []authres.Result, rs []dkim.Result) []authres.Result {
	sigs := make([]string, len(rs))
	for i := range rs {
		sigs[i] = base64Text(rs[i].Signature)
	}
	short := authres.SignaturePrefixes(sigs)
	for i := range rs {
		r := &rs[i]
		a := authres.DKIM(r.Status.String(), r.SDID, r.Selector, r.Algorithm, r.AUID, short[i])
		if r.Status != dkim.Pass {
			a.Reason = r.Detail
		}
		out = append(out, a)
	}
	return out
}
