package intake

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"
	"unicode"

	"posta/internal/addr"
	"posta/internal/authres"
	"posta/internal/filing"
	"posta/internal/finding"
	"posta/internal/mail"
	"posta/internal/mailbox"
	"posta/internal/message"
	"posta/internal/scripts"
	"posta/internal/sieve"
	"posta/internal/smtp"
	"posta/internal/store"
)

// Scripts gives the Sieve scripts that run for an account; a nil plan means none. The
// error is the store's.
type Scripts interface {
	Of(ctx context.Context, id mailbox.AccountID) (*scripts.Plan, error)
}

// Bounds of what the scripts of one message may do together.
const (
	maxScripted  = 200 // effects in the place of one that filing gave
	maxScriptRun = 50  // accounts whose scripts run because a script redirected there
)

// filer runs the scripts of the accounts to which a message goes, and turns what they
// want into effects. It only reads: what it yields is carried out by the commit, or by
// jobs behind it (DESIGN §2.4).
type filer struct {
	k      *sink
	f      *facts
	filed  *mail.Envelope
	p      *prefixes
	msg    *sieve.Message // as it will be stored
	ran    map[AccountID]bool
	proved bool // the reverse-path wrote the message

	answers []store.AnswerJob
	notes   []dupNote
	faults  []scriptFault
	set     *finding.Set
	forms   []*sieve.Message // headers as scripts edited them
	octets  int              // of them
	rejects []scriptRefusal
	taken   map[int]bool // recipients for whom somebody takes the message
}

// scriptRefusal is an account's script that refuses the message.
type scriptRefusal struct {
	account *store.Account
	effect  mail.Effect // what there would be else
	text    string
}

// dupNote is an id that "duplicate" (RFC 7352) wants remembered once the message is kept.
type dupNote struct {
	account AccountID
	note    sieve.Note
}

// scriptFault is what went wrong in somebody's script.
type scriptFault struct {
	account AccountID
	script  string
	err     error
}

// scripted gives the effects of a message once the scripts of its recipients have run. It
// costs a look into the directory's view where nobody has any. The error is the store's:
// the message is to come again.
func (k *sink) scripted(ctx context.Context, f *facts, set *finding.Set, filed *mail.Envelope, p *prefixes, effects []mail.Effect) (*filer, []mail.Effect, error) {
	in := k.s.in
	if in.cfg.Scripts == nil || !k.tx.view.Scripted() {
		return nil, effects, nil
	}
	r := &filer{k: k, f: f, filed: filed, p: p, set: set, ran: map[AccountID]bool{}, taken: map[int]bool{}}
	var out []mail.Effect
	for _, ef := range effects {
		if ef.Kind != mail.Append {
			out = append(out, ef)
			r.taken[ef.Recipient] = true
			continue
		}
		made, err := r.account(ctx, ef, filed.Recipients[ef.Recipient].Address)
		if err != nil {
			return nil, nil, err
		}
		out = append(out, made...)
	}
	return r, once(out), nil
}

// once drops effects that put the message where it is put already.
func once(effects []mail.Effect) []mail.Effect {
	type place struct {
		kind    mail.EffectKind
		account int64
		box     string
		junk    bool
		to      addr.Address
		way     string
	}
	seen := map[place]bool{}
	return slices.DeleteFunc(effects, func(ef mail.Effect) bool {
		p := place{ef.Kind, ef.Account, ef.Mailbox + "\x00" + ef.Use, ef.Junk, ef.To.Fold(), ef.Transport}
		was := seen[p]
		seen[p] = true
		return was
	})
}

// account runs an account's scripts, once for a message.
func (r *filer) account(ctx context.Context, ef mail.Effect, to addr.Address) ([]mail.Effect, error) {
	id := AccountID(ef.Account)
	if r.ran[id] || len(r.ran) > maxScriptRun {
		r.taken[ef.Recipient] = true
		return []mail.Effect{ef}, nil // a script led back to where another began
	}
	plan, err := r.k.s.in.cfg.Scripts.Of(ctx, id)
	if err != nil || plan == nil {
		r.taken[ef.Recipient] = true
		return []mail.Effect{ef}, err
	}
	r.ran[id] = true
	acc := r.k.tx.view.Account(id)
	if r.msg == nil {
		r.msg = r.k.judgedBy(r.f, r.p)
		proof, _ := r.k.proof(r.f)
		r.proved = proof != ""
	}
	env := r.environment(ctx, plan, acc, to, ef)
	actions, err := r.run(plan, env, id)
	if err != nil {
		return nil, err
	}
	return r.effects(ctx, acc, to, ef, actions)
}

// run runs a plan's scripts one behind the other: each sees the message that the one
// before would keep, and what one takes out of the inbox no later one sees.
func (r *filer) run(plan *scripts.Plan, env *sieve.Env, id AccountID) ([]sieve.Action, error) {
	var out []sieve.Action
	keep := sieve.Action{Kind: sieve.Keep}
	for _, s := range plan.All() {
		res := s.Script.Run(r.msg, env)
		if errors.Is(res.Err, sieve.ErrTryLater) {
			return nil, store.ErrTemporary
		}
		if res.Err != nil {
			r.faults = append(r.faults, scriptFault{id, s.Name, res.Err})
		}
		for _, n := range res.Note {
			r.notes = append(r.notes, dupNote{id, n})
		}
		kept := false
		for _, a := range res.Actions {
			if a.Kind == sieve.Keep {
				keep, kept = a, true
				continue
			}
			out = append(out, a)
		}
		if !kept {
			return out, nil
		}
		env.Before = keep.Flags
	}
	return append(out, keep), nil
}

// effects are what the actions of an account's scripts come to. Junk goes nowhere but into
// its own mailboxes, and is not answered.
func (r *filer) effects(ctx context.Context, acc *store.Account, to addr.Address, ef mail.Effect, actions []sieve.Action) ([]mail.Effect, error) {
	var out []mail.Effect
	for _, a := range actions {
		if len(out) >= maxScripted {
			break
		}
		switch a.Kind {
		case sieve.Keep:
			out = append(out, r.edited(flagged(ef, a.Flags), a))
		case sieve.FileInto:
			out = append(out, r.edited(r.into(ctx, acc, flagged(ef, a.Flags), a), a))
		case sieve.Redirect:
			made, err := r.redirect(ctx, acc, to, ef, a)
			if err != nil {
				return nil, err
			}
			for _, m := range made {
				if m.Kind == mail.Enqueue {
					m = r.edited(m, a)
				}
				out = append(out, m)
			}
		case sieve.Reject, sieve.EReject:
			r.rejects = append(r.rejects, scriptRefusal{acc, ef, a.Text})
			return nil, nil
		case sieve.Vacation:
			r.vacation(acc, to, ef, a.Reply)
		case sieve.Notify:
			r.notify(acc, ef, a.Notice)
		}
	}
	r.taken[ef.Recipient] = true
	if len(out) == 0 {
		out = append(out, mail.Effect{Kind: mail.Drop, Recipient: ef.Recipient, Via: ef.Via})
	}
	return out, nil
}

// maxForms bounds the octets of all headers that scripts edit of one message: they stand
// in the accept record too.
const maxForms = 48 << 10

// edited is an effect on the message as its script edited it. Scripts edit headers alone.
func (r *filer) edited(ef mail.Effect, a sieve.Action) mail.Effect {
	if a.Edited == nil {
		return ef
	}
	at := slices.Index(r.forms, a.Edited)
	if at < 0 {
		if r.octets += len(a.Edited.Header); r.octets > maxForms {
			r.faults = append(r.faults, scriptFault{AccountID(ef.Account), "", errors.New("the edited header is too large: it stays as it came")})
			return ef
		}
		at, r.forms = len(r.forms), append(r.forms, a.Edited)
	}
	ef.Edited = at + 1
	return ef
}

// deliver puts the form of an effect into its delivery.
func (w *filed) deliver(d store.Delivery, ef mail.Effect) (store.Delivery, error) {
	if ef.Edited == 0 {
		return d, nil
	}
	m := w.scripts.forms[ef.Edited-1]
	d.Prefix, d.Skip = m.Header, m.Skip
	env := message.ParseEnvelope(message.Header(m.Header))
	d.Sent = time.Time{}
	if t, err := message.ParseDate(env.Date); err == nil {
		d.Sent = t
	}
	var err error
	d.Envelope, err = env.MarshalBinary()
	return d, err
}

// form is what leaves of the message in the form of an effect: the header as its script
// edited it, without our Return-Path and our results, which are put above it where it is
// sealed; and how much of the blob it replaces.
func (w *filed) form(ef mail.Effect) (header []byte, skip int64, edited bool) {
	if ef.Edited == 0 {
		return nil, 0, false
	}
	m := w.scripts.forms[ef.Edited-1]
	for f := range message.Header(m.Header).Fields() {
		if !f.Is("Return-Path") && !(f.Is(authres.FieldName) && authres.Claims(f.Value(), w.k.s.in.cfg.Hostname)) {
			header = append(header, f.Raw()...)
		}
	}
	return append(header, crlf...), m.Skip, true
}

// flagged is an effect with the flags of an action.
func flagged(ef mail.Effect, flags []string) mail.Effect {
	ef.Keywords = slices.Clone(ef.Keywords)
	for _, f := range flags {
		if bit := mailbox.FlagOf(f); bit != 0 {
			ef.Flags |= uint8(bit)
		} else if !strings.HasPrefix(f, `\`) && !slices.Contains(ef.Keywords, f) {
			ef.Keywords = append(ef.Keywords, f)
		}
	}
	return ef
}

// maxBoxes is how many mailboxes an account may have before scripts make no more.
const maxBoxes = 4000

// into is the mailbox that fileinto means. One that is not there is made; what cannot name
// a mailbox is the inbox.
func (r *filer) into(ctx context.Context, acc *store.Account, ef mail.Effect, a sieve.Action) mail.Effect {
	ef.Junk = false
	boxes := r.k.boxesOf(ctx, acc.ID)
	if a.MailboxID != "" {
		if name, ok := boxes.ByID(a.MailboxID); ok {
			ef.Mailbox = name
			return ef
		}
	}
	if a.SpecialUse != "" {
		if name, ok := boxes.SpecialUse(a.SpecialUse); ok {
			ef.Mailbox = name
			return ef
		}
		if a.Create {
			ef.Use = a.SpecialUse
		}
	}
	if !canName(a.Mailbox) || len(boxes.list) >= maxBoxes && !boxes.Exists(a.Mailbox) {
		r.faults = append(r.faults, scriptFault{AccountID(ef.Account), "", errors.New("fileinto " + a.Mailbox + ": no such mailbox can be made")})
		return ef
	}
	ef.Mailbox = a.Mailbox
	return ef
}

// canName reports whether the store takes a name for a mailbox.
func canName(name string) bool {
	levels := strings.Split(name, string(mailbox.Separator))
	return len(name) <= 1000 && len(levels) <= 32 && !slices.Contains(levels, "") && !strings.ContainsFunc(name, unicode.IsControl)
}

// redirect sends the message on. To an address of ours it is filed there, with the scripts
// of that account; one to which it was redirected before keeps it.
func (r *filer) redirect(ctx context.Context, acc *store.Account, from addr.Address, ef mail.Effect, a sieve.Action) ([]mail.Effect, error) {
	to, err := addr.ParseAddress(a.Address)
	if err != nil || ef.Junk || a.List != "" || r.k.redirectedBefore(r.f, acc.Login) {
		return []mail.Effect{ef}, nil
	}
	rcpt := r.filed.Recipients[ef.Recipient]
	if rcpt.Address = to; rcpt.Original == "" { // RFC 3461 §5.2.7: the sender's wishes go with it
		rcpt.Original = "rfc822;" + from.String()
	}
	var out []mail.Effect
	for _, next := range filing.One(r.k.tx.view, r.filed, rcpt, mail.Verdict{}) {
		next.Recipient, next.Via = ef.Recipient, append(append(slices.Clone(ef.Via), acc.Login), next.Via...)
		switch next.Kind {
		case mail.Append:
			made, err := r.account(ctx, next, to)
			if err != nil {
				return nil, err
			}
			out = append(out, made...)
		case mail.Enqueue:
			next.Relayed, next.By = true, acc.Login
			out = append(out, next)
		default:
			out = append(out, next)
		}
	}
	if len(out) == 0 {
		r.faults = append(r.faults, scriptFault{acc.ID, "", errors.New("redirect to " + to.String() + ": there is no such address here")})
		return []mail.Effect{ef}, nil
	}
	return out, nil
}

// redirectedField marks what a script sent on, so that it is not sent on again by the
// same account (RFC 5228 §10: loops).
const redirectedField = "X-Sieve-Redirected-From"

// redirectedBefore reports whether an account's script has sent the message on before.
func (k *sink) redirectedBefore(f *facts, login string) bool {
	for v := range f.header.All(redirectedField) {
		if strings.EqualFold(v.Value(), login) {
			return true
		}
	}
	return false
}

// judgedBy is the message as scripts see it: as it will be stored.
func (k *sink) judgedBy(f *facts, p *prefixes) *sieve.Message {
	tree := *f.tree
	shiftPart(&tree, int64(len(p.delivered))-p.skip)
	tree.Start = 0
	return &sieve.Message{Header: p.delivered, Skip: p.skip, Body: k.spool.body(), Tree: &tree}
}

// shiftPart moves a part and all in it; parts are copied.
func shiftPart(p *message.Part, by int64) {
	p.Start, p.Body, p.End = p.Start+by, p.Body+by, p.End+by
	children := make([]*message.Part, len(p.Children))
	for i, c := range p.Children {
		own := *c
		shiftPart(&own, by)
		children[i] = &own
	}
	p.Children = children
	if p.Message != nil {
		own := *p.Message
		shiftPart(&own, by)
		p.Message = &own
	}
}

// environment is what scripts may ask for.
func (r *filer) environment(ctx context.Context, plan *scripts.Plan, acc *store.Account, to addr.Address, ef mail.Effect) *sieve.Env {
	k, in := r.k, r.k.s.in
	e := k.env
	env := &sieve.Env{
		From: k.tx.reversePath().String(), To: to.String(), Auth: e.Client.Login, Owner: acc.Login, Own: []string{acc.Login, to.String()},
		Now: in.cfg.Now(), Mailboxes: k.boxesOf(ctx, acc.ID), Include: plan.Include, Before: slices.Clone(ef.Keywords),
		Items: map[string]string{
			"name": "Posta", "location": "MTA", "phase": "during", "domain": string(to.Domain), "host": in.cfg.Hostname,
		},
		Spam: r.spam(ef), Virus: 0,
		Seen: func(id string) bool { return in.remembered(ctx, store.Duplicate, factKey(acc.ID, id)) },
	}
	if e.Client.IP.IsValid() {
		env.Items["remote-ip"] = e.Client.IP.String()
	}
	if name := k.s.judge.name(); name != "" {
		env.Items["remote-host"] = name
	}
	return env
}

// spam is the content filter's word for RFC 5235, as the verdict of a recipient had it.
func (r *filer) spam(ef mail.Effect) sieve.Score {
	set := r.set
	if ef.Recipient < len(r.k.env.Recipients) {
		set = r.k.setOf(ef.Recipient, set)
	}
	score, scored := set.Find(finding.SpamScore)
	switch {
	case !scored:
		return sieve.Score{Known: ef.Junk, Percent: 60}
	case set.Outcome(finding.SpamHigh) == finding.Fail:
		return sieve.Score{Known: true, Percent: 100}
	case score.Outcome == finding.Fail || ef.Junk:
		return sieve.Score{Known: true, Percent: 60}
	}
	return sieve.Score{Known: true, Percent: 5}
}

// boxes are an account's mailboxes, read when a script asks.
type boxes struct {
	ctx   context.Context // of the message at hand
	in    *Intake
	id    AccountID
	asked bool
	list  []mailbox.Mailbox
}

func (k *sink) boxesOf(ctx context.Context, id AccountID) *boxes {
	return &boxes{ctx: ctx, in: k.s.in, id: id}
}

func (b *boxes) find(f func(*mailbox.Mailbox) bool) (string, bool) {
	if !b.asked {
		b.asked = true
		var err error
		if b.list, err = b.in.store.ListMailboxes(b.ctx, b.id); err != nil {
			b.in.cfg.Log.WarnContext(b.ctx, "mailboxes not read for a script", "account", b.id, "err", err)
		}
	}
	for i := range b.list {
		if f(&b.list[i]) {
			return b.list[i].Name, true
		}
	}
	return "", false
}

// Exists implements sieve.Mailboxes.
func (b *boxes) Exists(name string) bool {
	_, ok := b.find(func(m *mailbox.Mailbox) bool {
		return m.Name == name || strings.EqualFold(name, "INBOX") && m.Role == mailbox.Inbox
	})
	return ok
}

// ByID implements sieve.Mailboxes. The id is what IMAP tells (RFC 8474).
func (b *boxes) ByID(id string) (string, bool) {
	return b.find(func(m *mailbox.Mailbox) bool { return mailboxID(m.ID) == id })
}

// SpecialUse implements sieve.Mailboxes.
func (b *boxes) SpecialUse(use string) (string, bool) {
	role := mailbox.RoleOfAttr(use)
	return b.find(func(m *mailbox.Mailbox) bool { return role != mailbox.None && m.Role == role })
}

// Metadata implements sieve.Mailboxes: there are no annotations yet.
func (b *boxes) Metadata(string, string) (string, bool) { return "", false }

// settleRefusals ends what scripts refused. Where nobody else takes the message the reply
// says so: refused holds the text for each such recipient. Elsewhere the sender is told by
// mail, if it is proved who that is; if not, the message goes to Junk, so that it is not
// lost without anybody's word.
func (r *filer) settleRefusals(whole bool) (refused map[int]string, more []mail.Effect) {
	for _, x := range r.rejects {
		i := x.effect.Recipient
		switch {
		case whole && !r.taken[i] && i < len(r.k.env.Recipients): // one that a scanner added has no reply
			if refused == nil {
				refused = map[int]string{}
			}
			refused[i] = x.text
		case r.refuse(x.account, r.filed.Recipients[i].Address, x.text):
			more = append(more, mail.Effect{Kind: mail.Drop, Recipient: i})
		default:
			ef := x.effect
			ef.Junk = true
			more = append(more, ef)
		}
	}
	return refused, more
}

// refusedByScript gives the reply of a recipient's script.
func (k *sink) refusedByScript(text string) *smtp.Reply {
	text = oneLine(text)
	if text == "" || !isASCII(text) { // RFC 5429 §2.2.1
		text = ""
	}
	return k.s.in.refusal(k.s.place(k.env, addr.Address{}, finding.RcptFilter), finding.RcptFilter, 550, "", text)
}
