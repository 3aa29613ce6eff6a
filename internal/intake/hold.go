package intake

import (
	"strings"
	"unicode/utf8"

	"posta/internal/directory"
	"posta/internal/finding"
	"posta/internal/mail"
	"posta/internal/store"
)

// maxSeen bounds the evidence that is kept with a reason, in octets.
const maxSeen = 300

// hold is what the quarantine keeps of a message for one recipient (DESIGN §2.4).
func (k *sink) hold(ef mail.Effect, f *facts, p *prefixes, v mail.Verdict, set *finding.Set) store.Quarantined {
	h := store.Quarantined{
		Recipient: ef.To.String(), Domain: string(ef.To.Domain), Original: ef.Original, Notify: ef.Notify,
		Author: f.author, Subject: f.tree.Envelope.Subject, Reasons: k.reasons(ef, v, set), Stored: p.stored, Out: k.leaving(f, p),
	}
	if k.tx.view.Local(ef.To.Domain) && k.sealable(f) {
		h.Out.Seal = h.Domain // if it turns out to be an alias that leads elsewhere
	}
	h.Review = mustReview(h.Reasons)
	return h
}

// reasons lists the checks that held a message, the one that decided first. Each of
// the others would have held it alone.
func (k *sink) reasons(ef mail.Effect, v mail.Verdict, set *finding.Set) []store.HoldReason {
	decided, _ := set.Find(finding.ID(v.Check))
	out := []store.HoldReason{{Check: v.Check, Seen: evidence(decided)}}
	for _, f := range set.Others {
		if len(out) == store.MaxHoldReasons || string(f.Check) == v.Check {
			continue
		}
		alone := &finding.Set{Others: []finding.Finding{f}}
		if k.tx.verdict(ef.To, alone, mail.Accept).Action >= mail.Quarantine {
			out = append(out, store.HoldReason{Check: string(f.Check), Seen: evidence(f)})
		}
	}
	return out
}

// mustReview tells whether somebody must look at held mail before it may go: all but
// what was held for its content. The sender has read 250, so of what merely lacks a
// signature or a record nothing is ever deleted unseen (S58).
func mustReview(reasons []store.HoldReason) bool {
	for _, r := range reasons {
		switch finding.ID(r.Check).Section() {
		case "content", "scan", "spam":
			return false
		}
	}
	return true
}

// evidence is a finding's subject and evidence in one line.
func evidence(f finding.Finding) string {
	var b strings.Builder
	b.WriteString(f.Subject)
	for _, e := range f.Evidence {
		if b.Len() > 0 {
			b.WriteString("; ")
		}
		b.WriteString(e.What + ": " + e.Seen)
	}
	return cut(b.String(), maxSeen)
}

// cut shortens a text to n octets, not within a character.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

// recordHolds says beside the bytes for whom the message is held.
func recordHolds(r *store.AcceptRecord, holds []store.Quarantined, view *directory.View) {
	for i := range holds {
		h := &holds[i]
		recordWishes(r, &h.Out, view)
		r.Held = append(r.Held, store.AcceptHold{
			Recipient: h.Recipient, Domain: h.Domain, Original: h.Original, Notify: uint8(h.Notify),
			Author: h.Author, Reasons: h.Reasons, Review: h.Review, Seal: h.Out.Seal,
		})
		r.Prefix, r.Skip, r.QueuedPrefix = h.Stored.Prefix, h.Stored.Skip, h.Out.Prefix
	}
}
