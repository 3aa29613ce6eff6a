package queue

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"posta/internal/addr"
	"posta/internal/blob"
	"posta/internal/dsn"
	"posta/internal/mail"
	"posta/internal/mailbox"
	"posta/internal/program"
	"posta/internal/relay"
	"posta/internal/route"
	"posta/internal/store"
)

// Store is what the queue asks of the state.
type Store interface {
	ClaimQueue(ctx context.Context, node string, limit, perDomain int, lease time.Duration) ([]store.QueueEntry, error)
	ExtendQueue(ctx context.Context, ids []int64, fence int64, lease time.Duration) error
	StartAttempt(ctx context.Context, ids []int64, fence int64) error
	FinishQueue(ctx context.Context, f store.Finish) error
	NextDue(ctx context.Context) (time.Time, error)
	BlobRef(ctx context.Context, id blob.ID) (store.BlobRef, error)
	Subscribe(account mailbox.AccountID) (wake <-chan struct{}, cancel func())
}

// Blobs gives message bytes.
type Blobs interface {
	Open(ctx context.Context, id blob.ID, at blob.Location) (blob.Reader, error)
}

// Router says where mail for a domain goes; its errors are *route.Error.
type Router interface {
	Route(ctx context.Context, domain string) (*route.Route, error)
}

// Relay makes one attempt.
type Relay interface {
	Deliver(ctx context.Context, rt *route.Route, m *relay.Message) []relay.Outcome
}

// ErrUndeliverable is what a Depositor answers when the reverse-path leads
// nowhere here: the notice is dropped, as a bounce of a bounce would be.
var ErrUndeliverable = errors.New("queue: the sender of the message has no mailbox here")

// Depositor accepts a notice: it files it when To is local, else enqueues it with
// the null reverse-path and NOTIFY=NEVER, and commits that together with Finish
// (store.Accept.FinishQueue). Errors: ErrUndeliverable, store.ErrFenced (the
// outcomes are somebody else's now), others are tried again with the same ID, so
// that one whose commit was not known is not repeated.
type Depositor interface {
	Deposit(ctx context.Context, d Deposit) error
}

// Deposit is a notice on its way.
type Deposit struct {
	ID      mail.ID
	To      addr.Address // never zero
	Message []byte       // complete, CRLF lines
	UTF8    bool         // needs SMTPUTF8
	Finish  *store.Finish
}

// Filer ends the filing of a recipient here that could not finish in the session
// (store.Deferred), and commits it together with done. An error that is a
// permanent smtp.Reply fails the recipient with a notice; after any other it is
// tried again.
type Filer interface {
	File(ctx context.Context, e *store.QueueEntry, done *store.Finish) error
}

// Config of a Queue.
type Config struct {
	Store     Store
	Blobs     Blobs
	Router    Router
	Relay     Relay
	Programs  Programs // nil: there are none; mail for one is put off
	Depositor Depositor
	Filer     Filer // nil: there is no deferred filing; such entries are put off

	// Keys are the DKIM keys of a domain in A-labels; nil signs nothing.
	Keys func(domain string) []store.DKIMKey
	// Sign says whether an entry's message is to be signed. Nil means: as the entry
	// says.
	Sign func(e *store.QueueEntry) bool

	// Observe hears of each recipient's outcome, and of the state that it led to. It must not block; nil hears nothing.
	Observe func(e *store.QueueEntry, o *relay.Outcome, state store.QueueState)

	Node     string       // name of this node, for leases
	Hostname string       // fully qualified: who reports in notices
	From     addr.Address // of notices; zero means MAILER-DAEMON at Hostname
	Language dsn.Language // of notices: which comes first
	// LanguageOf is that of a notice to somebody; nil: Language, as of all.
	LanguageOf func(to addr.Path) dsn.Language

	Total     int           // transactions at the same time; 0 means 64
	PerDomain int           // of one domain; 0 means 4
	Lease     time.Duration // 0 means 15 min; longer than the final dot's ten
	Attempt   time.Duration // the longest that one attempt may take; 0 means 1 h
	Delay     time.Duration // when the sender is told of a delay; 0 means 4 h
	// Retry are the pauses between the attempts, all above 0; the last one repeats. None means 1, 5,
	// 15, 30 minutes, 1, 2, 4 hours.
	Retry []time.Duration
	Grace time.Duration // for running attempts at the end; 0 means 20 s
	Poll  time.Duration // looks for work without being woken; 0 means 30 s

	Now    func() time.Time // nil means time.Now
	Jitter func() float64   // in [0,1); nil is random
	Log    *slog.Logger     // nil discards
}

// Stats counts since the start, by recipient save for Attempts.
type Stats struct {
	Attempts      int64 // transactions tried
	Delivered     int64
	Deferred      int64 // put off
	Failed        int64
	Notices       int64 // DSNs deposited
	DoubleBounces int64 // failures that nobody could be told of
	Unknown       int64 // dots whose reply was lost
	Running       int64 // transactions at the moment
}

type counters struct {
	attempts, delivered, deferred, failed, notices, doubleBounces, unknown, running atomic.Int64
}

// Queue works the queue off. Its methods are safe for concurrent use; Run is
// called once.
type Queue struct {
	cfg      Config
	contents *contents
	n        counters
}

// New makes a Queue; Run starts it.
func New(cfg Config) *Queue {
	cfg.Total = cmp.Or(cfg.Total, 64)
	cfg.PerDomain = cmp.Or(cfg.PerDomain, 4)
	cfg.Lease = cmp.Or(cfg.Lease, 15*time.Minute)
	cfg.Attempt = cmp.Or(cfg.Attempt, time.Hour)
	cfg.Delay = cmp.Or(cfg.Delay, 4*time.Hour)
	if len(cfg.Retry) == 0 {
		cfg.Retry = usualPauses()
	}
	cfg.Grace = cmp.Or(cfg.Grace, 20*time.Second)
	cfg.Poll = cmp.Or(cfg.Poll, 30*time.Second)
	cfg.Node = cmp.Or(cfg.Node, cfg.Hostname)
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Jitter == nil {
		cfg.Jitter = rand.Float64
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Programs == nil {
		cfg.Programs = program.New(nil)
	}
	if cfg.Keys == nil {
		cfg.Keys = func(string) []store.DKIMKey { return nil }
	}
	if cfg.Sign == nil {
		cfg.Sign = ourOwn
	}
	if cfg.From.IsZero() {
		cfg.From = addr.Address{Local: "MAILER-DAEMON", Domain: addr.Domain(cfg.Hostname)}
	}
	return &Queue{cfg: cfg, contents: newContents(&cfg)}
}

// ourOwn: one of our own senders, or we composed it.
func ourOwn(e *store.QueueEntry) bool { return e.Enqueue.Sign }

// Stats are the counters now.
func (q *Queue) Stats() Stats {
	return Stats{
		Attempts: q.n.attempts.Load(), Delivered: q.n.delivered.Load(), Deferred: q.n.deferred.Load(),
		Failed: q.n.failed.Load(), Notices: q.n.notices.Load(), DoubleBounces: q.n.doubleBounces.Load(),
		Unknown: q.n.unknown.Load(), Running: q.n.running.Load(),
	}
}
