package intake

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"slices"
	"time"

	"posta/internal/addr"
	"posta/internal/blob"
	"posta/internal/directory"
	"posta/internal/filing"
	"posta/internal/finding"
	"posta/internal/mail"
	"posta/internal/mailbox"
	"posta/internal/message"
	"posta/internal/policy"
	"posta/internal/smtp"
	"posta/internal/store"
	"posta/internal/trace"
)

// Commit judges the whole message, files it and makes all of it durable, then
// answers (DESIGN §2.5).
func (k *sink) Commit(ctx context.Context) []smtp.Reply {
	defer k.end()
	in, e := k.s.in, k.env
	began := in.cfg.Now()
	defer func() { in.counts.timed(began, in.cfg.Now()) }()
	f, err := k.read(ctx)
	if errors.Is(err, errHeader) {
		return k.answer(k.headerRefused(ctx))
	}
	if err != nil {
		in.cfg.Log.ErrorContext(ctx, "message not read back", "id", e.ID.String(), "err", err)
		return k.answer(in.storeReply(mail.ID{}, err))
	}
	sum := k.spool.sum()
	set, asked := k.judge(ctx, f)
	if err := k.askScanners(ctx, f, set, asked); err != nil {
		in.cfg.Log.ErrorContext(ctx, "message not scanned", "id", e.ID.String(), "err", err)
		return k.answer(in.storeReply(mail.ID{}, err))
	}
	verdicts := k.decide(set, asked)
	k.greylist(ctx, verdicts)
	k.roomToHold(ctx, verdicts, set)
	rec := k.record(f, set, sum, verdicts)
	k.tx.traceScan(rec)
	if set.Outcome(finding.DMARCFail) == finding.Fail {
		rec.Asked = asked.String()
	}
	if k.s.rehearsal != nil {
		return k.rehearsed(ctx, f, set, asked, verdicts, rec)
	}
	if refusal := k.refused(verdicts, set); refusal != nil {
		rec.Stage, rec.Reply, rec.Replied = trace.AtData, refusal.String(), in.cfg.Now()
		in.counts.refused(refusal.Check)
		k.rememberVerdicts(verdicts)
		k.tellJudged(f, verdicts[0].Action)
		if k.tx.placed == e.ID {
			in.store.KeepRefused(rec.Encode())
		}
		return k.answer(*refusal)
	}
	if k.reflects(verdicts) {
		return k.reflect(ctx, f, sum, asked, rec)
	}
	replies := k.keep(ctx, f, sum, verdicts, rec)
	k.s.endTransaction(ctx)
	return replies
}

// answer repeats a reply for each recipient where the protocol wants one each.
func (k *sink) answer(r smtp.Reply) []smtp.Reply {
	if k.env.Client.Door != mail.LMTP {
		return []smtp.Reply{r}
	}
	out := make([]smtp.Reply, len(k.env.Recipients))
	for i := range out {
		out[i] = r
	}
	return out
}

// decide asks policy for each recipient.
func (k *sink) decide(set *finding.Set, asked mail.Action) []mail.Verdict {
	out := make([]mail.Verdict, len(k.env.Recipients))
	for i, r := range k.env.Recipients {
		out[i] = k.tx.scan.fate(i, r.Address, k.tx.verdict(r.Address, k.setOf(i, set), asked))
	}
	if k.env.Client.Door != mail.LMTP {
		policy.Settle(out)
	}
	return out
}

// refused gives the reply when no recipient takes the message.
func (k *sink) refused(verdicts []mail.Verdict, set *finding.Set) *smtp.Reply {
	for _, v := range verdicts {
		if v.Action < mail.Defer {
			return nil
		}
	}
	id := k.s.place(k.env, addr.Address{}, finding.ID(verdicts[0].Check))
	return k.tx.verdictReply(k.s.in, id, verdicts[0], set, "")
}

// keep commits the message and answers for it.
func (k *sink) keep(ctx context.Context, f *facts, sum [32]byte, verdicts []mail.Verdict, rec *trace.Record) []smtp.Reply {
	in, e := k.s.in, k.env
	keys := confirmKeys(e, sum)
	repeated, err := in.store.Repeated(ctx, keys)
	if err != nil {
		return k.answer(k.putOff(rec, err))
	}
	fresh := dropRepeated(verdicts, repeated)
	for _, r := range repeated {
		if r {
			k.again = true
			in.counts.Repeated.Add(1)
		}
	}
	done := smtp.New(250, "2.0.0", "Ok: queued as "+e.ID.String())
	if fresh == 0 {
		// RFC 1047: the client sends again what we have, since it never read our
		// reply. It reads it now.
		return k.answers(done, verdicts, repeated)
	}
	action := verdicts[slices.Index(repeated, false)].Action
	w, err := k.file(ctx, f, verdicts, rec)
	if err == nil {
		if refusal := w.refusal(rec, verdicts, repeated); refusal != nil {
			return k.answer(*refusal)
		}
	}
	var a *store.Accept
	if err == nil {
		a, err = k.accept(f, w, sum, acceptedKeys(keys, verdicts), rec, done)
	}
	keys = acceptedKeys(keys, verdicts)
	if err == nil {
		_, err = in.commit(ctx, a, k.spool.body())
	}
	if err != nil {
		in.counts.Failed.Add(1)
		in.cfg.Log.ErrorContext(ctx, "message not kept", "id", e.ID.String(), "err", err)
		return k.answer(k.putOff(rec, err))
	}
	k.rememberVerdicts(verdicts)
	k.tellJudged(f, action)
	k.rememberWritten(f.tree.Envelope)
	if w.scripts != nil {
		in.noteDuplicates(ctx, w.scripts.notes)
	}
	in.held.add(int64(len(a.Holds)) * k.spool.size)
	in.counts.Accepted.Add(1)
	in.counts.Octets.Add(k.received)
	k.s.last = &accepted{e.ID, keys}
	k.tx.taken = time.Time{} // it stays taken
	out := k.answers(done, verdicts, repeated)
	for i, text := range w.refused { // LMTP
		out[i] = *k.refusedByScript(text)
	}
	return out
}

// acceptedKeys are those of the recipients that this accept answers for. One that
// LMTP puts off or refuses must not be among them: its repeat would be taken for
// delivered.
func acceptedKeys(keys []store.ConfirmKey, verdicts []mail.Verdict) []store.ConfirmKey {
	out := make([]store.ConfirmKey, 0, len(keys))
	for i, v := range verdicts {
		if v.Action < mail.Defer {
			out = append(out, keys[i])
		}
	}
	return out
}

// dropRepeated marks recipients that have the message already and counts the
// others.
func dropRepeated(verdicts []mail.Verdict, repeated []bool) (fresh int) {
	for i := range verdicts {
		if repeated[i] {
			verdicts[i] = mail.Verdict{Action: mail.Reject} // filed nowhere; answered as delivered
		} else if verdicts[i].Action < mail.Defer {
			fresh++
		}
	}
	return fresh
}

// answers is one reply, or for LMTP one for each recipient.
func (k *sink) answers(done smtp.Reply, verdicts []mail.Verdict, repeated []bool) []smtp.Reply {
	out := k.answer(done)
	if k.env.Client.Door != mail.LMTP {
		return out
	}
	for i, v := range verdicts {
		if v.Action >= mail.Defer && !repeated[i] {
			out[i] = *k.tx.verdictReply(k.s.in, k.env.ID, v, &finding.Set{}, "<"+k.env.Recipients[i].Address.String()+">")
		}
	}
	return out
}

// confirmKeys recognise a repeat: client class, reverse-path, recipient and the
// bytes as received (DESIGN §2.7).
func confirmKeys(e *mail.Envelope, sum [32]byte) []store.ConfirmKey {
	out := make([]store.ConfirmKey, len(e.Recipients))
	var b []byte
	for i, r := range e.Recipients {
		b = append(b[:0], byte(confirmClass(e.Client.Class)))
		b = append(e.ReversePath.AppendTo(b), 0)
		b = append(r.Address.Fold().AppendTo(b), 0)
		b = append(b, sum[:]...)
		h := sha256.Sum256(b)
		copy(out[i][:], h[:])
	}
	return out
}

// confirmClass is the class by which a repeat is recognised. Whether a stranger is a
// big provider depends on DNS, which may have failed one of the two times.
func confirmClass(c mail.Class) mail.Class {
	if c == mail.BigProvider {
		return mail.OwnServer
	}
	return c
}

// filed is a message with what becomes of it.
type filed struct {
	k        *sink
	p        *prefixes
	env      *mail.Envelope // with the recipients that scanners added
	verdicts []mail.Verdict
	effects  []mail.Effect
	scripts  *filer         // nil: nobody has any
	refused  map[int]string // recipients whose scripts refuse the message, with their words
}

// file finds out where the message goes: it asks the directory and runs the scripts of
// its recipients.
func (k *sink) file(ctx context.Context, f *facts, verdicts []mail.Verdict, rec *trace.Record) (*filed, error) {
	p, err := k.prefix(f)
	if err != nil {
		return nil, err
	}
	w := &filed{k: k, p: p}
	w.env, w.verdicts = k.forFiling(verdicts, rec)
	w.env = k.tx.withSenders(w.env)
	plain := filing.File(k.tx.view, w.env, w.verdicts)
	copies := w.archived(plain)
	if w.scripts, w.effects, err = k.scripted(ctx, f, &rec.Findings, w.env, p, plain); err != nil {
		return w, err
	}
	if w.scripts != nil && len(w.scripts.rejects) > 0 {
		var more []mail.Effect
		w.refused, more = w.scripts.settleRefusals(w.alone())
		w.effects = append(w.effects, more...)
	}
	for _, ef := range copies {
		if _, refused := w.refused[ef.Recipient]; !refused {
			w.effects = append(w.effects, ef)
		}
	}
	return w, nil
}

// alone reports whether a recipient's refusal can be the reply: with LMTP each has his
// own, elsewhere all must refuse.
func (w *filed) alone() bool {
	if w.k.env.Client.Door == mail.LMTP {
		return true
	}
	refused := map[int]bool{}
	for _, x := range w.scripts.rejects {
		refused[x.effect.Recipient] = true
	}
	for i, v := range w.verdicts {
		if v.Action < mail.Defer && (!refused[i] || w.scripts.taken[i]) {
			return false
		}
	}
	return true
}

// refusal puts what scripts refuse into the verdicts. It returns the reply when nobody
// takes the message; nil if somebody does.
func (w *filed) refusal(rec *trace.Record, verdicts []mail.Verdict, repeated []bool) *smtp.Reply {
	if len(w.refused) == 0 {
		return nil
	}
	k := w.k
	var reply *smtp.Reply
	left := 0
	for i := range verdicts {
		text, no := w.refused[i]
		if !no {
			if verdicts[i].Action < mail.Defer || repeated[i] {
				left++
			}
			continue
		}
		reply = k.refusedByScript(text)
		verdicts[i] = mail.Verdict{Action: mail.Reject, Check: string(finding.RcptFilter)}
		rec.To[i].Action, rec.To[i].Check, rec.To[i].Reply = mail.Reject.String(), string(finding.RcptFilter), reply.String()
	}
	if left > 0 {
		return nil
	}
	rec.Stage, rec.Reply, rec.Replied = trace.AtData, reply.String(), k.s.in.cfg.Now()
	k.s.in.counts.refused(reply.Check)
	if k.tx.placed == k.env.ID {
		k.s.in.store.KeepRefused(rec.Encode())
	}
	return reply
}

// accept builds the transaction from the effects that filing gives.
func (k *sink) accept(f *facts, w *filed, sum [32]byte, keys []store.ConfirmKey, rec *trace.Record, done smtp.Reply) (*store.Accept, error) {
	in, e, p := k.s.in, k.env, w.p
	if k.replaced {
		sum = k.spool.sum()
	}
	now := in.cfg.Now()
	a := &store.Accept{ID: e.ID, Confirm: keys, Unread: in.cfg.Shared}
	a.Blob = store.NewBlob{ID: blob.NewID(now), Size: k.spool.size, SHA256: sum}
	filed, verdicts, effects := w.env, w.verdicts, w.effects
	if onlyDropped(effects) {
		a.Blob = store.NewBlob{} // what is thrown away is not written first
	}
	effects, aside := k.reported(f, filed, effects)
	for _, ef := range effects {
		switch ef.Kind {
		case mail.Append:
			d, err := w.deliver(delivery(p.stored, ef), ef)
			if err != nil {
				return nil, err
			}
			a.Deliveries = append(a.Deliveries, d)
		case mail.Enqueue:
			out := w.enqueue(a, f, ef)
			out.Recipients = append(out.Recipients, store.QueueTo{
				Address: ef.To.String(), Domain: ef.Hop(), Original: ef.Original, Notify: ef.Notify,
			})
		case mail.Hold:
			a.Holds = append(a.Holds, k.hold(ef, f, p, verdicts[ef.Recipient], &rec.Findings))
		}
		rec.To[ef.Recipient].AddEffect(func() string { return in.effectText(k.tx, ef) })
	}
	if err := w.lookLater(a, f, aside, rec); err != nil {
		return nil, err
	}
	if err := w.answer(a, rec); err != nil {
		return nil, err
	}
	rec.Stage, rec.Reply, rec.Replied = trace.Accepted, done.String(), in.cfg.Now()
	t := rec.Encode()
	a.Trace = &t
	return a, nil
}

// enqueue is what of the message leaves as an effect has it: sealed by a domain, or by
// none, from a reverse-path, by an account's script or by none, in a form of its own.
func (w *filed) enqueue(a *store.Accept, f *facts, ef mail.Effect) *store.Enqueue {
	k := w.k
	seal := k.sealOf(f, w.env, &ef)
	out := k.leaving(f, w.p)
	out.ReversePath, out.Seal = k.forwarded(w.env, &ef).String(), seal
	header := w.p.outgoing
	if form, skip, edited := w.form(ef); edited {
		header, out.Skip = form, skip
	}
	out.Prefix = nil
	if seal != "" {
		out.Prefix = k.results(nil)
	}
	if ef.By != "" {
		out.Prefix = message.AppendField(out.Prefix, redirectedField, ef.By)
	}
	out.Prefix = append(out.Prefix, header...)
	for i := range a.Enqueues {
		if q := &a.Enqueues[i]; q.Seal == seal && q.ReversePath == out.ReversePath && bytes.Equal(q.Prefix, out.Prefix) {
			return q
		}
	}
	a.Enqueues = append(a.Enqueues, out)
	return &a.Enqueues[len(a.Enqueues)-1]
}

// leaving is how the message leaves unsealed, without recipients.
func (k *sink) leaving(f *facts, p *prefixes) store.Enqueue {
	e := k.env
	return store.Enqueue{
		ReversePath: k.tx.reversePath().String(), Prefix: p.outgoing, Skip: p.skip,
		EnvID: e.EnvID, RetFull: e.RetFull, UTF8: e.UTF8, RequireTLS: e.RequireTLS,
		EightBit: f.defects.Has(message8Bit) || e.EightBit, Binary: e.Binary,
		Sign: e.Client.Class == mail.Authenticated, Account: AccountID(e.Client.Account), Expires: k.s.in.cfg.Now().Add(k.s.in.cfg.Lifetime),
	}
}

// delivery is the placement that an effect asks for.
func delivery(common store.Delivery, ef mail.Effect) store.Delivery {
	d := common
	d.Account, d.Keywords = AccountID(ef.Account), ef.Keywords
	d.Target = store.Target{Role: mailbox.Inbox}
	if ef.Junk {
		d.Target.Role = mailbox.Junk
	}
	if role := mailbox.RoleOfAttr(ef.Use); role != mailbox.None {
		d.Target.Role = role
	}
	if ef.Mailbox != "" {
		d.Target = store.Target{Name: ef.Mailbox}
	}
	d.Flags = mailbox.Flags(ef.Flags)
	return d
}

// effectText is an effect in words, for the trace.
func (in *Intake) effectText(tx *transaction, ef mail.Effect) string {
	via := ""
	for _, v := range ef.Via {
		via += v + " → "
	}
	switch ef.Kind {
	case mail.Append:
		where := mailbox.Inbox
		if ef.Junk {
			where = mailbox.Junk
		}
		login := ""
		if acc := tx.view.Account(AccountID(ef.Account)); acc != nil {
			login = acc.Login
		}
		to := where.String()
		if ef.Use != "" {
			to = ef.Use
		}
		if ef.Mailbox != "" {
			to = ef.Mailbox
		}
		return via + login + " → " + to
	case mail.Enqueue:
		if ef.Transport != "" {
			return via + "queue → " + ef.To.String() + " (" + ef.Transport + ")"
		}
		return via + "queue → " + ef.To.String()
	case mail.Hold:
		return "quarantine"
	}
	return "dropped"
}

// commit makes the bytes durable, then everything that refers to them; of what is
// too much for one transaction the rest is a job by then. When the
// database's answer was lost it is asked whether it has the accept; then it is
// not known where the deliveries went, and placed is nil.
func (in *Intake) commit(ctx context.Context, a *store.Accept, body blob.Body) (placed []store.Placed, err error) {
	record := in.acceptRecord(a) // of all of it
	if err := a.Split(); err != nil {
		return nil, err
	}
	if a.Blob.ID.IsZero() {
		placed, err = in.store.Accept(ctx, a)
		return in.settled(ctx, a, placed, err)
	}
	locs, err := in.blobs.Put(ctx, []blob.Record{{ID: a.Blob.ID, SHA256: a.Blob.SHA256, Accept: record, Body: body}})
	if err != nil {
		return nil, err
	}
	a.Blob.At = locs[0]
	placed, err = in.store.Accept(ctx, a)
	return in.settled(ctx, a, placed, err)
}

// settled finds out what became of an accept whose outcome is not known.
func (in *Intake) settled(ctx context.Context, a *store.Accept, placed []store.Placed, err error) ([]store.Placed, error) {
	if !errors.Is(err, store.ErrUnknown) {
		return placed, err
	}
	if in.waitAccepted(ctx, a.ID) {
		return nil, nil
	}
	return nil, store.ErrTemporary
}

// waitAccepted asks whether an accept was committed until the database answers or
// the time for our reply is over: a wrong no would let the client's repeat be
// placed a second time.
func (in *Intake) waitAccepted(ctx context.Context, id mail.ID) bool {
	for pause := 100 * time.Millisecond; ; pause = min(2*pause, 5*time.Second) {
		there, err := in.store.Accepted(ctx, id)
		if err == nil {
			return there
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			in.cfg.Log.ErrorContext(ctx, "not known whether an accept was committed", "id", id.String(), "err", err)
			return false
		}
	}
}

// acceptRecord says beside the bytes where the message belongs.
func (in *Intake) acceptRecord(a *store.Accept) []byte {
	view := in.dir.View()
	r := store.AcceptRecord{Accept: a.ID, At: in.cfg.Now().UTC()}
	deliveries, leaving := withReported(a)
	r.Prefix, r.Skip = common(deliveries, leaving)
	for _, d := range deliveries {
		p := store.AcceptPlace{Role: d.Target.Role.String(), Mailbox: d.Target.Name, Keywords: d.Keywords, Flags: uint8(d.Flags)}
		if at := d.InternalDate.UTC(); at.Sub(r.At).Abs() >= time.Second {
			p.Internal = at
		}
		if acc := view.Account(d.Account); acc != nil {
			p.Login = acc.Login
		}
		if d.Skip != r.Skip || !bytes.Equal(d.Prefix, r.Prefix) {
			p.Own, p.Prefix, p.Skip = true, d.Prefix, d.Skip
		}
		r.Deliveries = append(r.Deliveries, p)
	}
	recordQueued(&r, leaving, view)
	recordHolds(&r, a.Holds, view)
	return r.Encode()
}

// common is the prefix and skip of what no script has edited: an edited header replaces
// all of the header that came, so it skips the most.
func common(deliveries []store.Delivery, leaving []store.Enqueue) (prefix []byte, skip int64) {
	skip = -1
	for i := range deliveries {
		if s := deliveries[i].Skip; skip < 0 || s < skip {
			skip = s
		}
	}
	for i := range leaving {
		if s := leaving[i].Skip; skip < 0 || s < skip {
			skip = s
		}
	}
	skip = max(skip, 0)
	for i := range deliveries {
		if deliveries[i].Skip == skip {
			return deliveries[i].Prefix, skip
		}
	}
	return nil, skip
}

// recordQueued says beside the bytes what of the message leaves, and how.
func recordQueued(r *store.AcceptRecord, leaving []store.Enqueue, view *directory.View) {
	filed := len(r.Deliveries) > 0
	sealed := slices.ContainsFunc(leaving, func(q store.Enqueue) bool { return q.Seal != "" })
	for i := range leaving {
		q := &leaving[i]
		recordWishes(r, q, view)
		r.Queue(q)
		if q.Skip != r.Skip {
			continue // a script edited it: a person who looks at it after a rebuild has it as it came
		}
		switch {
		case q.Seal == "" && (filed || sealed):
			r.QueuedPrefix = q.Prefix
		case !filed:
			r.Prefix = q.Prefix
		}
	}
}

// recordWishes says what the client asked for with what leaves. All that leaves of one
// message leaves by the same wishes.
func recordWishes(r *store.AcceptRecord, q *store.Enqueue, view *directory.View) {
	if len(r.Queued) == 0 {
		r.From = q.ReversePath
	}
	login := ""
	if acc := view.Account(q.Account); acc != nil {
		login = acc.Login
	}
	r.Wishes = store.WishesOf(q, login)
}

// record begins the trace of the transaction.
func (k *sink) record(f *facts, set *finding.Set, sum [32]byte, verdicts []mail.Verdict) *trace.Record {
	r := k.s.baseRecord(k.env)
	r.Author, r.Subject = f.author, f.tree.Envelope.Subject
	r.MessageID = f.tree.Envelope.MessageID
	r.Size, r.SHA256 = k.received, hex.EncodeToString(sum[:])
	r.Findings, r.Override, r.Chain = *set, f.override, f.chain
	for i, to := range k.env.Recipients {
		v := verdicts[i]
		r.To = append(r.To, trace.Recipient{Address: to.Address.String(), Action: v.Action.String(), Check: v.Check, Own: k.ownScore(i)})
	}
	r.To = append(r.To, k.tx.refused...)
	k.tx.tell(r)
	k.tx.access.tell(r)
	return r
}
