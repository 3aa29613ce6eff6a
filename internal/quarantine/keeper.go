package quarantine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"posta/internal/command"
	"posta/internal/directory"
	"posta/internal/finding"
	"posta/internal/jobs"
	"posta/internal/letter"
	"posta/internal/policy"
	"posta/internal/store"
	"posta/internal/words"
)

// Mail is a message of ours about what is held. With Digest set, what it tells of is
// marked as told in the transaction that delivers it.
type Mail struct {
	letter.Letter
	Digest *store.Digest
}

// Depositor delivers our own mail, from the null reverse-path.
type Depositor interface {
	Deposit(ctx context.Context, m Mail) error
}

// Config of a Keeper. The first five fields are required.
type Config struct {
	Store     Store
	Directory *directory.Directory
	Policy    func() policy.Quarantine // the terms that hold now
	Depositor Depositor
	Node      string // name of this node, for the lease of the daily job

	Hostname string           // ours, for Message-ID
	Language words.Lang       // of digests to who has no language of his own; "" is English
	Link     string           // what the token of a digest is put behind; "": digests have no link
	Poll     time.Duration    // looks whether the job is due; 0 means 1 min
	Now      func() time.Time // nil means time.Now
	Log      *slog.Logger     // nil discards
}

// Keeper does the daily work of the quarantine and knows how full it is. Run is called
// once; the other methods may be called from any goroutine.
type Keeper struct {
	cfg   Config
	daily jobs.Regular
	stats atomic.Pointer[[]store.HeldStat]
}

// New makes a Keeper; Run starts it.
func New(cfg Config) *Keeper {
	cfg.Poll = cmp.Or(cfg.Poll, time.Minute)
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	k := &Keeper{cfg: cfg}
	k.daily = jobs.Regular{
		Store: cfg.Store, Node: cfg.Node, Key: job, First: cfg.Poll, Every: daily, Again: again, Lease: jobLease, Poll: cfg.Poll, Now: cfg.Now, Log: cfg.Log, Do: k.Work,
	}
	return k
}

const (
	// job is the daily job's kind and key: there is one, whatever the number of nodes.
	job = "quarantine"

	daily    = 24 * time.Hour
	again    = time.Hour // after a run that failed
	jobLease = time.Hour

	// linkGood is how long the link of a digest may be used.
	linkGood = 14 * 24 * time.Hour
	// maxTold and maxExpired bound one run; the rest is done by the next.
	maxTold    = 20_000
	maxExpired = 100_000
)

// Run works until ctx ends. It returns nil.
func (k *Keeper) Run(ctx context.Context) error {
	tick := time.NewTicker(k.cfg.Poll)
	defer tick.Stop()
	for {
		if err := k.turn(ctx); err != nil && ctx.Err() == nil {
			k.cfg.Log.WarnContext(ctx, "quarantine not counted", "err", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// turn does the daily job if it is due and nobody else has it, and counts.
func (k *Keeper) turn(ctx context.Context) error {
	k.daily.Turn(ctx)
	list, err := k.cfg.Store.HeldStats(ctx)
	if err == nil {
		k.stats.Store(&list)
	}
	return err
}

// Work does a day's work now: digests, summaries, expiry. It may be repeated.
func (k *Keeper) Work(ctx context.Context) error {
	now := k.cfg.Now()
	_, err := k.tell(ctx, now, k.cfg.Policy().DigestAfter())
	return errors.Join(
		err,
		k.summarize(ctx, now),
		k.expire(ctx, now),
		k.cfg.Store.DropDigests(ctx, now.Add(-daily)),
	)
}

// expire removes what is too old, by domain.
func (k *Keeper) expire(ctx context.Context, now time.Time) error {
	stats, err := k.cfg.Store.HeldStats(ctx)
	if err != nil {
		return err
	}
	q, view := k.cfg.Policy(), k.cfg.Directory.View()
	var errs []error
	for _, st := range stats {
		keep := command.KeepFor(view, q, st.Domain)
		n, err := k.cfg.Store.ExpireHeld(ctx, st.Domain, now.Add(-keep), maxExpired, func(m store.HeldMail) store.TraceEvent {
			return command.HeldEvent("expired", now, &m, "", fmt.Sprintf("held for %d days", int(now.Sub(m.At)/daily)))
		})
		if n > 0 {
			k.cfg.Log.InfoContext(ctx, "held mail expired", "domain", st.Domain, "count", n)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// Stats counts by domain, as of the last look; nil before the first.
func (k *Keeper) Stats() []store.HeldStat {
	if p := k.stats.Load(); p != nil {
		return *p
	}
	return nil
}

// Findings are quarantine.overdue for each domain whose held mail nobody has looked at
// in time.
func (k *Keeper) Findings() []finding.Finding {
	var out []finding.Finding
	var octets int64
	now, after, room := k.cfg.Now(), k.cfg.Policy().OverdueAfter(), k.cfg.Policy().Room()
	for _, st := range k.Stats() {
		octets += st.Octets
		if st.Waiting > 0 && now.Sub(st.Since) >= after {
			out = append(out, finding.Of(finding.QuarantineOverdue, finding.Fail, st.Domain,
				"not reviewed", fmt.Sprint(st.Waiting), "oldest", st.Since.UTC().Format(time.RFC3339)))
		}
	}
	if octets >= room/10*9 { // told before it puts mail off
		out = append(out, finding.Of(finding.QuarantineFull, finding.Fail, "", "held", fmt.Sprint(octets), "bound", fmt.Sprint(room)))
	}
	return out
}
