package intake

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"posta/internal/access"
	"posta/internal/addr"
	"posta/internal/admit"
	"posta/internal/command"
	"posta/internal/filing"
	"posta/internal/finding"
	"posta/internal/mail"
	"posta/internal/reputation"
	"posta/internal/smtp"
	"posta/internal/smtpserver"
	"posta/internal/store"
	"posta/internal/trace"
)

// Explaining is a rehearsal: a session like any other is opened, greeted and given
// an envelope and a message, and each of its methods does what it does for real
// mail. What differs is behind it, in rehearse: a store that keeps nothing, counters
// of its own, and Commit ends before anything is made durable. Whoever adds a step
// that leaves a trace in the world asks session.rehearsal first.

// rehearsal collects what a session does.
type rehearsal struct {
	set      *finding.Set
	asked    mail.Action
	verdicts []mail.Verdict
	effects  []mail.Effect
}

// silentStore reads what the store has and writes nothing.
type silentStore struct{ Store }

var errRehearsal = errors.New("intake: a rehearsal keeps nothing")

func (silentStore) Accept(context.Context, *store.Accept) ([]store.Placed, error) {
	return nil, errRehearsal
}

func (silentStore) Unconfirmed(context.Context, mail.ID, []store.ConfirmKey, time.Time) error {
	return errRehearsal
}
func (silentStore) Confirmed([]store.ConfirmKey)         {}
func (silentStore) PlaceRefused(r store.Refusal) mail.ID { return r.ID }
func (silentStore) KeepRefused(store.TraceRecord)        {}
func (silentStore) RecoverUnconfirmed(context.Context, time.Time) (int, error) {
	return 0, errRehearsal
}

// rehearse is an Intake that judges as this one does and keeps nothing. It begins
// with no counts of strangers: their limits are not met in a rehearsal. Scanners are
// asked as they are for real mail; what they remember of it is theirs.
func (in *Intake) rehearse() *Intake {
	cfg := in.cfg
	if cfg.Memory != nil {
		cfg.Memory = cfg.Memory.Silent()
	}
	if cfg.Sent != nil {
		cfg.Sent, cfg.NearLimit = cfg.Sent.Silent(), nil
	}
	return &Intake{
		cfg: cfg, dir: in.dir, store: silentStore{in.store}, blobs: in.blobs, dns: in.dns, login: in.login,
		keys: in.keys, lists: in.lists, quota: in.quota, held: in.held, spools: in.spools, written: in.written,
		strangers: reputation.NewStrangers(cfg.Limits, 64), asked: newReflections(), slots: in.slots,
	}
}

// Explain shows what real mail of a client would meet, without any effect: nothing is
// delivered, stored, counted or learned. It may wait for DNS. An error is a
// *command.Error that names what of the question cannot be read, or the store's.
func (in *Intake) Explain(ctx context.Context, q command.Question) (*command.Explanation, error) {
	c, from, to, err := in.readQuestion(q)
	if err != nil {
		return nil, err
	}
	opened, refused := in.rehearse().Open(ctx, c)
	if refused != nil {
		return &command.Explanation{MailReply: said(refused)}, nil
	}
	s, ok := opened.(*session)
	if !ok {
		return nil, fmt.Errorf("intake: a session is a %T", opened)
	}
	defer s.Close(ctx, smtpserver.CloseReason{})
	s.rehearsal = &rehearsal{}
	e := &mail.Envelope{ID: mail.NewID(in.cfg.Now()), Received: in.cfg.Now(), ReversePath: from, Size: int64(len(q.Message))}
	out := &command.Explanation{IP: q.IP, HELO: c.HELO, From: from.String()}
	r := s.Hello(ctx, c)
	e.Client = *c
	if r == nil {
		r = s.Mail(ctx, e)
	}
	if r != nil {
		out.Class, out.MailReply = e.Client.Class.String(), said(r)
		return out, nil
	}
	for _, a := range to {
		out.Recipients = append(out.Recipients, s.explainRcpt(ctx, e, a))
	}
	switch {
	case len(to) == 0:
		out.Sender = s.explainSender(ctx, e)
	case len(q.Message) > 0 && len(e.Recipients) > 0:
		if out.Reply, err = s.explainMessage(ctx, e, q.Message); err != nil {
			return nil, err
		}
	}
	s.explainEnd(ctx, out, e)
	return out, nil
}

// readQuestion gives the client and the envelope of a question.
func (in *Intake) readQuestion(q command.Question) (c *mail.Client, from addr.Address, to []addr.Address, err error) {
	c = &mail.Client{Door: mail.MX, HELO: q.HELO, EHLO: true}
	if !q.Clear {
		c.TLS = mail.TLS{Version: "TLS1.3"}
	}
	if q.IP != "" {
		if c.IP, err = netip.ParseAddr(q.IP); err != nil || c.IP.Zone() != "" {
			return nil, from, nil, command.WrongQuestion(q.IP, errors.New("no IP address"))
		}
		if c.IP = c.IP.Unmap(); c.HELO == "" {
			c.HELO = "[" + c.IP.String() + "]"
		}
	}
	if q.Login != "" {
		acc := in.dir.View().ByLogin(q.Login)
		if acc == nil {
			return nil, from, nil, command.WrongQuestion(q.Login, admit.ErrRefused)
		}
		c.Door, c.Class, c.Login, c.Account = mail.Submission, mail.Authenticated, acc.Login, int64(acc.ID)
	}
	if q.From != "" {
		if from, err = addr.ParseAddress(q.From); err != nil {
			return nil, from, nil, command.WrongQuestion(q.From, err)
		}
	}
	for _, s := range q.To {
		a, err := addr.ParseAddress(s)
		if err != nil {
			return nil, from, nil, command.WrongQuestion(s, err)
		}
		to = append(to, a)
	}
	return c, from, to, nil
}

// said is a reply without the link, which would lead nowhere.
func said(r *smtp.Reply) string {
	own := *r
	own.Link = ""
	return own.String()
}

// explainRcpt gives RCPT to the session, and tells what was looked at.
func (s *session) explainRcpt(ctx context.Context, e *mail.Envelope, a addr.Address) command.ExplainedRcpt {
	out := command.ExplainedRcpt{Address: a.String()}
	out.Access = rulesets(s.tx.access.m, s.accessFacts(ctx, e, a))
	r := mail.Recipient{Address: a}
	reply := s.Rcpt(ctx, e, r)
	if s.tx.access.granted[a].action != mail.Discard {
		where, _ := filing.Ask(s.tx.view, a)
		out.Where = whereNames[where]
		if where == filing.Elsewhere {
			out.Walk = s.tx.view.WalkOut(e.ReversePath, AccountID(e.Client.Account), a)
		} else {
			out.Walk, out.More = s.tx.view.Walk(a)
		}
	}
	if s.tx.set != nil {
		s.explainPolicy(&out, a, mail.Accept)
	}
	if reply != nil {
		out.Reply, out.Action, out.Check = said(reply), actionOf(reply), reply.Check
		return out
	}
	e.Recipients = append(e.Recipients, r)
	return out
}

var whereNames = [...]string{
	filing.Here: "here", filing.Elsewhere: "elsewhere", filing.Unknown: "unknown", filing.Looping: "looping", filing.TooMany: "too-many",
	filing.Reflector: "reflector", filing.Refused: "refused",
}

// explainPolicy tells what the table says of the findings so far.
func (s *session) explainPolicy(out *command.ExplainedRcpt, a addr.Address, asked mail.Action) {
	out.Rules = nil
	for _, r := range s.tx.policy.Explain(s.tx.set, s.tx.policyFacts(a, asked)) {
		out.Rules = append(out.Rules, command.ExplainedRule{Check: r.Check, Outcome: r.Outcome.String(), Step: r.Step.String(), Changed: r.Changed})
	}
	v := s.tx.verdict(a, s.tx.set, asked)
	out.Action, out.Check, out.Label, out.Friend = v.Action.String(), v.Check, v.Label, s.tx.access.granted[a].friend
}

// explainSender asks for a recipient of ours about whom nothing is known.
func (s *session) explainSender(ctx context.Context, e *mail.Envelope) *command.ExplainedRcpt {
	out := &command.ExplainedRcpt{}
	f := s.accessFacts(ctx, e, addr.Address{})
	f.To = addr.Path{Kind: addr.Postmaster} // local, and no key is asked for it
	d := access.Decision{}
	if s.tx.access.m.Len() > 0 {
		out.Access = rulesets(s.tx.access.m, f)
		d = s.tx.access.m.Decide(access.AtRcpt, f, accessOptions)
	}
	s.tx.set = s.findings(ctx)
	s.tx.access.granted = map[addr.Address]grant{{}: {friend: d.Outcome == access.Trusted}}
	s.explainPolicy(out, addr.Address{}, mail.Accept)
	switch d.Outcome {
	case access.Refused:
		out.Reply = said(&d.Reply) + " [" + string(finding.AccessDenied) + "]"
		out.Action, out.Check = actionOf(&d.Reply), string(finding.AccessDenied)
	case access.Discarded:
		out.Action, out.Check = mail.Discard.String(), string(finding.AccessDiscard)
	case access.Quarantine:
		out.Action, out.Check = mail.Quarantine.String(), string(finding.AccessHeld)
	}
	return out
}

// explainMessage gives the message to the session, whose Commit ends in rehearsed.
func (s *session) explainMessage(ctx context.Context, e *mail.Envelope, message []byte) (string, error) {
	sink, r := s.Data(ctx, e)
	if r != nil {
		return said(r), nil
	}
	if _, err := sink.Write(message); err != nil {
		sink.Abort()
		return "", err
	}
	replies := sink.Commit(ctx)
	return said(&replies[0]), nil
}

// rehearsed is where Commit ends in a rehearsal.
func (k *sink) rehearsed(ctx context.Context, f *facts, set *finding.Set, asked mail.Action, verdicts []mail.Verdict, rec *trace.Record) []smtp.Reply {
	k.s.rehearsal.set, k.s.rehearsal.asked, k.s.rehearsal.verdicts = set, asked, verdicts
	if refusal := k.refused(verdicts, set); refusal != nil {
		return k.answer(*refusal)
	}
	w, err := k.file(ctx, f, verdicts, rec)
	if err != nil {
		return k.answer(k.s.in.storeReply(mail.ID{}, err))
	}
	k.s.rehearsal.effects = w.effects
	if refusal := w.refusal(rec, verdicts, make([]bool, len(verdicts))); refusal != nil {
		return k.answer(*refusal)
	}
	return k.answer(smtp.New(250, "2.0.0", "Ok"))
}

// explainEnd puts in what is known at the end: findings, and the effects on each
// recipient that was taken.
func (s *session) explainEnd(ctx context.Context, out *command.Explanation, e *mail.Envelope) {
	out.PTR, out.Class, out.Notes = s.access.facts.Name, e.Client.Class.String(), s.tx.notes
	if s.tx.judge.spfSeen.Domain != "" {
		out.SPF = s.tx.judge.spfSeen.Tree()
	}
	if s.tx.set != nil {
		out.Findings, out.Passes = slices.Concat(s.tx.set.Others, s.tx.asides, s.tx.access.denied), s.tx.set.Passes()
		if s.tx.set.Outcome(finding.DMARCFail) == finding.Fail {
			out.Asked = s.rehearsal.asked.String()
		}
	}
	r := s.rehearsal
	if r.verdicts == nil && len(e.Recipients) > 0 { // no message: as it stands at RCPT
		for _, to := range e.Recipients {
			r.verdicts = append(r.verdicts, s.tx.verdict(to.Address, orEmpty(s.tx.set), mail.Accept))
		}
		r.effects = filing.File(s.tx.view, e, r.verdicts)
		w := &filed{k: &sink{s: s, tx: s.tx, env: e}}
		r.effects = append(r.effects, w.archived(r.effects)...)
	}
	next := 0
	for i := range out.Recipients {
		to := &out.Recipients[i]
		if to.Reply != "" {
			continue
		}
		a := e.Recipients[next].Address
		if s.tx.set != nil {
			s.explainPolicy(to, a, r.asked)
		}
		v := r.verdicts[next]
		to.Action, to.Check, to.Label = v.Action.String(), v.Check, v.Label
		for _, ef := range r.effects {
			if ef.Recipient == next {
				to.Effects = append(to.Effects, s.in.effectText(s.tx, ef))
				s.explainFilters(ctx, to, ef)
			}
		}
		next++
	}
}

// explainFilters names the scripts that run for the account of an effect.
func (s *session) explainFilters(ctx context.Context, to *command.ExplainedRcpt, ef mail.Effect) {
	if ef.Kind != mail.Append || s.in.cfg.Scripts == nil || slices.Contains(ef.Via, archiveVia) {
		return
	}
	plan, err := s.in.cfg.Scripts.Of(ctx, AccountID(ef.Account))
	acc := s.tx.view.Account(AccountID(ef.Account))
	if err != nil || plan == nil || acc == nil {
		return
	}
	for _, one := range plan.All() {
		if name := acc.Login + ": " + one.Name; !slices.Contains(to.Filters, name) {
			to.Filters = append(to.Filters, name)
		}
	}
}

func orEmpty(s *finding.Set) *finding.Set {
	if s == nil {
		return &finding.Set{}
	}
	return s
}

// rulesets are sendmail's rulesets with every key that they ask for. Of an empty map
// there is nothing to tell.
func rulesets(m *access.Map, f *access.Facts) []command.ExplainedRuleset {
	if m.Len() == 0 {
		return nil
	}
	var out []command.ExplainedRuleset
	for _, r := range m.Explain(f, accessOptions) {
		d := &r.Says
		e := command.ExplainedRuleset{Name: r.Name, Outcome: d.Outcome.String()}
		if !d.Key.IsZero() {
			e.Entry = d.Key.String() + " " + d.Value.String()
		}
		if d.Outcome == access.Refused {
			e.Reply = d.Reply.String()
		}
		if d.Relay && !d.RelayBy.IsZero() {
			e.RelayBy = d.RelayBy.String()
		}
		for _, st := range r.Steps {
			step := command.ExplainedStep{Key: st.Key.String()}
			if st.Value.Action != access.None {
				step.Value = st.Value.String()
			}
			e.Steps = append(e.Steps, step)
		}
		out = append(out, e)
	}
	return out
}
