package reportout

import (
	"cmp"
	"context"
	"hash/fnv"
	"log/slog"
	"net/http"
	"time"

	"posta/internal/addr"
	"posta/internal/counts"
	"posta/internal/resolver"
	"posta/internal/store"
)

// Config of a Reporter. All fields without a default are required.
type Config struct {
	Facts Facts
	DNS   resolver.Resolver
	// Deposit sends a message of ours from the null reverse-path, signed; with tlsOptional
	// though TLS fails.
	Deposit func(ctx context.Context, to addr.Address, message []byte, tlsOptional bool) error
	HTTP    *http.Client // for reports by POST; it must not follow redirects
	// From is whom reports come from, an address of ours with DKIM keys; its domain is the
	// submitter. The zero address: there is none now, and nothing is sent.
	From func() addr.Address
	// Local tells domains of our own.
	Local func(domain string) bool
	// Suppressed are those that the administrator suppresses, as Suppressions reads them.
	Suppressed func() string

	Hostname   string
	DMARC, TLS bool             // which reports are made
	Now        func() time.Time // nil is time.Now
	Log        *slog.Logger     // nil discards
}

// Reporter counts and reports. Run is called once; the other methods may be called from
// any goroutine.
type Reporter struct {
	cfg      Config
	tls      *counts.Gatherer[policyRow]
	dmarc    *counts.Gatherer[dmarcRow]
	refusals chan refusal
}

// New makes a Reporter; Run starts it.
func New(cfg Config) *Reporter {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	cfg.Log = cmp.Or(cfg.Log, slog.New(slog.DiscardHandler))
	return &Reporter{
		cfg: cfg, refusals: make(chan refusal, 256),
		tls: tally(&cfg, store.TLSResult, func(a, b policyRow) policyRow {
			b.OK, b.Failed = a.OK+b.OK, a.Failed+b.Failed
			return b
		}),
		dmarc: tally(&cfg, store.DMARCResult, func(a, b dmarcRow) dmarcRow {
			b.N += a.N
			return b
		}),
	}
}

// Flush writes down what was counted so far.
func (r *Reporter) Flush(ctx context.Context) {
	r.tls.Flush(ctx)
	r.dmarc.Flush(ctx)
}

// Run writes counts down until ctx ends, which should be after the last session and
// attempt, and what is left then. It returns nil.
func (r *Reporter) Run(ctx context.Context) error {
	tick := time.NewTicker(counts.Every)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			r.Flush(ctx)
		case x := <-r.refusals:
			r.pauseFor(ctx, x)
		case <-ctx.Done():
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), counts.LastWrite)
			defer cancel()
			r.Flush(ctx)
			r.drain(ctx)
			return nil
		}
	}
}

// drain takes the refusals that wait.
func (r *Reporter) drain(ctx context.Context) {
	for {
		select {
		case x := <-r.refusals:
			r.pauseFor(ctx, x)
		default:
			return
		}
	}
}

// pauseFor writes a refusal down, though ctx may be over by the time it was taken.
func (r *Reporter) pauseFor(ctx context.Context, x refusal) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), counts.LastWrite)
	defer cancel()
	if err := r.refused(ctx, x); err != nil && ctx.Err() == nil {
		r.cfg.Log.WarnContext(ctx, "a refused report", "err", err)
	}
}

// Due is the next time after now to report: past midnight (UTC), at a moment of the next
// four hours that differs between hosts, so that receivers are not all told at once (RFC
// 8460 §4.1).
func (r *Reporter) Due(now time.Time) time.Time {
	h := fnv.New32a()
	_, _ = h.Write([]byte(r.cfg.Hostname)) // never fails
	late := 10*time.Minute + time.Duration(h.Sum32()%(4*60*60))*time.Second
	at := now.UTC().Truncate(24 * time.Hour).Add(late)
	if !at.After(now) {
		at = at.Add(24 * time.Hour)
	}
	return at
}
