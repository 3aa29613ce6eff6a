package intake

import (
	"slices"

	"posta/internal/addr"
	"posta/internal/directory"
	"posta/internal/filing"
	"posta/internal/finding"
	"posta/internal/mail"
	"posta/internal/scan"
	"posta/internal/trace"
)

// addedRecipient is one whom a filter added, and we let it.
type addedRecipient struct {
	mail.Recipient
	verdict mail.Verdict
}

// changeEnvelope lets filters change the envelope as far as local policy goes: they
// may add whom the client itself could have named, and a reverse-path of ours or of
// the sender's own domain. Where one may not be added nobody is deleted either: the
// message would be lost between the two.
func (k *sink) changeEnvelope(o *scan.Outcome, set *finding.Set, asked mail.Action) {
	t := k.tx.scan
	for _, r := range o.Added {
		where, targets := filing.Ask(k.tx.view, r.Address)
		may := where == filing.Here || where == filing.Elsewhere && k.env.Client.Class == mail.Authenticated
		if !may || k.s.spread(r, targets) != nil {
			t.note("not allowed: the recipient <%s>; no recipient is deleted", r.Address)
			t.fates, t.added = nil, nil
			break
		}
		v := k.tx.verdict(r.Address, set, asked)
		if v.Action >= mail.Defer {
			v.Action = mail.Quarantine // if the message is taken, a refusal has nobody to hear it
		}
		t.added = append(t.added, addedRecipient{r, v})
	}
	from := o.Envelope.ReversePath
	if from == k.env.ReversePath {
		return
	}
	if !from.IsZero() && from.Domain != k.env.ReversePath.Domain && !k.tx.view.LocalName(string(from.Domain)) {
		t.note("not allowed: the reverse-path <%s>", from)
		return
	}
	t.from = &from
}

// fate is a verdict with what filters did to that recipient.
func (t *txScan) fate(i int, a addr.Address, v mail.Verdict) mail.Verdict {
	if t == nil || i >= len(t.fates) || t.fates[i].Action <= v.Action || directory.IsPostmaster(a) {
		return v
	}
	return mail.Verdict{Action: t.fates[i].Action, Check: string(finding.ScanRefused)}
}

// reversePath is the one under which the message is kept and sent.
func (tx *transaction) reversePath() addr.Address {
	if tx.scan != nil && tx.scan.from != nil {
		return *tx.scan.from
	}
	if tx.view.Rewrites() {
		return tx.rewrittenPath()
	}
	return tx.env.ReversePath
}

// forFiling is the envelope with its verdicts as it is filed: whom filters added
// stands behind those that the client named, and in the trace too. A repeat of an
// accept adds nobody: they were added with the first.
func (k *sink) forFiling(verdicts []mail.Verdict, rec *trace.Record) (*mail.Envelope, []mail.Verdict) {
	if k.tx.scan == nil || len(k.tx.scan.added) == 0 || k.again {
		return k.env, verdicts
	}
	filed := *k.env
	filed.Recipients = slices.Clone(filed.Recipients)
	vs, named := slices.Clone(verdicts), len(verdicts)
	for _, r := range k.tx.scan.added {
		filed.Recipients, vs = append(filed.Recipients, r.Recipient), append(vs, r.verdict)
		rec.To = slices.Insert(rec.To, named, trace.Recipient{Address: r.Address.String(), Action: r.verdict.Action.String(), Check: r.verdict.Check})
		named++ // those that were refused at RCPT stand behind
	}
	return &filed, vs
}
