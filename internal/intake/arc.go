package intake

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"posta/internal/arc"
	"posta/internal/authres"
	"posta/internal/dmarc"
	"posta/internal/finding"
	"posta/internal/mail"
	"posta/internal/trace"
)

// addARC turns the chain's outcome into a finding (RFC 8617 §5.2). A broken chain
// proves nothing and refuses nothing: the message is judged as if it had none.
func (k *sink) addARC(set *finding.Set, f *facts) {
	if f.arc.Status == arc.None {
		return
	}
	oldest := ""
	if f.arc.Status == arc.Pass {
		oldest = strconv.Itoa(f.arc.OldestPass)
	}
	r := authres.ARC(f.arc.Status.String(), k.env.Client.IP.String(), oldest)
	o := finding.Pass
	if f.arc.Status == arc.Fail {
		o, r.Reason = finding.Fail, f.arc.Detail
		if f.arc.Unverified {
			o = finding.Unverified
		}
		set.Add(finding.Of(finding.ARCFail, o, "", chainFacts(&f.arc, k.s.in.cfg.Now())...))
	} else {
		set.Add(finding.Finding{Check: finding.ARCFail, Outcome: o})
	}
	k.tx.judge.results = append(k.tx.judge.results, r)
}

// What is kept of a broken chain: fifty sets, each of 16 KiB, would fill any record.
const (
	maxChainFacts = 20   // pairs: the outcome, and the newest sets
	maxChainText  = 1000 // octets of one
)

// chainFacts are the facts of a chain, the newest sets first, cut to the budget.
func chainFacts(r *arc.Result, now time.Time) []string {
	facts := r.Facts(now)
	if n := len(facts)/2 - maxChainFacts; n > 0 {
		facts = append(facts[:2*maxChainFacts], "not shown", strconv.Itoa(n)+" further facts of older sets")
	}
	for i, s := range facts {
		if len(s) > maxChainText {
			facts[i] = strings.ToValidUTF8(s[:maxChainText], "") + "…"
		}
	}
	return facts
}

// override tells why a failure of DMARC does not count: the oldest sealer whom the
// administrator trusts says that DMARC passed for the same author domain when the
// message came to it (RFC 8617 §7.2). Nil: it counts. With several authors of
// several domains nobody's word is taken.
func (k *sink) override(f *facts, r *dmarc.Result) *trace.Override {
	if len(k.tx.policy.Sealers) == 0 || len(r.Others) > 0 {
		return nil
	}
	a, ok := f.arc.Attested(k.tx.policy.Sealers.Trusts)
	if !ok || !slices.Contains(a.Passed("dmarc"), string(r.Author)) {
		return nil
	}
	return &trace.Override{
		Type:    trace.TrustedForwarder,
		Comment: a.Sealer + " is trusted, and sealed dmarc=pass in ARC set " + strconv.Itoa(a.Instance),
	}
}

// chainOf is what of the chain a dry run needs to say what another list of trusted
// sealers would make of a failure of DMARC. Nil: nothing.
func chainOf(f *facts, r *dmarc.Result) *trace.Chain {
	vouchers := f.arc.Vouchers()
	if len(vouchers) == 0 || len(r.Others) > 0 {
		return nil
	}
	c := &trace.Chain{Asked: askedOf(r.Disposition).String()}
	for i, v := range vouchers {
		a := arc.Attestation{Results: f.arc.Sets[len(vouchers)-1-i].Results}
		c.Seals = append(c.Seals, trace.Seal{
			Instance: v.Instance, Sealer: v.Sealer, Intact: v.Intact, Covered: v.Covered,
			Passed: slices.Contains(a.Passed("dmarc"), string(r.Author)),
		})
	}
	return c
}

// sealOf is the domain whose key is to seal what an effect sends on, "" for none:
// that of our alias which leads elsewhere (RFC 8617 §5.1).
func (k *sink) sealOf(f *facts, filed *mail.Envelope, ef *mail.Effect) string {
	if !ef.Relayed || !k.sealable(f) {
		return ""
	}
	return string(filed.Recipients[ef.Recipient].Address.Domain)
}

// sealable reports whether what we found out about a message may be sealed when it
// is sent on: it came from outside, and it is known whether its chain is whole. A
// chain whose key could not be looked up now would be declared broken for ever.
func (k *sink) sealable(f *facts) bool {
	return k.judged() && k.fromOutside() && !f.arc.Unverified
}
