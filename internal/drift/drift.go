// Package drift looks at our own domains once a day, keeps what it saw, and writes to
// the postmaster only when something changed (S64, S65).
//
// What is looked at comes from sources: the records in DNS, an audit. A look is a job
// for each domain, so that one node of many does it; what it saw is the job's
// progress, and may be lost with no more harm than one letter that says all anew. A look that could not
// be made says nothing of a finding: what was wrong stays wrong until somebody has seen
// it mended.
package drift

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"hash/fnv"
	"log/slog"
	"time"

	"posta/internal/command"
	"posta/internal/directory"
	"posta/internal/finding"
	"posta/internal/jobs"
	"posta/internal/letter"
	"posta/internal/store"
	"posta/internal/words"
)

// Kind is the kind of the jobs that are done here.
const Kind = "drift"

const (
	every     = 24 * time.Hour
	again     = time.Hour        // after a look that could not be made
	firstLook = 10 * time.Minute // after the start at the earliest
	spread    = 4 * time.Hour    // over which the first looks of many domains are spread
	lookTime  = 5 * time.Minute  // of one look
	lease     = 15 * time.Minute // longer than a look and its letter
	planEvery = time.Minute
)

// Source looks at a domain. It gives findings whatever their outcome; an error says that
// it could not look at all.
type Source interface {
	Findings(ctx context.Context, domain string) ([]finding.Finding, error)
}

// Config of a Watch. All but the last four are required.
type Config struct {
	Store     store.Jobs
	Directory *directory.Directory
	Sources   []Source
	// Deposit files a letter, durably; store.ErrExists if one of its id was before.
	Deposit  func(ctx context.Context, l letter.Letter) error
	Hostname string
	Node     string // name of this node, for leases

	Language words.Lang       // of the letters; "" is English
	Poll     time.Duration    // looks for work; 0 means a minute
	Now      func() time.Time // nil means time.Now
	Log      *slog.Logger     // nil discards
}

// Watch does the jobs. Run is called once.
type Watch struct {
	cfg    Config
	worker jobs.Worker
	known  map[string]bool // domains that have a job
}

// New makes a Watch; Run starts it.
func New(cfg Config) *Watch {
	cfg.Poll = cmp.Or(cfg.Poll, planEvery)
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	w := &Watch{cfg: cfg, known: map[string]bool{}}
	w.worker = jobs.Worker{
		Store: cfg.Store, Node: cfg.Node, Kinds: []string{Kind}, Lease: lease, Poll: cfg.Poll, Now: cfg.Now, Log: cfg.Log, Do: w.do,
	}
	return w
}

// Run works until ctx ends. It returns nil.
func (w *Watch) Run(ctx context.Context) error {
	tick := time.NewTicker(w.cfg.Poll)
	defer tick.Stop()
	for {
		w.plan(ctx)
		for ctx.Err() == nil && w.worker.Turn(ctx) == 0 {
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// plan makes sure that each domain has its job.
func (w *Watch) plan(ctx context.Context) {
	for _, d := range w.cfg.Directory.View().Domains() {
		if w.known[d] {
			continue
		}
		err := w.cfg.Store.AddJob(ctx, store.Job{Key: Kind + "/" + d, Kind: Kind, Data: []byte(d), Due: w.cfg.Now().Add(firstLook + delay(d))})
		if w.known[d] = err == nil || errors.Is(err, store.ErrExists); !w.known[d] && ctx.Err() == nil {
			w.cfg.Log.WarnContext(ctx, "watch not planned", "domain", d, "err", err)
		}
	}
}

// delay spreads the domains, each always the same.
func delay(domain string) time.Duration {
	h := fnv.New32a()
	h.Write([]byte(domain))
	return time.Duration(h.Sum32()) % spread
}

// do looks at one domain and puts its job off to the next look.
func (w *Watch) do(ctx context.Context, j *store.Job) {
	domain := string(j.Data)
	if !w.cfg.Directory.View().LocalName(domain) {
		delete(w.known, domain)
		w.worker.End(ctx, j, time.Time{}, "")
		return
	}
	next, last := w.cfg.Now().Add(every), ""
	if err := w.look(ctx, j, domain); err != nil {
		next, last = w.cfg.Now().Add(again), err.Error()
		if ctx.Err() == nil {
			w.cfg.Log.WarnContext(ctx, "watch put off", "domain", domain, "err", err)
		}
	}
	w.worker.End(ctx, j, next, last)
}

// look asks the sources, writes what changed, and keeps what was seen.
func (w *Watch) look(ctx context.Context, j *store.Job, domain string) error {
	lctx, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	var found []finding.Finding
	for _, s := range w.cfg.Sources {
		fs, err := s.Findings(lctx, domain)
		if err != nil {
			return err
		}
		found = append(found, fs...)
	}
	before, err := read(j.Cursor)
	if err != nil {
		w.cfg.Log.WarnContext(ctx, "what the watch saw last is not read", "domain", domain, "err", err) // all is told anew
	}
	accepted, err := command.ReadAccepted(w.cfg.Directory.View().Setting(command.AcceptedSetting))
	if err != nil {
		return err
	}
	now := w.cfg.Now()
	after, news := compare(before, found, accepted, now)
	if !news.empty() {
		l, err := w.letter(domain, before.At, news)
		if err != nil {
			return err
		}
		if err := w.deposit(ctx, l); err != nil {
			return err
		}
	}
	cursor, err := json.Marshal(after)
	if err != nil {
		return err
	}
	return w.cfg.Store.StepJob(ctx, j.ID, j.Fence, cursor, lease)
}

// deposit files a letter, unless it was filed before. A domain that nobody reads the
// mail of is told of in the log.
func (w *Watch) deposit(ctx context.Context, l letter.Letter) error {
	err := w.cfg.Deposit(ctx, l)
	switch {
	case errors.Is(err, store.ErrExists):
		return nil
	case errors.Is(err, store.ErrNotFound), errors.Is(err, store.ErrInvalid):
		w.cfg.Log.WarnContext(ctx, "letter of the watch not filed", "to", l.To.String(), "err", err)
		return nil
	}
	return err
}
