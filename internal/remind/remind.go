// Package remind writes to our own people what they must know of their accounts: that
// a password will soon be too old to log in with (S79), that most of a day's messages
// are sent (S84).
//
// Both are jobs, so that one node of many writes, and a restart forgets nothing. A
// letter's id follows from what it says, so it is filed once, whatever died in between.
package remind

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"time"

	"posta/internal/directory"
	"posta/internal/jobs"
	"posta/internal/letter"
	"posta/internal/store"
	"posta/internal/words"
)

// The kinds of jobs that are done here.
const (
	passwordKind  = "remind.password"  // one, over and over, while passwords grow old
	allowanceKind = "remind.allowance" // one for each account that nears its limit
)

const lease = time.Minute // of one job; prolonged while it goes on

// Config of a Reminder. All up to Node are required.
type Config struct {
	Store     store.Jobs
	Directory *directory.Directory
	Term      func() store.PasswordTerm // how long passwords may be used now
	// Deposit files a letter, durably; store.ErrExists if one of its id was before.
	Deposit  func(ctx context.Context, l letter.Letter) error
	Hostname string
	Node     string // name of this node, for leases

	// PasswordPage is where people change their password themselves; "" is nowhere.
	PasswordPage string

	Language words.Lang       // of letters to who has no language of his own; "" is English
	Poll     time.Duration    // looks for work; 0 means 15 s
	Now      func() time.Time // nil means time.Now
	Log      *slog.Logger     // nil discards
}

// Reminder does the jobs. Run is called once.
type Reminder struct {
	cfg     Config
	worker  jobs.Worker
	planned bool // there is a job for the passwords
}

// New makes a Reminder; Run starts it.
func New(cfg Config) *Reminder {
	cfg.Poll = cmp.Or(cfg.Poll, 15*time.Second)
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	r := &Reminder{cfg: cfg}
	r.worker = jobs.Worker{
		Store: cfg.Store, Node: cfg.Node, Kinds: []string{passwordKind, allowanceKind}, Lease: lease, Poll: cfg.Poll, Now: cfg.Now, Log: cfg.Log, Do: r.do,
	}
	return r
}

// Run works until ctx ends. It returns nil.
func (r *Reminder) Run(ctx context.Context) error {
	tick := time.NewTicker(r.cfg.Poll)
	defer tick.Stop()
	for {
		r.plan(ctx)
		for ctx.Err() == nil && r.worker.Turn(ctx) == 0 {
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// plan makes sure that there is a job for the passwords while they grow old.
func (r *Reminder) plan(ctx context.Context) {
	if r.cfg.Term().Age <= 0 {
		r.planned = false
		return
	}
	if r.planned {
		return
	}
	err := r.cfg.Store.AddJob(ctx, store.Job{Key: passwordKind, Kind: passwordKind})
	if r.planned = err == nil || errors.Is(err, store.ErrExists); !r.planned && ctx.Err() == nil {
		r.cfg.Log.WarnContext(ctx, "reminders not planned", "err", err)
	}
}

// do does a job and ends it, or puts it off when the store cannot take a letter now.
func (r *Reminder) do(ctx context.Context, j *store.Job) {
	var again time.Time
	var err error
	switch j.Kind {
	case passwordKind:
		again, err = r.passwords(ctx, j)
	case allowanceKind:
		err = r.allowance(ctx, j)
	}
	last := ""
	if err != nil {
		last, again = err.Error(), r.cfg.Now().Add(pauseAfter(j.Tries))
		if ctx.Err() == nil {
			r.cfg.Log.WarnContext(ctx, "reminder put off", "job", j.Key, "err", err)
		}
	}
	r.worker.End(ctx, j, again, last)
}

// deposit files a letter, unless it was filed before. One that can never be filed, since
// its account is gone by now, is not in the way of the others. An error is worth another
// try.
func (r *Reminder) deposit(ctx context.Context, l letter.Letter) error {
	err := r.cfg.Deposit(ctx, l)
	switch {
	case errors.Is(err, store.ErrExists):
		return nil
	case errors.Is(err, store.ErrNotFound), errors.Is(err, store.ErrInvalid):
		r.cfg.Log.WarnContext(ctx, "reminder not filed", "to", l.To.String(), "err", err)
		return nil
	}
	return err
}

// pauseAfter grows from half a minute to an hour.
func pauseAfter(tries int) time.Duration {
	return min(30*time.Second<<min(tries, 10), time.Hour)
}
