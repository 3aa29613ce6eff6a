package intake

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"posta/internal/addr"
	"posta/internal/admit"
	"posta/internal/blob"
	"posta/internal/directory"
	"posta/internal/filing"
	"posta/internal/finding"
	"posta/internal/mail"
	"posta/internal/policy"
	"posta/internal/sasl"
	"posta/internal/scan"
	"posta/internal/smtp"
	"posta/internal/smtpserver"
	"posta/internal/store"
	"posta/internal/trace"
)

// session is one connection. Its methods are called from one goroutine.
type session struct {
	in      *Intake
	client  *mail.Client
	opened  time.Time
	judge   connJudge // findings about the connection, running beside the dialogue
	noted   []finding.Finding
	access  sessionAccess
	tx      *transaction
	filters filters      // the milters that listen
	asked   *scan.Runner // the scanners that it has, nil: none
	letGo   func() error // of the scanners
	last    *accepted    // the last acceptance, until it is known that its 250 was read

	rehearsal *rehearsal // nil in earnest: see Explain
}

// transaction is one envelope, from MAIL on.
type transaction struct {
	env      *mail.Envelope
	view     *directory.View // one view for the whole transaction
	policy   *policy.Policy  // and one policy
	access   txAccess
	judge    txJudge
	scan     *txScan      // nil: it concerns no scanner
	set      *finding.Set // connection and envelope, once they were awaited
	refused  []trace.Recipient
	bounces  map[addr.Address]addr.Address // recipients that are SRS addresses of ours, and whom they stand for
	spread   int                           // octets that its targets take in the accept record, see maxSpread
	placed   mail.ID                       // under which its refusals are found; zero: nothing was refused yet
	reserved []reservation
	taken    time.Time // when it was taken from its account's day; zero: it was not, or it is accepted

	regard     regard            // what speaks for the sender, or against it
	notes      []finding.Fact    // for the trace: what fails no check
	asides     []finding.Finding // for the trace: about one recipient alone
	greylisted bool              // it was to be greylisted, and is known
	cameAgain  bool              // and so for every recipient: it has waited
}

type reservation struct {
	account AccountID
	octets  int64
}

// accepted remembers what to do if the client never read our 250.
type accepted struct {
	id   mail.ID
	keys []store.ConfirmKey
}

// Open implements smtpserver.Backend. Judgement of strangers begins here.
func (in *Intake) Open(_ context.Context, c *mail.Client) (smtpserver.Session, *smtp.Reply) {
	if c.Class < mail.LocalNetwork && in.isLocal(c.IP) {
		c.Class = mail.LocalNetwork
	}
	s := &session{in: in, client: c, opened: in.cfg.Now()}
	s.asked, s.letGo = in.cfg.Scanners.Take()
	s.judge.begin(in, c)
	return s, nil
}

// isLocal reports whether an address is loopback or of a network that the
// administrator listed.
func (in *Intake) isLocal(ip netip.Addr) bool {
	if ip.IsLoopback() {
		return true
	}
	for _, p := range in.cfg.Trusted {
		if p.Contains(ip) {
			return true
		}
	}
	return false
}

// Hello begins the judgement of the name.
func (s *session) Hello(_ context.Context, c *mail.Client) *smtp.Reply {
	s.judge.hello(s.in, c)
	s.filters.greeted = false
	return nil
}

// Authenticate verifies a password; the authenticator delays failures itself.
func (s *session) Authenticate(ctx context.Context, c *mail.Client, a sasl.Credentials) *smtp.Reply {
	id, err := s.in.login.Login(ctx, c.IP, a.User, a.Password)
	switch {
	case err == nil:
		c.Login, c.Account, c.Class = id.Login, int64(id.Account), mail.Authenticated
		return nil
	case errors.Is(err, admit.ErrRefused):
		return s.keepRefusal(trace.AtConnect, finding.Of(finding.AuthFailed, finding.Fail, ""), smtp.New(535, "5.7.8", "Address or password is wrong"))
	case errors.Is(err, admit.ErrExpired):
		return s.expired(id.Login)
	}
	r := smtp.New(454, "4.7.0", "Cannot verify passwords now, try again later")
	return &r
}

// expired answers a password that is right and too old. RFC 5248 has X.7.13 for what is
// told after a successful authentication and is permanent until the user speaks with
// the administrator; 432 (RFC 4954 §6) would have the program change the mechanism.
func (s *session) expired(login string) *smtp.Reply {
	f := finding.Of(finding.AuthExpired, finding.Fail, login)
	return s.keepRefusalOf(login, trace.AtConnect, f, smtp.New(525, "5.7.13", "The password is too old: "+admit.Renew(s.in.cfg.PasswordPage)))
}

// Mail begins a transaction.
func (s *session) Mail(ctx context.Context, e *mail.Envelope) *smtp.Reply {
	if e.ID.IsZero() {
		e.ID = mail.NewID(s.in.cfg.Now())
	}
	tx := &transaction{env: e, view: s.in.dir.View()}
	tx.policy = s.in.policyOf(tx.view)
	tx.access.m = s.in.cfg.Access.At(s.in.cfg.Now())
	s.tx = tx
	if e.Client.Door == mail.Submission {
		if r := s.maySend(e); r != nil {
			return r
		}
		if r := s.takeOne(ctx, e); r != nil {
			return r
		}
	}
	tx.judge.begin(s.in, e)
	s.tellFilters(e)
	return nil
}

// maySend wants a login of whoever submits, of this machine's own programs too
// (RFC 6409 §4.3): what cannot log in has port 25, LMTP and the sendmail socket.
// It holds our users to their own addresses (§6.1).
func (s *session) maySend(e *mail.Envelope) *smtp.Reply {
	if e.Client.Class != mail.Authenticated {
		return s.refuseMail(e, finding.AuthRequired, 530, "", "Log in first")
	}
	from := e.ReversePath
	if e.Client.Account == 0 || from.IsZero() || s.tx.view.MayUse(AccountID(e.Client.Account), from) {
		return nil
	}
	return s.refuseMail(e, finding.SenderForeign, 553, "<"+from.String()+">", fmt.Sprintf("not an address of %s", e.Client.Login))
}

// refuseMail refuses the transaction, with its record.
func (s *session) refuseMail(e *mail.Envelope, check finding.ID, code int, subject, text string) *smtp.Reply {
	r := s.refusal(e, addr.Address{}, check, code, subject, text)
	s.keepMail(e, check, r)
	return r
}

// Rcpt answers for one forward-path: what the access map says, whether it is ours,
// whether it exists, whether policy takes mail from this client, whether there is
// room.
func (s *session) Rcpt(ctx context.Context, e *mail.Envelope, r mail.Recipient) *smtp.Reply {
	granted, reply := s.byAccess(ctx, e, r.Address)
	if granted.action == mail.Discard {
		return nil // what is thrown away needs no recipient that exists
	}
	where, targets := filing.Ask(s.tx.view, r.Address)
	if s.forwards(r.Address) {
		where, targets = filing.Elsewhere, nil
		if reply == nil {
			reply = s.toSender(e, r.Address)
		}
	} else if reply == nil {
		where, targets, reply = s.whereTo(e, r.Address, where, targets, granted.relay)
	}
	if reply == nil {
		reply = s.byPolicy(ctx, e, r.Address)
	}
	if reply == nil {
		reply = s.byFilter(ctx, e, r)
	}
	if reply == nil {
		if both := s.alone(e, where); both != nil {
			return both
		}
		if over := s.spread(r, targets); over != nil {
			return over // the engine's own word for too many, which is no refusal
		}
		reply = s.room(ctx, e, r.Address, targets)
	}
	if reply != nil {
		s.in.counts.refused(reply.Check)
		s.tx.refused = append(s.tx.refused, trace.Recipient{
			Address: r.Address.String(), Action: actionOf(reply), Check: reply.Check, Reply: reply.String(),
		})
	}
	return reply
}

func actionOf(r *smtp.Reply) string {
	if r.Temporary() {
		return mail.Defer.String()
	}
	return mail.Reject.String()
}

// whereTo refuses relaying and addresses that do not exist, and asks of what may leave
// whether a rule leads it back here. relay says that the access map lets mail for the
// address leave again.
func (s *session) whereTo(e *mail.Envelope, a addr.Address, where filing.Answer, targets []directory.Target, relay bool) (filing.Answer, []directory.Target, *smtp.Reply) {
	leaves := e.Client.Class == mail.Authenticated || relay && !addr.LegacyRoute(a.Local)
	var err error
	if where == filing.Elsewhere && leaves {
		if where, targets, err = filing.AskOut(s.tx.view, e, a); where == filing.Elsewhere {
			return where, nil, nil
		}
	}
	return where, targets, s.whereNot(e, a, where, err)
}

// whereNot refuses what leads nowhere. The old routes through a relay (user%dom@here,
// a!b, quoted @) are refused as what they are, whatever the directory holds. err is
// what is known of a rule that refuses.
func (s *session) whereNot(e *mail.Envelope, a addr.Address, where filing.Answer, err error) *smtp.Reply {
	subject := "<" + a.String() + ">"
	switch where {
	case filing.Here, filing.Reflector:
		return nil
	case filing.Refused:
		return s.byRule(e, a, err)
	case filing.Looping:
		return s.refusal(e, a, finding.LoopHops, 550, subject, "the alias leads only to itself")
	case filing.TooMany:
		// Our own configuration is to blame, not the sender: it may be mended.
		return s.refusal(e, a, finding.SystemBusy, 451, subject, "the address leads to more recipients than one message may have")
	case filing.Unknown:
		if !addr.LegacyRoute(a.Local) || e.Client.Class == mail.Authenticated {
			return s.refusal(e, a, finding.RcptUnknown, 550, subject, "no such recipient here")
		}
	}
	return s.refusal(e, a, finding.RelayDenied, 554, subject, "Relay access denied")
}

// byRule refuses with the very reply that a rule says, with our check and link behind it.
func (s *session) byRule(e *mail.Envelope, a addr.Address, err error) *smtp.Reply {
	if err == nil {
		_, err = s.tx.view.Resolve(a)
	}
	refused, ok := errors.AsType[*directory.Refused](err)
	if !ok {
		return s.refusal(e, a, finding.RcptUnknown, 550, "<"+a.String()+">", "no such recipient here")
	}
	check := finding.RcptRule
	if refused.Moved {
		check = finding.RcptMoved
	}
	r := refused.Reply.WithCheck(string(check), s.in.cfg.WhyURL+s.place(e, a, check).String())
	return &r
}

// maxSpread bounds the octets of a transaction's targets in its accept record,
// which must hold them all (blob.MaxAcceptBytes): about 10,000 of them.
const maxSpread = blob.MaxAcceptBytes * 7 / 8

// spread counts where a recipient leads. Nil: the transaction has room for it.
func (s *session) spread(rcpt mail.Recipient, targets []directory.Target) *smtp.Reply {
	a := rcpt.Address
	tx, n := s.tx, askedOctets(rcpt)
	if len(targets) == 0 { // elsewhere
		n = forwardOctets(a)
	}
	for _, t := range targets {
		if acc := tx.view.Account(t.Account); acc != nil {
			n += len(acc.Login) + len(`{"login":"","role":"inbox","keywords":["junk"]},`)
		} else {
			n += forwardOctets(t.Remote)
		}
	}
	if tx.spread+n <= maxSpread {
		tx.spread += n
		return nil
	}
	r := smtp.RcptTooMany.Reply()
	if tx.spread == 0 { // no other transaction would have room for it either
		r = *s.refusal(tx.env, a, finding.SystemBusy, 451, "<"+a.String()+">", "the address leads to more recipients than one message may have")
	}
	return &r
}

func forwardOctets(a addr.Address) int {
	return len(a.Local) + 2*len(a.Domain) + len(`{"address":"@","domain":"","as":9999},`)
}

// askedOctets is what the record says once for all targets of a recipient.
func askedOctets(r mail.Recipient) int {
	n := len(`{"original":"rfc822;@","notify":15,"seal":""},`) + len(r.Address.Local) + 2*len(r.Address.Domain)
	for _, c := range []byte(r.Original) {
		n++
		if c < ' ' || c >= 0x7f || strings.IndexByte(`"\<>&`, c) >= 0 {
			n += len(`\u003c`) - 1 // at most so long in JSON
		}
	}
	return n
}

// byPolicy waits for what is known of connection and envelope and asks policy.
// postmaster@ and abuse@ are let through by policy itself.
func (s *session) byPolicy(ctx context.Context, e *mail.Envelope, a addr.Address) *smtp.Reply {
	if s.tx.set == nil {
		s.tx.set = s.findings(ctx)
	}
	if over := s.limit(e, a); over != nil {
		return over
	}
	v := s.tx.verdict(a, s.tx.set, mail.Accept)
	if v.Action != mail.Defer && v.Action != mail.Reject {
		if v.Greylist != "" {
			return s.greylist(ctx, e, a, v.Greylist)
		}
		return nil
	}
	return s.tx.verdictReply(s.in, s.place(e, a, finding.ID(v.Check)), v, s.tx.set, "<"+a.String()+">")
}

// findings awaits the evaluators of connection and envelope.
func (s *session) findings(ctx context.Context) *finding.Set {
	ctx, cancel := context.WithTimeout(ctx, s.in.cfg.Judge)
	defer cancel()
	set := &finding.Set{}
	for _, f := range s.noted {
		set.Add(f)
	}
	s.tx.judge.results = s.judge.await(ctx, set, s.tx)
	s.tx.judge.await(ctx, set, s.tx)
	s.tx.classify(s.judge.name())
	return set
}

// room reserves SIZE octets for those of the accounts that have a quota.
func (s *session) room(ctx context.Context, e *mail.Envelope, a addr.Address, targets []directory.Target) *smtp.Reply {
	for _, t := range targets {
		acc := s.tx.view.Account(t.Account)
		if acc == nil || acc.Quota == 0 {
			continue
		}
		ok, err := s.in.quota.take(ctx, s.in.store, t.Account, max(e.Size, 1))
		if err != nil {
			r := s.in.storeReply(mail.ID{}, err)
			return &r
		}
		if !ok {
			return s.refusal(e, a, finding.RcptFull, 452, "<"+a.String()+">", "the mailbox is full")
		}
		s.tx.reserved = append(s.tx.reserved, reservation{t.Account, max(e.Size, 1)})
	}
	return nil
}

// Notice turns what the engine saw into findings.
func (s *session) Notice(n smtpserver.Notice) {
	check, ok := notices[n.Kind]
	if !ok {
		return
	}
	f := finding.Of(check, finding.Fail, "", "seen", n.Detail)
	s.noted = append(s.noted, f)
	if s.tx != nil && s.tx.set != nil {
		s.tx.set.Add(f)
	}
}

// Delivered: the client read our 250, so a repeat would be a new message.
func (s *session) Delivered() {
	if s.last != nil && s.in.cfg.Shared {
		s.in.store.Confirmed(s.last.keys)
	}
	s.last = nil
}

// Reset ends a transaction that did not end in acceptance.
func (s *session) Reset(ctx context.Context) {
	if tx := s.tx; tx != nil {
		s.resetFilters(ctx)
		if len(tx.refused) > 0 {
			last := tx.refused[len(tx.refused)-1]
			s.keepTransaction(trace.AtRcpt, tx, last.Reply)
			s.rememberRefused(tx)
		}
		s.endTransaction(ctx)
	}
}

// endTransaction gives back what the transaction held.
func (s *session) endTransaction(ctx context.Context) {
	if s.tx == nil {
		return
	}
	for _, r := range s.tx.reserved {
		s.in.quota.give(r.account, r.octets)
	}
	s.giveBack(ctx)
	s.tx.judge.end()
	s.tx = nil
}

// Close ends the connection. What the client may not have learnt is remembered,
// so that a repeat is recognised (RFC 1047).
func (s *session) Close(ctx context.Context, why smtpserver.CloseReason) {
	s.filters.end()
	s.Reset(ctx)
	s.judge.end()
	if err := s.letGo(); err != nil {
		s.in.cfg.Log.WarnContext(ctx, "scanners that were replaced", "err", err)
	}
	if s.last == nil || !why.Unconfirmed {
		return
	}
	if s.in.cfg.Shared {
		return // it was said with the accept
	}
	err := s.in.store.Unconfirmed(ctx, s.last.id, s.last.keys, s.in.cfg.Now())
	if err != nil {
		s.in.cfg.Log.ErrorContext(ctx, "unconfirmed accept not remembered", "id", s.last.id.String(), "err", err)
	}
}
