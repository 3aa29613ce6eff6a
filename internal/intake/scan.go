package intake

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"posta/internal/addr"
	"posta/internal/directory"
	"posta/internal/filing"
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
// is refused anyhow. scanmessage.go has what becomes of their edits.

// filters are the milters that listen to one session.
type filters struct {
	ctx      context.Context
	cancel   context.CancelFunc
	wg       sync.WaitGroup
	dialogue *scan.Dialogue // nil: nobody listens
	class    mail.Class     // of the client as they know it
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
	// remembers nothing itself. Whoever greylists may put the message off for it.
	greylist bool

	results []trace.Scan
	fates   []scan.Fate // of the envelope's recipients; nil: nobody was deleted
	added   []addedRecipient
	from    *addr.Address // the reverse-path that a filter gave, nil: the client's
}

// addedRecipient is one whom a filter added, and we let it.
type addedRecipient struct {
	mail.Recipient
	verdict mail.Verdict
}

// tellFilters begins to tell the milters of a transaction.
func (s *session) tellFilters(e *mail.Envelope) {
	r, f := s.in.cfg.Scanners, &s.filters
	if r == nil || !r.Listening(e.Client.Class) {
		return
	}
	if f.cancel == nil {
		f.ctx, f.cancel = context.WithCancel(context.Background())
	}
	if f.dialogue != nil && (f.stale || f.class != e.Client.Class) {
		f.dialogue.Close()
		f.dialogue = nil
	}
	connect, hello := f.dialogue == nil, f.dialogue == nil || !f.greeted
	if connect {
		f.dialogue, f.stale, f.class = r.Listen(), false, e.Client.Class
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
	t := &s.tx.scan
	if t.opening.done == nil {
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
	t := &s.tx.scan
	t.stopped = true
	if a.Cause != scan.NoCause {
		s.in.cfg.Log.WarnContext(ctx, "scanner", "name", a.By, "cause", a.Cause.String(), "err", a.Err)
		s.tx.set.Add(scanDown(finding.Fail, a.By, a.Cause, a.Err.Error()))
		return
	}
	t.refuse(s.tx.set, &scan.Result{Name: a.By, Report: scan.Report{Action: a.Action, Reply: a.Reply}})
}

// refuse notes that a filter does not want the message.
func (t *txScan) refuse(set *finding.Set, r *scan.Result) {
	facts := []string{"filter", r.Name, "asks for", r.Action.String()}
	if !r.Reply.IsZero() {
		facts = append(facts, "says", r.Reply.String())
	} else if r.Reason != "" {
		facts = append(facts, "says", r.Reason)
	}
	set.Add(finding.Of(finding.ScanRefused, finding.Fail, r.Name, facts...))
	if r.Action > t.asks {
		t.asks, t.reply = r.Action, saneReply(r.Reply)
	}
}

// scanDown is the finding that a scanner has no opinion. It fails where the message
// waits for it; where it may pass, it could not be verified.
func scanDown(o finding.Outcome, name string, cause scan.Cause, seen string) finding.Finding {
	return finding.Of(finding.ScanDown, o, name, "scanner", name, "cause", cause.String(), "seen", seen)
}

// maxFilterText bounds the words of a filter in a reply, in octets.
const maxFilterText = 1000

// saneReply makes a filter's reply fit to be said by us: a refusal, with an enhanced
// code of its class, that does not end the connection. Zero: say it in our words.
func saneReply(r smtp.Reply) smtp.Reply {
	if !r.Temporary() && !r.Permanent() || strings.TrimSpace(r.Text) == "" || len(r.Text) > maxFilterText {
		return smtp.Reply{}
	}
	switch r.Code {
	case 421:
		r.Code = 451
	case 521:
		r.Code = 554
	}
	if int(r.Enhanced[0]) != r.Code/100 {
		r.Enhanced = smtp.Enhanced{uint16(r.Code / 100), 7, 1}
	}
	r.Check, r.Link = "", ""
	return r
}

// filterReply is what the client reads of a filter's refusal, in the filter's words
// if they fit what is done.
func (in *Intake) filterReply(id mail.ID, action mail.Action, words smtp.Reply, subject string) *smtp.Reply {
	if words.Temporary() != (action == mail.Defer) || words.IsZero() {
		return in.verdictReply(id, mail.Verdict{Action: action, Check: string(finding.ScanRefused)}, &finding.Set{}, subject)
	}
	if subject != "" {
		words.Text = subject + ": " + words.Text
	}
	words = words.WithCheck(string(finding.ScanRefused), in.cfg.WhyURL+id.String())
	return &words
}

// verdictReply is the reply of a verdict, a filter's in the filter's words.
func (tx *transaction) verdictReply(in *Intake, id mail.ID, v mail.Verdict, set *finding.Set, subject string) *smtp.Reply {
	if v.Check == string(finding.ScanRefused) {
		return in.filterReply(id, v.Action, tx.scan.reply, subject)
	}
	return in.verdictReply(id, v, set, subject)
}

// resetFilters ends what milters know of a transaction that came to nothing.
func (s *session) resetFilters(ctx context.Context) {
	t, f := &s.tx.scan, &s.filters
	if t.opening.done == nil || f.dialogue == nil {
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

// forReply is how long after the scanners' time the rest may take: the commit.
const forReply = 5 * time.Second

// askScanners gives the whole message to those whom it concerns and keeps what they
// say as findings, and the message as the last of them left it. An error is the
// disk's. What is refused anyhow is not told them.
func (k *sink) askScanners(ctx context.Context, f *facts, set *finding.Set, asked mail.Action) error {
	r := k.s.in.cfg.Scanners
	if r == nil || !r.Sees(k.env.Client.Class) || refusedByAll(k.decide(set, asked)) {
		return nil
	}
	m, err := k.forScanners(f)
	if err != nil {
		return err
	}
	if end, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, end.Add(-forReply))
		defer cancel()
	}
	facts := k.s.scanFacts(ctx, k.env)
	var o *scan.Outcome
	if d := k.s.filters.dialogue; d != nil && k.tx.scan.opening.done != nil {
		o = d.Run(ctx, facts, m)
	} else {
		o = r.Run(ctx, facts, m)
	}
	defer o.Close()
	k.tx.scan.take(ctx, k, o, set)
	if d := k.s.filters.dialogue; d != nil && o.Action >= mail.Discard && !k.s.filters.stale {
		d.Reset(ctx) // not all have heard the end
	}
	if o.Action >= mail.Discard {
		return nil
	}
	k.changeEnvelope(o, set, asked)
	return k.adopt(f, o)
}

// refusedByAll reports whether nobody is to have the message.
func refusedByAll(vs []mail.Verdict) bool {
	return !slices.ContainsFunc(vs, func(v mail.Verdict) bool { return v.Action < mail.Discard })
}

// take keeps what every scanner said.
func (t *txScan) take(ctx context.Context, k *sink, o *scan.Outcome, set *finding.Set) {
	for i := range o.Results {
		r := &o.Results[i]
		t.results = append(t.results, scanTrace(r))
		t.greylist = t.greylist || r.Greylist
		switch {
		case r.Cause != scan.NoCause:
			if r.Cause != scan.Resting {
				k.s.in.cfg.Log.WarnContext(ctx, "scanner", "id", k.env.ID.String(), "name", r.Name, "cause", r.Cause.String(), "err", r.Err)
			}
			k.s.filters.stale = k.s.filters.stale || r.Kind == "milter"
			outcome := finding.Unverified
			if r.Action == mail.Defer {
				outcome = finding.Fail
			}
			addOnce(set, scanDown(outcome, r.Name, r.Cause, r.Reason))
		default:
			t.opinion(set, r)
		}
	}
	t.fates = o.Rcpt
}

// opinion turns what a scanner that answered said into findings.
func (t *txScan) opinion(set *finding.Set, r *scan.Result) {
	check := finding.ScanRefused
	if r.Kind == "clamav" {
		check = finding.ScanVirus
	}
	switch {
	case r.Action == mail.Accept:
		set.Add(finding.Finding{Check: check, Outcome: finding.Pass})
	case r.Kind == "clamav":
		set.Add(finding.Of(finding.ScanVirus, finding.Fail, r.Reason, "scanner", r.Name, "found", r.Reason))
	case r.Action == mail.Junk:
		facts := []string{"scanner", r.Name, "score", fmt.Sprintf("%g of %g", r.Score, r.Required)}
		for _, s := range symbolTexts(r) {
			facts = append(facts, "symbol", s)
		}
		set.Add(finding.Of(finding.SpamScore, finding.Fail, r.Name, facts...))
	default:
		if f, ok := set.Find(finding.ScanRefused); ok && f.Subject == r.Name {
			return // it said so before the message came
		}
		t.refuse(set, r)
	}
	set.Add(finding.Finding{Check: finding.ScanDown, Outcome: finding.Pass})
}

// addOnce adds a finding unless the same is there: a milter that failed before the
// message fails after it too.
func addOnce(set *finding.Set, f finding.Finding) {
	if !slices.ContainsFunc(set.Others, func(o finding.Finding) bool { return o.Check == f.Check && o.Subject == f.Subject }) {
		set.Add(f)
	}
}

// What of a report stands in traces and findings.
const (
	maxSymbolTexts = 20
	maxEditTexts   = 50
	maxEditText    = 200
)

// symbolTexts are the reasons of a score, the heaviest first.
func symbolTexts(r *scan.Result) []string {
	var out []string
	for _, s := range r.Symbols[:min(len(r.Symbols), maxSymbolTexts)] {
		out = append(out, s.Name+" "+strconv.FormatFloat(s.Score, 'g', -1, 64))
	}
	return out
}

// scanTrace is a result as the trace keeps it.
func scanTrace(r *scan.Result) trace.Scan {
	t := trace.Scan{
		Name: r.Name, Action: r.Action.String(), Cause: r.Cause.String(), Reason: r.Reason, Score: r.Score, Required: r.Required,
		Greylist: r.Greylist, Symbols: symbolTexts(r), Millis: r.Duration.Milliseconds(),
	}
	if !r.Reply.IsZero() {
		t.Reply = r.Reply.String()
		t.Reply = t.Reply[:min(len(t.Reply), maxFilterText)]
	}
	for _, e := range r.Edits[:min(len(r.Edits), maxEditTexts)] {
		text := e.String()
		t.Edits = append(t.Edits, strings.ToValidUTF8(text[:min(len(text), maxEditText)], "?"))
	}
	if more := len(r.Edits) - maxEditTexts; more > 0 {
		t.Edits = append(t.Edits, fmt.Sprintf("and %d more", more))
	}
	return t
}

// note adds to what the trace says of the member that changed something.
func (t *txScan) note(format string, args ...any) {
	last := &t.results[len(t.results)-1]
	last.Edits = append(last.Edits, fmt.Sprintf(format, args...))
}

// changeEnvelope lets filters change the envelope as far as local policy goes: they
// may add whom the client itself could have named, and a reverse-path of ours or of
// the sender's own domain. Where one may not be added nobody is deleted either: the
// message would be lost between the two.
func (k *sink) changeEnvelope(o *scan.Outcome, set *finding.Set, asked mail.Action) {
	t := &k.tx.scan
	for _, r := range o.Added {
		where, targets := filing.Ask(k.tx.view, r.Address)
		may := where == filing.Here || where == filing.Elsewhere && k.env.Client.Class == mail.Authenticated
		if !may || k.s.spread(r.Address, targets) != nil {
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
	if i >= len(t.fates) || t.fates[i].Action <= v.Action || directory.IsPostmaster(a) {
		return v
	}
	return mail.Verdict{Action: t.fates[i].Action, Check: string(finding.ScanRefused)}
}

// reversePath is the one under which the message is kept and sent.
func (tx *transaction) reversePath() addr.Address {
	if tx.scan.from != nil {
		return *tx.scan.from
	}
	return tx.env.ReversePath
}

// traceScan tells the record what scanners said.
func (tx *transaction) traceScan(r *trace.Record) {
	if r.Scans = tx.scan.results; tx.scan.asks != mail.Accept {
		r.Filter = tx.scan.asks.String()
	}
}
