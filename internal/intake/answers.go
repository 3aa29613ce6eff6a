package intake

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"posta/internal/addr"
	"posta/internal/dsn"
	"posta/internal/mail"
	"posta/internal/mailbox"
	"posta/internal/message"
	"posta/internal/message/charset"
	"posta/internal/reflector"
	"posta/internal/sieve"
	"posta/internal/store"
	"posta/internal/trace"
	"posta/internal/words"
)

// What scripts write: replies, notifications, refusals. They are composed with the
// message at hand and sent by a job of its accept. Nothing answers what a machine wrote
// (RFC 3834), or whom nothing proves to be the sender: no backscatter (DESIGN §5.6).

// maxAnswer bounds the text of what a script writes, in octets.
const maxAnswer = 64 << 10

// answerable is the address that an answer goes to; ok is false where there is nobody to
// answer.
func (r *filer) answerable(acc *store.Account) (to addr.Address, ok bool) {
	to = r.k.tx.reversePath()
	switch {
	case to.IsZero(), !r.proved, reflector.Automatic(r.f.header) != "", robot(string(to.Local.Fold())):
		return to, false
	}
	return to, !r.k.tx.view.MayUse(acc.ID, to)
}

// robot reports whether a local part is one of programs (RFC 5230 §4.6).
func robot(local string) bool {
	switch local {
	case "mailer-daemon", "listserv", "majordomo", "postmaster", "noreply", "no-reply":
		return true
	}
	return strings.HasPrefix(local, "owner-") || strings.HasSuffix(local, "-request") || strings.HasSuffix(local, "-owner") || strings.HasSuffix(local, "-bounces")
}

// vacation answers that somebody is away (RFC 5230), if the message names him (§4.5).
func (r *filer) vacation(acc *store.Account, rcpt addr.Address, ef mail.Effect, v *sieve.Reply) {
	to, ok := r.answerable(acc)
	if !ok || ef.Junk || !r.names(acc, v.Own) {
		return
	}
	from := rcpt
	if v.From != "" {
		if list, err := addr.ParseList(v.From, 1); err == nil && len(list) == 1 {
			if a, err := list[0].Address(); err == nil && r.k.tx.view.MayUse(acc.ID, a) {
				from = a
			}
		}
	}
	subject := v.Subject
	if subject == "" {
		subject = "Auto: " + charset.DecodeHeader(r.f.tree.Envelope.Subject)
	}
	b := r.begin(acc, from, to, subject, "auto-replied (vacation)")
	if v.MIME {
		b.Entity([]byte(v.Text))
	} else {
		b.Text("plain", clipped(v.Text))
	}
	job := r.job("vacation", acc, to, b)
	job.Remember, job.Seconds = digestKey("vacation", v.Handle, to.Fold().String()), v.Seconds
	if v.Fcc != nil {
		job.Copy = copyOf(v.Fcc)
	}
	r.answers = append(r.answers, job)
}

// copyOf is where :fcc (RFC 8580) wants a copy.
func copyOf(a *sieve.Action) *store.AnswerCopy {
	if !canName(a.Mailbox) {
		return nil
	}
	c := &store.AnswerCopy{Mailbox: a.Mailbox}
	for _, f := range a.Flags {
		if bit := mailbox.FlagOf(f); bit != 0 {
			c.Flags |= bit
		} else if !strings.HasPrefix(f, `\`) {
			c.Keywords = append(c.Keywords, f)
		}
	}
	return c
}

// names reports whether the message names an address of the account's in a field for
// recipients.
func (r *filer) names(acc *store.Account, own []string) bool {
	const most = 500
	for _, field := range []string{"To", "Cc", "Bcc", "Resent-To", "Resent-Cc", "Resent-Bcc"} {
		for f := range r.f.header.All(field) {
			list, _ := addr.ParseList(f.Value(), most)
			for _, e := range list {
				a, err := e.Address()
				if err != nil {
					continue
				}
				mine := func(s string) bool {
					b, err := addr.ParseAddress(s)
					return err == nil && b.Fold() == a.Fold()
				}
				if slices.ContainsFunc(own, mine) || r.k.tx.view.Local(a.Domain) && r.k.tx.view.MayUse(acc.ID, a) {
					return true
				}
			}
		}
	}
	return false
}

// notify tells somebody by mail that a message came (RFC 5435, 5436).
func (r *filer) notify(acc *store.Account, ef mail.Effect, n *sieve.Notice) {
	m, err := sieve.ParseMailto(n.Method)
	if err != nil || ef.Junk || autoNotified(r.f.header) {
		return
	}
	subject := m.Subject
	if n.Message != "" {
		subject = n.Message
	}
	if subject == "" {
		subject = charset.DecodeHeader(r.f.tree.Envelope.Subject)
	}
	from, err := addr.ParseAddress(acc.Login)
	if err != nil {
		return
	}
	body := m.Body
	if body == "" {
		body = "From: " + charset.DecodeHeader(r.f.tree.Envelope.From) + "\nSubject: " + charset.DecodeHeader(r.f.tree.Envelope.Subject) + "\n"
	}
	for _, to := range slices.Concat(m.To, m.Cc, m.Bcc) {
		b := r.begin(acc, from, to, subject, "auto-notified; owner-email=\""+acc.Login+"\"")
		if n.Importance != "2" {
			b.Structured("Importance", map[string]string{"1": "high", "3": "low"}[n.Importance])
		}
		b.Text("plain", clipped(body))
		job := r.job("notify", acc, to, b)
		if n.Fcc != nil {
			job.Copy = copyOf(n.Fcc)
		}
		r.answers = append(r.answers, job)
	}
}

// autoNotified reports whether a message is itself a notification: RFC 5436 §2.7.1 forbids
// to tell of those.
func autoNotified(h message.Header) bool {
	return strings.HasPrefix(strings.ToLower(strings.TrimSpace(h.Get("Auto-Submitted"))), "auto-notified")
}

// refuse tells the sender that a script refused the message which others have taken (RFC
// 5429 §2.1), where it is proved who he is; it reports whether it did.
func (r *filer) refuse(acc *store.Account, rcpt addr.Address, text string) bool {
	to, ok := r.answerable(acc)
	if !ok {
		return false
	}
	in, now := r.k.s.in, r.k.s.in.cfg.Now()
	n := dsn.Notice{
		From: addr.Address{Local: "MAILER-DAEMON", Domain: rcpt.Domain}, To: addr.PathOf(to), Date: now,
		MessageID: newMessageID(rcpt.Domain), Boundary: newBoundary(), Original: r.f.header,
	}
	n.ReportingMTA = in.cfg.Hostname
	n.Arrival = r.k.env.Received
	n.Recipients = []dsn.Recipient{{
		Final: dsn.AddressOf(addr.PathOf(rcpt)), Action: dsn.Failed, Status: "5.7.1", Diagnostic: clipped(text),
	}}
	r.answers = append(r.answers, store.AnswerJob{
		ID: mail.NewID(now), About: r.k.env.ID, Account: acc.ID, To: to.String(), Message: n.Bytes(), UTF8: n.To.NeedsUTF8(), What: "reject",
	})
	return true
}

// fault tells a script's owner what went wrong in it, once a day.
func (r *filer) fault(f scriptFault) {
	acc := r.k.tx.view.Account(f.account)
	if acc == nil {
		return
	}
	to, err := addr.ParseAddress(acc.Login)
	if err != nil {
		return
	}
	lang := words.Parse(r.k.tx.view.Language(to))
	b := r.begin(acc, addr.Address{Local: "postmaster", Domain: to.Domain}, to, lang.Say("sieve.fault.subject", f.script), "auto-generated")
	b.Text("plain", lang.Say("sieve.fault", f.script, clipped(f.err.Error()), charset.DecodeHeader(r.f.tree.Envelope.From), charset.DecodeHeader(r.f.tree.Envelope.Subject)))
	job := r.job("fault", acc, to, b)
	job.Remember, job.Seconds = digestKey("fault", f.script), int64(24*time.Hour/time.Second)
	r.answers = append(r.answers, job)
}

// begin writes the header that all that scripts write has (RFC 3834 §3.1).
func (r *filer) begin(acc *store.Account, from, to addr.Address, subject, auto string) *message.Builder {
	now := r.k.s.in.cfg.Now()
	b := &message.Builder{}
	b.Date(now)
	b.Mailbox("From", acc.Name, from)
	b.Mailbox("To", "", to)
	b.Field("Subject", oneLine(subject))
	b.Structured("Message-ID", newMessageID(from.Domain))
	if id := message.MessageID(r.f.tree.Envelope.MessageID); wellFormedID(id) && len(id) < 500 {
		b.Structured("In-Reply-To", id)
		b.Structured("References", id)
	}
	b.Structured("Auto-Submitted", auto)
	b.Structured("Precedence", "bulk")
	return b
}

func (r *filer) job(what string, acc *store.Account, to addr.Address, b *message.Builder) store.AnswerJob {
	return store.AnswerJob{
		ID: mail.NewID(r.k.s.in.cfg.Now()), About: r.k.env.ID, Account: acc.ID, To: to.String(), Message: b.Bytes(),
		UTF8: !isASCII(to.String()), What: what,
	}
}

func newMessageID(d addr.Domain) string {
	var random [16]byte
	rand.Read(random[:]) // never fails since Go 1.24
	return message.NewMessageID(random[:], d)
}

func newBoundary() string {
	var random [16]byte
	rand.Read(random[:])
	return message.Boundary(random[:])
}

// oneLine keeps a text from beginning another field.
func oneLine(s string) string {
	if len(s) > 500 {
		s = strings.ToValidUTF8(s[:500], "") + "…"
	}
	return strings.Join(strings.Fields(s), " ")
}

func clipped(s string) string {
	if len(s) > maxAnswer {
		return strings.ToValidUTF8(s[:maxAnswer], "") + "…"
	}
	return s
}

// digestKey names what is remembered without saying whom it is about.
func digestKey(parts ...string) string {
	h := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return hex.EncodeToString(h[:16])
}

// factKey is the key of what is remembered for an account.
func factKey(a AccountID, id string) string { return fmt.Sprintf("%d %s", a, digestKey(id)) }

// remembered reports whether a fact stands. What cannot be read is not remembered.
func (in *Intake) remembered(ctx context.Context, kind store.FactKind, key string) bool {
	facts, err := in.store.FactsOf(ctx, kind, key)
	if err != nil {
		in.cfg.Log.WarnContext(ctx, "what scripts remember cannot be read", "err", err)
		return false
	}
	return facts[0].Until.After(in.cfg.Now())
}

// noteDuplicates remembers the ids of "duplicate" once their message is kept.
func (in *Intake) noteDuplicates(ctx context.Context, notes []dupNote) {
	for _, n := range notes {
		until := in.cfg.Now().Add(time.Duration(n.note.Seconds) * time.Second)
		err := in.store.ChangeFacts(context.WithoutCancel(ctx), store.Duplicate, []string{factKey(n.account, n.note.ID)}, func(f store.Fact) store.Fact {
			f.Value, f.Until = []byte{1}, until
			return f
		})
		if err != nil {
			in.cfg.Log.WarnContext(ctx, "what a script wants remembered was not written", "err", err)
		}
	}
}

// mailboxID is a mailbox's OBJECTID, as IMAP tells it (RFC 8474).
func mailboxID(id mailbox.ID) string { return fmt.Sprintf("M%d", id) }

// maxAnswers is how many messages the scripts of one message may write.
const maxAnswers = 100

// answer puts the jobs that send what scripts wrote into the accept.
func (w *filed) answer(a *store.Accept, rec *trace.Record) error {
	if w.scripts == nil {
		return nil
	}
	for _, f := range w.scripts.faults {
		w.k.s.in.cfg.Log.Info("script failed", "id", w.k.env.ID.String(), "account", f.account, "script", f.script, "err", f.err)
		w.scripts.fault(f)
	}
	for _, ans := range w.scripts.answers[:min(len(w.scripts.answers), maxAnswers)] {
		j, err := ans.Job()
		if err != nil {
			return err
		}
		a.Jobs = append(a.Jobs, j)
		if ans.What != "fault" && len(rec.To) > 0 {
			rec.To[0].AddEffect(func() string { return ans.What + " → " + ans.To })
		}
	}
	return nil
}
