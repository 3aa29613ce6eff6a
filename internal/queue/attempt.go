package queue

import (
	"bytes"
	"context"
	"errors"
	"sync"
	"time"

	"posta/internal/relay"
	"posta/internal/resolver"
	"posta/internal/route"
	"posta/internal/smtp"
	"posta/internal/store"
)

// work is one attempt for a batch, with its record.
func (q *Queue) work(ctx context.Context, b *batch) {
	q.n.attempts.Add(1)
	if b.entries[0].Kind == store.Deferred {
		for i := range b.entries {
			q.file(ctx, b, &b.entries[i])
		}
		return
	}
	actx, cancel := context.WithTimeout(ctx, q.cfg.Attempt)
	out, notes := q.deliver(actx, b)
	cancel()
	if err := context.Cause(ctx); err != nil {
		out = q.interrupted(b, out)
	}
	q.settle(ctx, b, out, notes)
}

// interrupted keeps what is known of an attempt that was cut: deliveries,
// refusals and lost replies are recorded, the rest was no attempt.
func (q *Queue) interrupted(b *batch, out []relay.Outcome) []relay.Outcome {
	for i := range out {
		if out[i].Status == relay.Temporary && out[i].Ours && !out[i].Unknown {
			out[i].Status = relay.Busy
		}
	}
	return out
}

// deliver routes and relays. Notes are about the whole batch.
func (q *Queue) deliver(ctx context.Context, b *batch) (out []relay.Outcome, notes []string) {
	rt, err := q.cfg.Router.Route(ctx, b.domain)
	if err != nil {
		return sameFor(len(b.entries), q.noRoute(ctx, b, err)), nil
	}
	if rt.Program != "" {
		return q.pipe(ctx, rt, q.messageOf(b)), rt.Notes
	}
	return q.cfg.Relay.Deliver(ctx, rt, q.messageOf(b)), rt.Notes
}

// noRoute is the outcome of a domain without hosts.
func (q *Queue) noRoute(ctx context.Context, b *batch, err error) relay.Outcome {
	o := relay.Outcome{Status: relay.Temporary, Ours: true, Ended: time.Now(), Reply: smtp.New(451, "4.4.3", "No route to "+b.domain+" could be found")}
	if d, ok := errors.AsType[*resolver.Error](err); ok && d.Kind == resolver.Canceled && ctx.Err() != nil {
		o.Status = relay.Busy
		return o
	}
	e, ok := errors.AsType[*route.Error](err)
	if !ok {
		q.cfg.Log.ErrorContext(ctx, "no route", "domain", b.domain, "err", err)
		return o
	}
	o.Reply = e.Reply
	if e.Reply.Permanent() {
		o.Status = relay.Permanent
	}
	if e.Err != nil {
		o.Note = e.Err.Error()
	}
	return o
}

func sameFor(n int, o relay.Outcome) []relay.Outcome {
	out := make([]relay.Outcome, n)
	for i := range out {
		out[i] = o
	}
	return out
}

// messageOf is a batch as the relay sends it.
func (q *Queue) messageOf(b *batch) *relay.Message {
	e := &b.entries[0]
	m := &relay.Message{
		ReversePath: e.ReversePath, EightBit: e.EightBit, Binary: e.Binary, UTF8: e.UTF8, RequireTLS: e.RequireTLS,
		EnvID: e.EnvID, Recipients: make([]relay.Recipient, len(b.entries)),
		TLSOptional: e.ReversePath == "" && e.Sign && bytes.HasPrefix(e.Prefix, []byte(store.TLSOptional)),
	}
	asked := e.EnvID != ""
	for i := range b.entries {
		r := &b.entries[i]
		m.Recipients[i] = relay.Recipient{Address: r.Address, Original: r.Original, Notify: smtp.Notify(r.Notify)}
		asked = asked || r.Notify != 0
	}
	switch {
	case e.RetFull:
		m.Ret = relay.RetFull
	case asked: // by a client that knows DSNs, and did not ask for all of it
		m.Ret = relay.RetHeaders
	}
	m.Open = func(ctx context.Context, form relay.Form) (*relay.Content, error) {
		return q.contents.open(ctx, e, form)
	}
	var once sync.Once
	var started error
	m.BeforeDot = func(ctx context.Context) error {
		once.Do(func() { started = q.cfg.Store.StartAttempt(ctx, b.ids, b.fence) })
		return started
	}
	return m
}

// file ends one deferred filing.
func (q *Queue) file(ctx context.Context, b *batch, e *store.QueueEntry) {
	one := &batch{entries: []store.QueueEntry{*e}, ids: []int64{e.ID}, fence: b.fence, domain: b.domain}
	o := relay.Outcome{Status: relay.Temporary, Ours: true, Ended: time.Now(), Reply: smtp.New(451, "4.3.0", "The message could not be filed")}
	if q.cfg.Filer != nil {
		done := settled{entry: e, out: relay.Outcome{Status: relay.Delivered, Ours: true, Reply: smtp.New(250, "2.0.0", "Filed")}}
		done.attempt = attemptOf(e, done.out)
		done.attempt.Event = q.event(&done, nil, "", q.cfg.Now())
		err := q.cfg.Filer.File(ctx, e, &store.Finish{Attempts: []store.Attempt{done.attempt}})
		if err == nil {
			q.n.delivered.Add(1)
			return
		}
		if errors.Is(err, store.ErrFenced) {
			return
		}
		if r, ok := errors.AsType[smtp.Reply](err); ok {
			o.Reply = r
			if r.Permanent() {
				o.Status = relay.Permanent
			}
		}
		o.Note = err.Error()
	}
	if context.Cause(ctx) != nil {
		o.Status = relay.Busy
	}
	q.settle(ctx, one, []relay.Outcome{o}, nil)
}
