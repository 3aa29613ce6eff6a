// Package report takes in what others report of our mail: DMARC aggregate reports (RFC
// 9990), TLS reports (RFC 8460), complaints (RFC 5965) and failure reports (RFC 9991).
//
// A message that looks like one was acknowledged when its job was durable
// (store.ReportJob). The Collector does the job, on whichever node claims it: it unpacks
// and reads within limits, keeps the report, once however often it comes, and the message
// is gone; or, where it is no report or of no domain of ours, delivers it as it would
// have been at once, with a field that says why, in the transaction that ends the job.
// A report is kept with whether its author was proved (DMARC): anybody can write one.
package report

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"time"

	"posta/internal/addr"
	"posta/internal/blob"
	"posta/internal/directory"
	"posta/internal/feedback"
	"posta/internal/jobs"
	"posta/internal/mailbox"
	"posta/internal/message"
	"posta/internal/resolver"
	"posta/internal/store"
)

// Store is what collecting asks of the state.
type Store interface {
	jobs.Store
	store.Reports
	store.Facts
	Accept(ctx context.Context, a *store.Accept) ([]store.Placed, error)
	BlobRef(ctx context.Context, id blob.ID) (store.BlobRef, error)
	Subscribe(account mailbox.AccountID) (wake <-chan struct{}, cancel func())
}

// Blobs opens the bytes of messages.
type Blobs interface {
	Open(ctx context.Context, id blob.ID, at blob.Location) (blob.Reader, error)
}

// Names looks up what the reverse zone says of an address.
type Names interface {
	LookupPTR(ctx context.Context, ip netip.Addr) (resolver.Result[string], error)
}

// Config of a Collector. All but the last three are required.
type Config struct {
	Store     Store
	Blobs     Blobs
	Directory *directory.Directory
	Node      string           // name of this node, for leases
	Names     Names            // nil: sources stay without names
	Now       func() time.Time // nil means time.Now
	Log       *slog.Logger     // nil discards
}

// Collector does the jobs. Run is called once.
type Collector struct {
	cfg    Config
	worker jobs.Worker
}

const (
	lease = 5 * time.Minute // of a report of 200,000 rows on a slow disk
	poll  = 30 * time.Second
)

// New makes a Collector; Run starts it.
func New(cfg Config) *Collector {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	c := &Collector{cfg: cfg}
	c.worker = jobs.Worker{Store: cfg.Store, Node: cfg.Node, Kinds: []string{store.ReportJobKind}, Lease: lease, Poll: poll, Now: cfg.Now, Log: cfg.Log, Do: c.do}
	return c
}

// Run works until ctx ends. It returns nil.
func (c *Collector) Run(ctx context.Context) error {
	wake, unsubscribe := c.cfg.Store.Subscribe(0)
	defer unsubscribe()
	return c.worker.Run(ctx, wake)
}

// Turn does one job and returns 0; or it says how long there will be none.
func (c *Collector) Turn(ctx context.Context) time.Duration { return c.worker.Turn(ctx) }

// do works on a job. What cannot be done now is tried again, for ever: the message was
// acknowledged.
func (c *Collector) do(ctx context.Context, j *store.Job) {
	err := c.collect(ctx, j)
	switch {
	case err == nil:
	case errors.Is(err, store.ErrFenced), errors.Is(err, store.ErrUnknown):
		c.cfg.Log.WarnContext(ctx, "report interrupted", "job", j.Key, "err", err)
	default:
		c.cfg.Log.ErrorContext(ctx, "report put off", "job", j.Key, "tries", j.Tries, "err", err)
		c.worker.End(ctx, j, c.cfg.Now().Add(min(time.Second<<min(j.Tries, 10), 10*time.Minute)), err.Error())
	}
}

// maxDied is how often the program may die over a job before the message is delivered
// unread.
const maxDied = 5

// collect does a job to its end, or says why not now.
func (c *Collector) collect(ctx context.Context, j *store.Job) error {
	r, err := store.DecodeReportJob(j)
	if err != nil {
		return err
	}
	if j.Tries >= maxDied && j.Last == "" {
		return c.deliver(ctx, j, r, "reading it was given up")
	}
	f, err := c.read(ctx, r)
	if err != nil {
		return err
	}
	if f.empty() {
		return c.deliver(ctx, j, r, f.reason())
	}
	kept, why, err := c.keep(ctx, r, f)
	if err != nil {
		return err
	}
	if kept == 0 {
		return c.deliver(ctx, j, r, why)
	}
	c.worker.End(ctx, j, time.Time{}, "")
	return nil
}

// read reads the message. A blob that has moved meanwhile is looked for once more; one
// whose bytes are damaged is the postmaster's.
func (c *Collector) read(ctx context.Context, r *store.ReportJob) (*found, error) {
	for again := true; ; again = false {
		ref, err := c.cfg.Store.BlobRef(ctx, r.Blob)
		if err != nil {
			return nil, err
		}
		b, err := c.cfg.Blobs.Open(ctx, ref.ID, ref.At)
		if errors.Is(err, blob.ErrNotFound) && again {
			continue
		}
		if err != nil {
			return nil, err
		}
		f, err := extract(b, b.Size())
		if errors.Is(err, blob.ErrCorrupt) { // it will not get better
			f, err = &found{why: err}, nil
		}
		return f, errors.Join(err, b.Close())
	}
}

// keep keeps what was found of domains of ours, and says how many reports that was; why
// tells of the others.
func (c *Collector) keep(ctx context.Context, r *store.ReportJob, f *found) (kept int, why string, err error) {
	base := store.Report{Received: c.cfg.Now().UTC().Truncate(time.Microsecond), Message: r.Accept, Sender: r.Sender, Proved: r.Proved}
	view := c.cfg.Directory.View()
	add := func(rep *store.Report, rows []store.ReportRow) {
		if !ours(view, rep.Domain) {
			why = fmt.Sprintf("it is a report about %q, which is no domain of ours", rep.Domain)
			return
		}
		if e := c.cfg.Store.AddReport(ctx, rep, rows); e != nil && !errors.Is(e, store.ErrExists) {
			err = cmp.Or(err, e)
			return
		} else if e == nil {
			c.cfg.Log.InfoContext(ctx, "report", "kind", int(rep.Kind), "domain", rep.Domain, "from", rep.Org, "messages", rep.Messages, "failed", rep.Failed, "proved", rep.Proved)
		}
		kept++
		c.learnNames(ctx, rows)
	}
	for _, d := range f.dmarc {
		rep := base
		add(&rep, feedback.FillDMARC(&rep, d))
	}
	for _, t := range f.tls {
		for _, rep := range feedback.FillTLS(base, t) {
			add(&rep, nil)
		}
	}
	if f.arf != nil {
		rep := base
		feedback.FillFeedback(&rep, f.arf, func(domain string) bool { return ours(view, domain) })
		rep.Account = sender(view, rep.Account)
		add(&rep, nil)
	}
	return kept, why, err
}

// ours reports whether a domain is one of ours or inside of one.
func ours(view *directory.View, domain string) bool {
	d, err := addr.ParseDomain(domain)
	for ; err == nil && d != ""; d = d.Parent() {
		if view.Local(d) {
			return true
		}
	}
	return false
}

// sender is the login of the account that an address belongs to, "" for none.
func sender(view *directory.View, address string) string {
	a, err := addr.ParseAddress(address)
	if err != nil || !view.Local(a.Domain) {
		return ""
	}
	targets, err := view.Resolve(a)
	if err != nil || len(targets) != 1 || targets[0].Account == 0 {
		return ""
	}
	if acc := view.Account(targets[0].Account); acc != nil {
		return acc.Login
	}
	return ""
}

// field says above a delivered message why it was taken for a report.
const field = "Posta-Report"

// deliver delivers a message as it would have been at once, and ends the job with it.
func (c *Collector) deliver(ctx context.Context, j *store.Job, r *store.ReportJob, why string) error {
	a := &store.Accept{
		ID: r.Accept, Blob: store.NewBlob{ID: r.Blob, Size: r.Size}, Deliveries: r.Deliveries, Enqueues: r.Enqueues,
		Step: &store.JobStep{ID: j.ID, Fence: j.Fence, From: j.Cursor, Cursor: []byte("delivered"), Lease: lease, End: true},
	}
	note := message.AppendField(nil, field, "delivered: "+why)
	for i := range a.Deliveries {
		a.Deliveries[i].Prefix = append(note[:len(note):len(note)], a.Deliveries[i].Prefix...)
	}
	c.cfg.Log.InfoContext(ctx, "no report", "id", r.Accept.String(), "why", why)
	_, err := c.cfg.Store.Accept(ctx, a)
	if errors.Is(err, store.ErrNotFound) { // an account that is gone: nobody is there to read it
		c.cfg.Log.WarnContext(ctx, "no report, and nobody to read it", "id", r.Accept.String(), "err", err)
		c.worker.End(ctx, j, time.Time{}, "")
		return nil
	}
	return err
}

// Bounds of looking up names for one report.
const (
	maxNames  = 100
	namesTime = 20 * time.Second
)

// learnNames looks up the names of sources that have none yet. That it cannot is no
// harm: the source has no name then.
func (c *Collector) learnNames(ctx context.Context, rows []store.ReportRow) {
	if c.cfg.Names == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, namesTime)
	defer cancel()
	seen := map[netip.Addr]bool{}
	for _, r := range rows {
		if !r.Source.IsValid() || seen[r.Source] || len(seen) >= maxNames {
			continue
		}
		seen[r.Source] = true
		if err := feedback.LearnName(ctx, c.cfg.Store, c.cfg.Names.LookupPTR, r.Source, c.cfg.Now()); err != nil && ctx.Err() != nil {
			return
		}
	}
}
