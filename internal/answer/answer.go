// Package answer sends what scripts wrote: vacation replies, notifications, refusals, word
// of their faults. Each is a job of the accept of the message that it answers (DESIGN
// §2.6), so it is neither lost nor sent twice by a crash: the id with which it is filed
// was chosen with the job, and an id is filed once.
//
// Whom somebody was told is remembered as a fact (store.Answered), which a crash can lose
// within its last second: then somebody may be told twice.
package answer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"posta/internal/addr"
	"posta/internal/jobs"
	"posta/internal/mail"
	"posta/internal/store"
	"posta/internal/trace"
)

// Store is what an Answerer asks of the state.
type Store interface {
	jobs.Store
	FactsOf(ctx context.Context, kind store.FactKind, keys ...string) ([]store.Fact, error)
	ChangeFacts(ctx context.Context, kind store.FactKind, keys []string, f func(store.Fact) store.Fact) error
	AddEvent(ctx context.Context, id mail.ID, e store.TraceEvent) error
}

// Config of an Answerer. Store, Node and Deposit are required.
type Config struct {
	Store Store
	Node  string // name of this node, for leases
	// Deposit files the message, durably and once; store.ErrExists if it was filed before.
	Deposit func(ctx context.Context, a *store.AnswerJob, to addr.Address) error
	Wake    <-chan struct{} // hints that there is work; nil: it looks now and then
	Now     func() time.Time
	Log     *slog.Logger // nil discards
}

// Answerer does the jobs. Run is called once.
type Answerer struct {
	cfg    Config
	worker jobs.Worker
}

// New makes an Answerer; Run starts it.
func New(cfg Config) *Answerer {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	a := &Answerer{cfg: cfg}
	a.worker = jobs.Worker{
		Store: cfg.Store, Node: cfg.Node, Kinds: []string{store.AnswerJobKind}, Lease: time.Minute, Poll: 30 * time.Second,
		Now: cfg.Now, Log: cfg.Log, Do: a.do,
	}
	return a
}

// Run works until ctx ends; the job in hand is finished then. It returns nil.
func (a *Answerer) Run(ctx context.Context) error { return a.worker.Run(ctx, a.cfg.Wake) }

// maxTries is how often an answer that cannot be filed is tried: for about a day.
const maxTries = 150

func (a *Answerer) do(ctx context.Context, j *store.Job) {
	ans, err := store.DecodeAnswerJob(j)
	if err != nil {
		a.cfg.Log.ErrorContext(ctx, "an answer that cannot be read is dropped", "job", j.Key, "err", err)
		a.worker.End(ctx, j, time.Time{}, "")
		return
	}
	err = a.send(ctx, ans)
	switch {
	case err == nil:
		a.worker.End(ctx, j, time.Time{}, "")
	case j.Tries >= maxTries:
		a.cfg.Log.ErrorContext(ctx, "an answer is given up", "job", j.Key, "err", err)
		a.worker.End(ctx, j, time.Time{}, "")
	default:
		a.cfg.Log.WarnContext(ctx, "an answer is put off", "job", j.Key, "err", err)
		a.worker.End(ctx, j, a.cfg.Now().Add(min(time.Second<<min(j.Tries, 10), 10*time.Minute)), err.Error())
	}
}

// send files an answer, unless one of its key was sent within its time.
func (a *Answerer) send(ctx context.Context, ans *store.AnswerJob) error {
	to, err := addr.ParseAddress(ans.To)
	if err != nil {
		a.cfg.Log.ErrorContext(ctx, "an answer to an address that is none is dropped", "to", ans.To)
		return nil
	}
	key := ""
	if ans.Remember != "" && ans.Seconds > 0 {
		key = fmt.Sprintf("%d %s", ans.Account, ans.Remember)
		facts, err := a.cfg.Store.FactsOf(ctx, store.Answered, key)
		if err != nil {
			return err
		}
		if facts[0].Until.After(a.cfg.Now()) && string(facts[0].Value) != ans.ID.String() {
			a.note(ctx, ans, "not sent: one was sent to this sender before")
			return nil
		}
	}
	err = a.cfg.Deposit(ctx, ans, to)
	again := errors.Is(err, store.ErrExists)
	if err != nil && !again {
		return err
	}
	if key != "" {
		until := a.cfg.Now().Add(time.Duration(ans.Seconds) * time.Second)
		err := a.cfg.Store.ChangeFacts(ctx, store.Answered, []string{key}, func(f store.Fact) store.Fact {
			f.Value, f.Until = []byte(ans.ID.String()), until
			return f
		})
		if err != nil {
			return err // it is filed; the next try finds that, and remembers
		}
	}
	if !again {
		a.note(ctx, ans, ans.ID.String())
	}
	return nil
}

// note adds a line to the trace of the message that was answered.
func (a *Answerer) note(ctx context.Context, ans *store.AnswerJob, what string) {
	e := trace.Event{At: a.cfg.Now(), Kind: ans.What, To: ans.To, Note: what}
	if err := a.cfg.Store.AddEvent(ctx, ans.About, e.Encode()); err != nil && !errors.Is(err, store.ErrNotFound) {
		a.cfg.Log.WarnContext(ctx, "trace of an answer not written", "id", ans.About.String(), "err", err)
	}
}
