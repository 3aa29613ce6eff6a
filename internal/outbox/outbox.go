// Package outbox carries out what an accept left to be done after its commit
// (DESIGN §2.6): the deliveries and queued recipients of a message with more of them
// than one transaction may write (store.Accept.Split). The client was told 250 when
// the job was durable; here it is done, in steps, each committed together with the
// job's progress. A crash between two steps loses nothing and does nothing twice.
//
// One job is done at a time, on whichever node claims it. A step that cannot be done
// now is tried again after growing pauses, for ever: what was acknowledged is not
// given up. Only a delivery to an account that is gone by then is left out, and the
// trace of the message says so.
package outbox

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"posta/internal/jobs"
	"posta/internal/mail"
	"posta/internal/mailbox"
	"posta/internal/store"
	"posta/internal/trace"
)

// Store is what the outbox asks of the state.
type Store interface {
	jobs.Store
	Accept(ctx context.Context, a *store.Accept) ([]store.Placed, error)
	AddEvent(ctx context.Context, id mail.ID, e store.TraceEvent) error
	Subscribe(account mailbox.AccountID) (wake <-chan struct{}, cancel func())
}

// Config of an Outbox. Store and Node are required.
type Config struct {
	Store Store
	Node  string           // name of this node, for leases
	Lease time.Duration    // of one step; 0 means 10 s
	Poll  time.Duration    // looks for work without being woken; 0 means 30 s
	Now   func() time.Time // nil means time.Now
	Log   *slog.Logger     // nil discards
}

// Outbox does the jobs. Run is called once.
type Outbox struct {
	cfg    Config
	worker jobs.Worker
}

// New makes an Outbox; Run starts it.
func New(cfg Config) *Outbox {
	cfg.Lease = cmp.Or(cfg.Lease, 10*time.Second)
	cfg.Poll = cmp.Or(cfg.Poll, 30*time.Second)
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	o := &Outbox{cfg: cfg}
	o.worker = jobs.Worker{
		Store: cfg.Store, Node: cfg.Node, Kinds: []string{store.OutboxKind}, Lease: cfg.Lease, Poll: cfg.Poll, Now: cfg.Now, Log: cfg.Log, Do: o.do,
	}
	return o
}

// Run works until ctx ends; the step in hand is finished then. It returns nil.
func (o *Outbox) Run(ctx context.Context) error {
	wake, unsubscribe := o.cfg.Store.Subscribe(0)
	defer unsubscribe()
	return o.worker.Run(ctx, wake)
}

// do works on a job until it is done, or cannot go on.
func (o *Outbox) do(ctx context.Context, j *store.Job) {
	left, err := store.DecodeOutbox(j)
	for err == nil && left.Done() < left.Len() {
		if ctx.Err() != nil {
			o.later(ctx, j, 0, "")
			return
		}
		err = o.step(ctx, j, left)
	}
	switch {
	case err == nil:
		o.cfg.Log.InfoContext(ctx, "outbox done", "id", left.Accept.String(), "recipients", left.Len())
		o.note(ctx, left.Accept, trace.Event{Kind: "expanded", Note: fmt.Sprintf("%d recipients, in steps", left.Len())})
	case errors.Is(err, store.ErrFenced), errors.Is(err, store.ErrUnknown):
		// Somebody else has it now; or nobody knows whether the step was committed,
		// until the lease ends and the cursor tells.
		o.cfg.Log.WarnContext(ctx, "outbox interrupted", "job", j.Key, "err", err)
	default:
		o.cfg.Log.ErrorContext(ctx, "outbox put off", "job", j.Key, "tries", j.Tries, "err", err)
		o.later(ctx, j, pauseAfter(j.Tries), err.Error())
	}
}

// step does the next step; one delivery at a time, where an account of it is gone.
func (o *Outbox) step(ctx context.Context, j *store.Job, left *store.Outbox) error {
	err := o.commit(ctx, left, left.Step(j, left.Len()))
	if !errors.Is(err, store.ErrNotFound) {
		return err
	}
	one := left.Step(j, 1)
	if err = o.commit(ctx, left, one); !errors.Is(err, store.ErrNotFound) || len(one.Deliveries) == 0 {
		return err
	}
	account := one.Deliveries[0].Account
	if err = o.commit(ctx, left, left.Skip(j)); err == nil {
		o.note(ctx, left.Accept, trace.Event{Kind: "dropped", Note: fmt.Sprintf("account %d is gone", account)})
	}
	return err
}

// commit makes a step durable; a stop waits for it.
func (o *Outbox) commit(ctx context.Context, left *store.Outbox, step *store.Accept) error {
	step.Step.Lease = o.cfg.Lease
	sctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), o.cfg.Lease)
	defer cancel()
	_, err := o.cfg.Store.Accept(sctx, step)
	if err == nil {
		left.Advance(step)
	}
	return err
}

// later gives a job back.
func (o *Outbox) later(ctx context.Context, j *store.Job, pause time.Duration, why string) {
	o.worker.End(ctx, j, o.cfg.Now().Add(pause), why)
}

// note adds a line to the message's trace. The work is done without it too.
func (o *Outbox) note(ctx context.Context, id mail.ID, e trace.Event) {
	e.At = o.cfg.Now()
	ectx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if err := o.cfg.Store.AddEvent(ectx, id, e.Encode()); err != nil && !errors.Is(err, store.ErrNotFound) {
		o.cfg.Log.WarnContext(ctx, "trace of the outbox not written", "id", id.String(), "err", err)
	}
}

// pauseAfter grows from a second to ten minutes.
func pauseAfter(tries int) time.Duration {
	return min(time.Second<<min(tries, 10), 10*time.Minute)
}
