package intake

import (
	"slices"

	"posta/internal/directory"
	"posta/internal/feedback"
	"posta/internal/finding"
	"posta/internal/mail"
	"posta/internal/store"
	"posta/internal/trace"
)

// Reports of others about our mail (DMARC, TLS, complaints) that come to the addresses
// for them, or to postmaster@ and abuse@, are never shown as mail: what looks like one
// becomes a job of the accept instead of being delivered, durable before the client reads
// 250. Whoever does the job (package report) keeps the report, or delivers the message
// after all.

// reported parts the effects of recipients that take reports from the others, if the
// message looks like one.
func (k *sink) reported(f *facts, filed *mail.Envelope, effects []mail.Effect) (rest, aside []mail.Effect) {
	taken := false
	for i := range filed.Recipients {
		taken = taken || directory.TakesReports(filed.Recipients[i].Address)
	}
	if !taken || !feedback.Looks(f.tree) {
		return effects, nil
	}
	rest = effects[:0]
	for _, ef := range effects {
		to := filed.Recipients[ef.Recipient].Address
		if (ef.Kind == mail.Append || ef.Kind == mail.Enqueue) && directory.TakesReports(to) && k.tx.view.Local(to.Domain) {
			aside = append(aside, ef)
		} else {
			rest = append(rest, ef)
		}
	}
	return rest, aside
}

// lookLater puts the job into an accept that looks at the message, with the effects that
// it has if it is no report.
func (w *filed) lookLater(a *store.Accept, f *facts, aside []mail.Effect, rec *trace.Record) error {
	if len(aside) == 0 {
		return nil
	}
	els := &store.Accept{ID: a.ID}
	for _, ef := range aside {
		if ef.Kind == mail.Append {
			d, err := w.deliver(delivery(w.p.stored, ef), ef)
			if err != nil {
				return err
			}
			els.Deliveries = append(els.Deliveries, d)
		} else {
			out := w.enqueue(els, f, ef)
			out.Recipients = append(out.Recipients, store.QueueTo{
				Address: ef.To.String(), Domain: ef.Hop(), Original: ef.Original, Notify: ef.Notify,
			})
		}
		rec.To[ef.Recipient].AddEffect(func() string { return "report" })
	}
	r := store.ReportJob{
		Accept: a.ID, Blob: a.Blob.ID, Size: a.Blob.Size, Sender: f.author, Proved: rec.Findings.Outcome(finding.DMARCFail) == finding.Pass,
		Deliveries: els.Deliveries, Enqueues: els.Enqueues,
	}
	j, err := r.Job()
	if err != nil {
		return err
	}
	a.Jobs = append(a.Jobs, j)
	return nil
}

// withReported is where an accept's message goes, and where it goes if it is no report: its
// bytes say both, so that mail of which the database is lost before anybody has looked at it
// comes back to somebody.
func withReported(a *store.Accept) (deliveries []store.Delivery, leaving []store.Enqueue) {
	deliveries, leaving = a.Deliveries, a.Enqueues
	for i := range a.Jobs {
		if a.Jobs[i].Kind != store.ReportJobKind {
			continue
		}
		if r, err := store.DecodeReportJob(&a.Jobs[i]); err == nil { // we made it
			deliveries, leaving = slices.Concat(deliveries, r.Deliveries), slices.Concat(leaving, r.Enqueues)
		}
	}
	return deliveries, leaving
}
