package feedback

import (
	"cmp"
	"context"
	"fmt"

	"posta/internal/finding"
	"posta/internal/store"
)

// What a stream of ours must have, before its silence or its failing means something.
const (
	observedDays = 14
	observedSent = 100 // messages to those who report
	observedMin  = 20  // messages reported
)

// Observed holds what our queue delivered in a domain's name against what reports saw
// from our addresses: that mail of ours passes DMARC where it arrives is known only when
// others have seen it. Where nothing says anything, it could not be verified.
func Observed(ctx context.Context, st Store, q Query) (f finding.Finding, err error) {
	q.Days = observedDays
	sources, err := Sources(ctx, st, q)
	if err != nil {
		return f, err
	}
	o, err := View(ctx, st, q)
	if err != nil {
		return f, err
	}
	var ours Counts
	for i := range sources {
		if c := sources[i].Class; c == Ours || c == Misconfigured {
			ours.plus(&sources[i].Counts)
		}
	}
	var asked int64 // of those who report
	for i := range o.Reporters {
		asked += o.Reporters[i].Sent
	}
	facts := []string{"days", fmt.Sprint(observedDays), "sent", fmt.Sprint(o.Sent), "sent to reporters", fmt.Sprint(asked), "reported of ours", fmt.Sprint(ours.Messages),
		"aligned", fmt.Sprint(ours.Aligned), "by DKIM", fmt.Sprint(ours.DKIM), "by SPF", fmt.Sprint(ours.SPF)}
	return finding.Of(finding.DMARCObserved, observed(&ours, asked, len(q.Own)), q.Domain, facts...), nil
}

func observed(ours *Counts, asked int64, own int) finding.Outcome {
	switch {
	case own == 0: // nobody can tell which addresses are ours
		return finding.Unverified
	case ours.Messages >= observedMin && ours.Aligned*100 < ours.Messages*minAligned:
		return finding.Fail
	case ours.Messages >= observedMin:
		return finding.Pass
	case asked >= observedSent: // they had mail of ours, and saw none from our addresses
		return finding.Fail
	}
	return finding.Unverified
}

// Refusal is how often a provider refused or put off our mail, naming authentication.
type Refusal struct {
	Domain string // of the recipients, or the provider's name
	Check  finding.ID
	Code   string // "5.7.26"; "" for none
	Times  int64
}

// Complaints are those of two weeks, and what was sent then.
type Complaints struct {
	Complaints, Sent int64
}

// ComplaintsOf counts the complaints about a domain's mail in the last two weeks.
func ComplaintsOf(ctx context.Context, st Store, q Query) (c Complaints, err error) {
	list, err := st.ListReports(ctx, store.ReportFilter{Kind: store.FeedbackReport, Domain: q.Domain, Since: q.Now.AddDate(0, 0, -observedDays), Limit: 10_000})
	if err != nil {
		return c, err
	}
	for i := range list {
		if list[i].Proved {
			c.Complaints += list[i].Messages
		}
	}
	sent, err := SentOf(ctx, st, q.Domain, q.Now, observedDays)
	for _, s := range sent {
		c.Sent += s.Count
	}
	return c, err
}

// Bounds of what others hold against us before a policy is tightened.
const (
	refusedMin    = 5   // times; one misconfigured mailbox is no sign
	complaintsMin = 5   // complaints
	complaintRate = 0.3 // % of what was sent: where large providers begin to refuse
)

// refused adds what providers said to us themselves.
func (a *Advice) refused(e *Evidence) {
	for _, r := range e.Refused {
		if r.Times >= refusedMin {
			a.block("refused", r.Domain, r.Times, cmp.Or(r.Code, string(r.Check)))
		}
	}
	if c := e.Complaints; c.Complaints >= complaintsMin && float64(c.Complaints)*100 > complaintRate*float64(c.Sent) {
		a.block("complaints", c.Complaints, c.Sent)
	}
}
