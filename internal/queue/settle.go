package queue

import (
	"context"
	"errors"
	"strings"
	"time"

	"posta/internal/dsn"
	"posta/internal/mail"
	"posta/internal/relay"
	"posta/internal/store"
	"posta/internal/trace"
)

// settled is one recipient's outcome with what follows from it.
type settled struct {
	entry   *store.QueueEntry
	out     relay.Outcome
	attempt store.Attempt
	expired bool
	notice  dsn.Action // "" is none
}

// settle records the outcomes of a batch, each kind of notice in the transaction
// of the recipients that it tells of.
func (q *Queue) settle(ctx context.Context, b *batch, out []relay.Outcome, notes []string) {
	now := q.cfg.Now()
	var plain []store.Attempt
	var busy []int64
	notices := map[dsn.Action][]settled{}
	for i := range b.entries {
		if out[i].Status == relay.Busy && (now.Before(b.entries[i].Expires) || context.Cause(ctx) != nil) {
			busy = append(busy, b.ids[i])
			continue
		}
		s := q.decide(&b.entries[i], out[i], notes, now)
		q.count(&s)
		if q.cfg.Observe != nil && b.entries[i].Kind == store.Remote {
			q.cfg.Observe(&b.entries[i], &s.out, s.attempt.State)
		}
		if s.notice == "" {
			plain = append(plain, s.attempt)
		} else {
			notices[s.notice] = append(notices[s.notice], s)
		}
	}
	if len(plain) > 0 {
		q.persist(ctx, "outcome not recorded", func(ctx context.Context) error {
			return q.cfg.Store.FinishQueue(ctx, store.Finish{Attempts: plain})
		})
	}
	for _, action := range [...]dsn.Action{dsn.Failed, dsn.Delayed, dsn.Relayed} {
		if list := notices[action]; len(list) > 0 {
			q.notify(ctx, action, list)
		}
	}
	if len(busy) > 0 {
		after := time.Duration(float64(busyPause) * (0.5 + q.cfg.Jitter()))
		if context.Cause(ctx) != nil {
			after = released
		}
		fctx, cancel := lastMoment(ctx)
		q.giveBack(fctx, busy, b.fence, after)
		cancel()
	}
}

// decide says what an outcome means for its recipient (RFC 5321 §4.5.4.1, RFC
// 3461 §5.2 and §6).
func (q *Queue) decide(e *store.QueueEntry, o relay.Outcome, notes []string, now time.Time) settled {
	s := settled{entry: e, out: o}
	wants := dsn.Notify(e.Notify).Wants
	switch {
	case o.Status == relay.Delivered:
		// Where the host has taken over the duty to notify, it notifies.
		if !o.DSN && e.Kind == store.Remote && wants(dsn.Relayed) {
			s.notice = dsn.Relayed
		}
	case o.Status == relay.Permanent:
		s.notice = dsn.Failed
	case !now.Before(e.Expires):
		s.notice, s.expired = dsn.Failed, true
	case !e.Delayed && now.Sub(e.Created) >= q.cfg.Delay && wants(dsn.Delayed):
		s.notice = dsn.Delayed
	}
	note := ""
	switch {
	case s.notice == "":
	case e.ReversePath == "":
		// RFC 5321 §4.5.5: never an answer to the null reverse-path.
		if s.notice == dsn.Failed {
			note = "double bounce: nobody to tell"
		}
		s.notice = ""
	case s.notice == dsn.Failed && !wants(dsn.Failed):
		s.notice, note = "", "the sender wants no notice"
	}
	s.attempt = attemptOf(e, o)
	if s.expired || o.Status == relay.Permanent {
		s.attempt.State = store.Failed
	}
	s.attempt.Delayed = s.notice == dsn.Delayed
	if s.attempt.State == store.Ready {
		s.attempt.Due = nextDue(now, q.cfg.Retry, e.Attempts, o.Reply, q.cfg.Jitter())
		if s.attempt.Due.After(e.Expires) {
			s.attempt.Due = e.Expires // the last attempt
		}
	}
	s.attempt.Event = q.event(&s, notes, note, now)
	return s
}

// attemptOf begins the record of an outcome.
func attemptOf(e *store.QueueEntry, o relay.Outcome) store.Attempt {
	a := store.Attempt{Entry: e.ID, Fence: e.Fence, State: store.Ready, Reply: o.Reply.String(), Remote: o.Remote}
	if o.Status == relay.Delivered {
		a.State = store.Done
	}
	return a
}

// maxNote bounds the note of an event, in octets.
const maxNote = 2000

// event is the line of the trace.
func (q *Queue) event(s *settled, notes []string, note string, now time.Time) store.TraceEvent {
	o, all := &s.out, make([]string, 0, 4)
	if s.entry.Sending {
		all = append(all, "an earlier attempt reached its dot and its outcome was never recorded; this may be a repeat")
	}
	all = append(all, notes...)
	for _, n := range []string{o.Note, note} {
		if n != "" {
			all = append(all, n)
		}
	}
	ev := trace.Event{At: now, Kind: "attempt", To: s.entry.Address, Remote: o.Remote, TLS: o.TLS, Reply: o.Reply.String()}
	switch {
	case o.Status == relay.Delivered:
		ev.Kind = "delivered"
	case s.attempt.State == store.Failed && s.entry.ReversePath == "":
		ev.Kind = "dropped"
	case s.attempt.State == store.Failed:
		ev.Kind = "failed"
	}
	if s.expired {
		all = append(all, "expired")
	}
	if s.notice != "" {
		all = append(all, "a notice ("+string(s.notice)+") goes to the sender")
	}
	ev.Note = strings.Join(all, "; ")
	if len(ev.Note) > maxNote {
		ev.Note = strings.ToValidUTF8(ev.Note[:maxNote], "") + "…"
	}
	return ev.Encode()
}

// count keeps the statistics.
func (q *Queue) count(s *settled) {
	switch s.attempt.State {
	case store.Done:
		q.n.delivered.Add(1)
	case store.Failed:
		q.n.failed.Add(1)
		if s.entry.ReversePath == "" {
			q.n.doubleBounces.Add(1)
		}
	default:
		q.n.deferred.Add(1)
	}
	if s.out.Unknown {
		q.n.unknown.Add(1)
	}
}

// persist repeats f until it has succeeded, or can never (store.ErrInvalid,
// ErrUndeliverable), or somebody else has the lease: an outcome that is not
// recorded is a message that is sent again.
func (q *Queue) persist(ctx context.Context, what string, f func(context.Context) error) (err error) {
	for pause := time.Second; ; pause = min(2*pause, 30*time.Second) {
		fctx, cancel := lastMoment(ctx)
		err = f(fctx)
		cancel()
		if err == nil || errors.Is(err, store.ErrFenced) || errors.Is(err, ErrUndeliverable) || errors.Is(err, store.ErrInvalid) {
			break
		}
		q.cfg.Log.ErrorContext(ctx, what, "err", err)
		select {
		case <-ctx.Done():
			return err
		case <-time.After(pause):
		}
	}
	if err != nil && !errors.Is(err, ErrUndeliverable) {
		q.cfg.Log.WarnContext(ctx, what, "err", err)
	}
	return err
}

// lastMoment is ctx, or when it has ended a few seconds beyond it: what is known
// by then is still recorded.
func lastMoment(ctx context.Context) (context.Context, context.CancelFunc) {
	if ctx.Err() == nil {
		return context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
	}
	return context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
}

// newID names a notice.
func (q *Queue) newID() mail.ID { return mail.NewID(q.cfg.Now()) }
