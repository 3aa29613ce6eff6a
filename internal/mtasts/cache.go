package mtasts

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"time"

	"posta/internal/resolver"
	"posta/internal/store"
)

const (
	retryAfter  = 5 * time.Minute // a fetch that failed (RFC 8461 §3.3)
	freshFor    = 24 * time.Hour  // after which a policy is fetched anew though its id is the same
	lookEvery   = time.Hour       // of Run
	maxRemember = 8192            // domains in memory
	maxRefresh  = 5000            // policies in one round of Run
)

// Source gets policies: a Fetcher.
type Source interface {
	Fetch(ctx context.Context, domain string) (Policy, error)
}

// Config of a Cache. The first three fields are required.
type Config struct {
	DNS    resolver.Resolver
	Source Source
	Facts  Facts
	Now    func() time.Time // nil is time.Now
	Log    *slog.Logger     // nil discards
}

// Cache knows which policy holds for a domain. It remembers across restarts, and is safe
// for concurrent use.
type Cache struct {
	cfg Config

	mu      sync.Mutex
	domains map[string]*domain
}

// domain is what is remembered of one; mu makes its callers wait for one fetch.
type domain struct {
	mu      sync.Mutex
	loaded  bool
	kept    *Kept // nil: none that holds
	failure error
	retry   time.Time // no fetch before
}

// NewCache makes a Cache.
func NewCache(cfg Config) *Cache {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	cfg.Log = cmp.Or(cfg.Log, slog.New(slog.DiscardHandler))
	return &Cache{cfg: cfg, domains: map[string]*domain{}}
}

// Answer is what holds for a domain now.
type Answer struct {
	// Kept is the policy; nil: the domain has none, or none that could be had.
	Kept *Kept
	// Problem is why the policy could not be found or fetched anew, if so; with Kept set,
	// the one fetched before holds in spite of it. A *FetchError, an error of ParseRecord,
	// or the resolver's.
	Problem error
}

// Policy says what holds for a domain (A-labels, lower case). It blocks for the DNS, and
// for a fetch when there is something new. An error is one of the memory alone: then it
// cannot be said whether a policy is kept, and mail must wait.
func (c *Cache) Policy(ctx context.Context, name string) (Answer, error) {
	record, problem := c.record(ctx, name)
	if ctx.Err() != nil {
		return Answer{}, ctx.Err()
	}
	d := c.of(name)
	d.mu.Lock()
	defer d.mu.Unlock()
	now := c.cfg.Now()
	if err := d.load(ctx, c.cfg.Facts, name, now); err != nil {
		return Answer{}, err
	}
	if errors.Is(problem, ErrNoRecord) && d.kept == nil {
		return Answer{}, nil
	}
	if problem != nil { // what is kept holds on (§3.1, §5.1)
		return Answer{d.kept, problem}, nil
	}
	if d.kept != nil && d.kept.ID == record.ID {
		return Answer{Kept: d.kept}, nil
	}
	return c.renew(ctx, d, name, record.ID)
}

// record is the domain's TXT record.
func (c *Cache) record(ctx context.Context, name string) (Record, error) {
	txt, err := c.cfg.DNS.LookupTXT(ctx, Name(name))
	if err != nil {
		return Record{}, err
	}
	return ParseRecord(txt.Records)
}

// of finds or makes the memory of a domain. Of too many, all are forgotten: what is kept
// is read again.
func (c *Cache) of(name string) *domain {
	c.mu.Lock()
	defer c.mu.Unlock()
	d := c.domains[name]
	if d == nil {
		if len(c.domains) >= maxRemember {
			clear(c.domains)
		}
		d = &domain{}
		c.domains[name] = d
	}
	return d
}

// load reads what is kept, once, and forgets what is over.
func (d *domain) load(ctx context.Context, facts Facts, name string, now time.Time) (err error) {
	if !d.loaded {
		if d.kept, err = load(ctx, facts, name, now); err != nil {
			return err
		}
		d.loaded = true
	}
	if d.kept != nil && !d.kept.Expires().After(now) {
		d.kept = nil
	}
	return nil
}

// renew fetches a policy, unless that failed a moment ago; what is kept holds when it
// cannot be had. d.mu is held.
func (c *Cache) renew(ctx context.Context, d *domain, name, id string) (Answer, error) {
	now := c.cfg.Now()
	if now.Before(d.retry) {
		return Answer{d.kept, d.failure}, nil
	}
	p, err := c.cfg.Source.Fetch(ctx, name)
	if err != nil {
		if ctx.Err() != nil {
			return Answer{}, ctx.Err()
		}
		d.failure, d.retry = err, now.Add(retryAfter)
		c.cfg.Log.InfoContext(ctx, "MTA-STS policy not fetched", "domain", name, "err", err, "kept", d.kept != nil)
		return Answer{d.kept, err}, nil
	}
	d.failure, d.retry = nil, time.Time{}
	d.kept = &Kept{ID: id, Policy: p, Fetched: now}
	if err := save(ctx, c.cfg.Facts, name, d.kept); err != nil {
		c.cfg.Log.WarnContext(ctx, "MTA-STS policy not kept", "domain", name, "err", err)
	}
	return Answer{Kept: d.kept}, nil
}

// Run fetches anew, until ctx ends, what was fetched more than a day ago: so a policy
// holds on for a domain that mail is seldom sent to, and who can stop a fetch for a
// while gains nothing by it (RFC 8461 §10.2). It returns nil.
func (c *Cache) Run(ctx context.Context) error {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			if err := c.Refresh(ctx); err != nil && ctx.Err() == nil {
				c.cfg.Log.WarnContext(ctx, "MTA-STS policies not refreshed", "err", err)
			}
		}
	}
}

// Refresh does one round of Run.
func (c *Cache) Refresh(ctx context.Context) error {
	after := ""
	for done := 0; done < maxRefresh; {
		facts, err := c.cfg.Facts.ListFacts(ctx, store.TransportPolicy, "", after, 500)
		if err != nil || len(facts) == 0 {
			return err
		}
		for _, f := range facts {
			after = f.Key
			name, first := strings.CutSuffix(f.Key, "/00")
			if !first {
				continue
			}
			if err := c.refresh(ctx, name); err != nil {
				return err
			}
			done++
		}
	}
	return nil
}

// refresh fetches the policy of one domain if it is old.
func (c *Cache) refresh(ctx context.Context, name string) error {
	d := c.of(name)
	d.mu.Lock()
	defer d.mu.Unlock()
	now := c.cfg.Now()
	// Another node may have fetched it meanwhile.
	k, err := load(ctx, c.cfg.Facts, name, now)
	if err != nil {
		return err
	}
	d.kept, d.loaded = k, true
	if k == nil || now.Sub(k.Fetched) < freshFor {
		return nil
	}
	record, err := c.record(ctx, name)
	if err != nil {
		return ctx.Err() // no record to fetch by: it holds until it ends
	}
	_, err = c.renew(ctx, d, name, record.ID)
	return err
}
