package queue

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"time"

	"posta/internal/addr"
	"posta/internal/dsn"
	"posta/internal/message"
	"posta/internal/smtp"
	"posta/internal/store"
)

// maxReturned is the largest message that a notice returns whole (RET=FULL), in
// octets; of a larger one the header is returned.
const maxReturned = 1 << 20

// notify deposits one notice together with the outcomes it tells of.
func (q *Queue) notify(ctx context.Context, action dsn.Action, list []settled) {
	f := &store.Finish{}
	for _, s := range list {
		f.Attempts = append(f.Attempts, s.attempt)
	}
	to, err := addr.ParsePath("<"+list[0].entry.ReversePath+">", true)
	address, ok := to.Address()
	if err == nil && ok {
		fctx, cancel := lastMoment(ctx)
		n := q.notice(fctx, action, to, list)
		cancel()
		d := Deposit{ID: q.newID(), To: address, Message: n.Bytes(), UTF8: to.NeedsUTF8(), Finish: f}
		err = q.persist(ctx, "notice not deposited", func(ctx context.Context) error { return q.cfg.Depositor.Deposit(ctx, d) })
		if err == nil {
			q.n.notices.Add(1)
			return
		}
		if !errors.Is(err, ErrUndeliverable) && !errors.Is(err, store.ErrInvalid) {
			return // fenced, or the end: the lease runs out and another attempt will tell
		}
	}
	q.undeliverable(ctx, list, f)
}

// undeliverable records outcomes whose notice leads nowhere.
func (q *Queue) undeliverable(ctx context.Context, list []settled, f *store.Finish) {
	for i := range list {
		s := &list[i]
		s.notice = ""
		if s.attempt.State == store.Failed {
			q.n.doubleBounces.Add(1)
		}
		f.Attempts[i].Event = q.event(s, nil, "the notice to "+s.entry.ReversePath+" leads nowhere", q.cfg.Now())
	}
	q.persist(ctx, "outcome not recorded", func(ctx context.Context) error { return q.cfg.Store.FinishQueue(ctx, *f) })
}

// language is which comes first in a notice to somebody.
func (q *Queue) language(to addr.Path) dsn.Language {
	if q.cfg.LanguageOf == nil {
		return q.cfg.Language
	}
	return q.cfg.LanguageOf(to)
}

// notice writes the DSN.
func (q *Queue) notice(ctx context.Context, action dsn.Action, to addr.Path, list []settled) dsn.Notice {
	e := list[0].entry
	var random [32]byte
	rand.Read(random[:])
	n := dsn.Notice{
		From: q.cfg.From, To: to, Date: q.cfg.Now(), Language: q.language(to),
		MessageID: message.NewMessageID(random[:16], addr.Domain(q.cfg.Hostname)), Boundary: message.Boundary(random[16:]),
		Report: dsn.Report{EnvelopeID: e.EnvID, ReportingMTA: q.cfg.Hostname, Arrival: e.Created},
	}
	for _, s := range list {
		n.Recipients = append(n.Recipients, q.reported(action, &s))
	}
	// RFC 3461 §4.3: RET is about notices of failure; others return the header.
	if action == dsn.Failed && e.RetFull && e.Blob.Size <= maxReturned {
		n.Ret = dsn.RetFull
	}
	original, err := q.contents.original(ctx, e, n.Ret == dsn.RetFull)
	if err != nil {
		q.cfg.Log.ErrorContext(ctx, "original not read for its notice", "id", e.Message.String(), "err", err)
		original, n.Ret = e.Prefix, dsn.RetHeaders
	}
	n.Original = original
	return n
}

// reported is one recipient as the notice tells of it.
func (q *Queue) reported(action dsn.Action, s *settled) dsn.Recipient {
	r := dsn.Recipient{
		Action: action, Status: statusCode(s.out.Reply), LastAttempt: s.out.Ended, LogID: s.entry.Message.String(),
		Diagnostic: s.out.Reply.String(),
	}
	if p, err := addr.ParsePath("<"+s.entry.Address+">", true); err == nil {
		r.Final = dsn.AddressOf(p)
	} else {
		r.Final = dsn.Address{Type: "rfc822", Value: s.entry.Address}
	}
	if kind, value, ok := strings.Cut(s.entry.Original, ";"); ok {
		r.Original = dsn.Address{Type: strings.ToLower(kind), Value: value}
	}
	if s.out.Ours {
		r.DiagnosticType = "x-posta"
	} else {
		r.RemoteMTA = s.out.Host
	}
	switch {
	case action == dsn.Delayed:
		r.RetryUntil = s.entry.Expires
	case s.expired:
		r.Status = "4.4.7" // RFC 3463 §3.5: delivery time expired
		r.Why = expiredWhy(s.entry)
	case action == dsn.Relayed:
		r.Why = relayedWhy
	}
	return r
}

// statusCode is the enhanced code of a reply, or the one its class stands for.
func statusCode(r smtp.Reply) string {
	if e := r.Enhanced.String(); e != "" {
		return e
	}
	return fmt.Sprintf("%d.0.0", r.Code/100)
}

var relayedWhy = dsn.Text{
	English: "The next server took the message, but it sends no confirmations: whether it was delivered will not be told.",
	Spanish: "El siguiente servidor aceptó el mensaje, pero no envía confirmaciones: no se avisará de su entrega final.",
}

func expiredWhy(e *store.QueueEntry) dsn.Text {
	const day = 24 * time.Hour
	days := int((e.Expires.Sub(e.Created) + day/2) / day)
	return dsn.Text{
		English: fmt.Sprintf("It was tried for %d days without success.", days),
		Spanish: fmt.Sprintf("Se intentó durante %d días sin éxito.", days),
	}
}
