package intake

import (
	"context"
	"sync"

	"posta/internal/addr"
	"posta/internal/directory"
	"posta/internal/finding"
	"posta/internal/mail"
	"posta/internal/scan"
	"posta/internal/smtp"
	"posta/internal/trace"
)

// Scanners are asked twice. Milters that the client concerns hear of connection,
// HELO and MAIL in a goroutine of the session, beside our own evaluators, from MAIL
// on: only then is it known who the client is. What they say is awaited at the first
// RCPT that we would accept, and each such RCPT is told to them; so they can only
// refuse, never let in. After the dot all scanners hear the whole message, unless it
// is refused anyhow (scanmessage.go). scanfinding.go has what becomes of what they say,
// scanenvelope.go how far they may change the envelope.

// filters are the milters that listen to one session.
type filters struct {
	ctx      context.Context
	cancel   context.CancelFunc
	wg       sync.WaitGroup
	dialogue *scan.Dialogue // nil: nobody listens
	class    mail.Class     // of the client as they know it: strangers are one
	greeted  bool           // they have heard the last HELO
	stale    bool           // one of them failed, or did not hear all: begin anew
}

// opening is what the milters say up to MAIL.
type opening struct {
	scan.Answer
	early bool // at the connection or HELO
}

// txScan is what scanners have to do with one transaction.
type txScan struct {
	opening eventually[opening]
	heard   bool // opening was awaited
	stopped bool // the finding is in the set: nothing more is told to milters

	asks  mail.Action // what a filter wants that scan.refused is about: policy.Facts.Filter
	reply smtp.Reply  // in the filter's words; zero: in ours

	// greylist: a scanner (rspamd) would like to see the message again later, and
	// remembers nothing itself. Policy hears of it, and the common memory of strangers
	// serves it.
	greylist bool

	results []trace.Scan
	fates   []scan.Fate // of the envelope's recipients; nil: nobody was deleted
	added   []addedRecipient
	from    *addr.Address // the reverse-path that a filter gave, nil: the client's
}

// wish is what a filter asks for that scan.refused is about.
func (t *txScan) wish() mail.Action {
	if t == nil {
		return mail.Accept
	}
	return t.asks
}

// wantsAgain reports whether a scanner would like to see the message again later.
func (t *txScan) wantsAgain() bool { return t != nil && t.greylist }

// tellFilters begins to tell the milters of a transaction.
func (s *session) tellFilters(e *mail.Envelope) {
	r, f := s.asked, &s.filters
	if r == nil || !r.Sees(e.Client.Class) {
		return
	}
	s.tx.scan = new(txScan)
	if !r.Listening(e.Client.Class) {
		return
	}
	if f.cancel == nil {
		f.ctx, f.cancel = context.WithCancel(context.Background())
	}
	if f.dialogue != nil && (f.stale || f.class != max(e.Client.Class, mail.BigProvider)) {
		f.dialogue.Close()
		f.dialogue = nil
	}
	connect, hello := f.dialogue == nil, f.dialogue == nil || !f.greeted
	if connect {
		f.dialogue, f.stale, f.class = r.Listen(), false, max(e.Client.Class, mail.BigProvider)
	}
	f.greeted = true
	d, env := f.dialogue, *e // the session's own envelope changes meanwhile
	s.tx.scan.opening.beginBeside(f.ctx, &f.wg, func(ctx context.Context) opening {
		facts := s.scanFacts(ctx, &env)
		if connect {
			if a := d.Connect(ctx, facts); a.Action >= mail.Defer || a.Err != nil {
				return opening{a, true}
			}
		}
		if hello {
			if a := d.Helo(ctx, facts); a.Action >= mail.Defer || a.Err != nil {
				return opening{a, true}
			}
		}
		return opening{d.Mail(ctx, facts), false}
	})
}

// scanFacts are what scanners are told of the client. It waits for its names.
func (s *session) scanFacts(ctx context.Context, e *mail.Envelope) *scan.Facts {
	f := &scan.Facts{Envelope: e, Hostname: s.in.cfg.Hostname}
	ctx, cancel := context.WithTimeout(ctx, s.in.cfg.Judge)
	defer cancel()
	r, _ := s.judge.ptr.await(ctx)
	if len(r.Confirmed) > 0 {
		f.Name = r.Confirmed[0]
	}
	if len(r.Names) > 0 {
		f.PTR = r.Names[0].Name
	}
	return f
}

// byFilter asks the milters about a recipient whom we would accept. postmaster@ and
// abuse@ are not theirs to close.
func (s *session) byFilter(ctx context.Context, e *mail.Envelope, r mail.Recipient) *smtp.Reply {
	t := s.tx.scan
	if t == nil || t.opening.done == nil {
		return nil
	}
	subject := "<" + r.Address.String() + ">"
	if !t.heard {
		o, ok := t.opening.await(ctx)
		if !ok { // the connection ends
			return s.refusal(e, r.Address, finding.ScanDown, 451, subject, "")
		}
		t.heard = true
		s.filters.stale = s.filters.stale || o.early && o.Action >= mail.Defer || o.Err != nil
		s.stopByFilter(ctx, o.Answer)
	}
	if !t.stopped {
		a := s.filters.dialogue.Rcpt(ctx, r)
		s.filters.stale = s.filters.stale || a.Err != nil
		switch {
		case a.Action < mail.Defer:
			return nil
		case a.Cause == scan.NoCause: // of this recipient alone
			if directory.IsPostmaster(r.Address) {
				return nil
			}
			id := s.place(e, r.Address, finding.ScanRefused)
			return s.in.filterReply(id, a.Action, saneReply(a.Reply), subject)
		}
		s.stopByFilter(ctx, a)
	}
	v := s.tx.verdict(r.Address, s.tx.set, mail.Accept)
	if v.Action != mail.Defer && v.Action != mail.Reject {
		return nil
	}
	return s.tx.verdictReply(s.in, s.place(e, r.Address, finding.ID(v.Check)), v, s.tx.set, subject)
}

// stopByFilter keeps as a finding what milters say of the whole transaction, if that
// is no.
func (s *session) stopByFilter(ctx context.Context, a scan.Answer) {
	if a.Action < mail.Defer {
		return
	}
	t := s.tx.scan
	t.stopped = true
	if a.Cause != scan.NoCause {
		s.in.cfg.Log.WarnContext(ctx, "scanner", "name", a.By, "cause", a.Cause.String(), "err", a.Err)
		s.tx.set.Add(scanDown(finding.Fail, a.By, a.Cause, a.Err.Error()))
		return
	}
	t.refuse(s.tx.set, &scan.Result{Name: a.By, Report: scan.Report{Action: a.Action, Reply: a.Reply}})
}

// resetFilters ends what milters know of a transaction that came to nothing.
func (s *session) resetFilters(ctx context.Context) {
	t, f := s.tx.scan, &s.filters
	if t == nil || t.opening.done == nil || f.dialogue == nil {
		return
	}
	o, ok := t.opening.await(ctx)
	if !ok { // the connection ends: so do they
		return
	}
	f.stale = f.stale || o.early && o.Action >= mail.Defer || o.Err != nil
	if !f.stale {
		f.dialogue.Reset(ctx)
	}
}

// end says good-bye to the milters.
func (f *filters) end() {
	if f.cancel == nil {
		return
	}
	f.cancel()
	f.wg.Wait()
	if f.dialogue != nil {
		f.dialogue.Close()
		f.dialogue = nil
	}
}
