package intake

import (
	"strings"

	"posta/internal/mail"
	"posta/internal/reportout"
)

// tellJudged tells what reports to other domains are made of: a stranger's message as
// DMARC judged it, and what was done with it. What is put off comes again, and is told of
// then.
func (k *sink) tellJudged(f *facts, done mail.Action) {
	in, e := k.s.in, k.env
	stranger := e.Client.Class == mail.OwnServer || e.Client.Class == mail.BigProvider
	if in.cfg.Judged == nil || f.dmarc == nil || !stranger || done == mail.Defer || k.s.rehearsal != nil {
		return
	}
	in.cfg.Judged(reportout.Judged{
		At: in.cfg.Now(), Source: e.Client.IP, DMARC: *f.dmarc, SPF: k.tx.judge.spfSeen, DKIM: f.dkim,
		EnvelopeFrom: string(e.ReversePath.Domain), EnvelopeTo: string(e.Recipients[0].Address.Domain),
		Done: done, Override: f.override, Report: f.isReport(),
	})
}

// isReport knows a DMARC or TLS report by its header (RFC 9990 §3.5.1, RFC 8460 §5.3), so
// that no report is made about reports.
func (f *facts) isReport() bool {
	const subject = "report domain:"
	s := strings.TrimSpace(f.header.Get("Subject"))
	return len(s) >= len(subject) && strings.EqualFold(s[:len(subject)], subject) || f.header.Get("TLS-Report-Domain") != ""
}
