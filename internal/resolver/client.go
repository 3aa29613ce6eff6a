package resolver

import (
	"cmp"
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/miekg/dns"
)

// Config says whom a [Client] asks and how patiently. The zero value asks the servers of /etc/resolv.conf.
type Config struct {
	// Servers are recursive DNS servers, asked in this order. Empty: those of /etc/resolv.conf, read once by New.
	Servers []netip.AddrPort
	// TrustAD says that the path to the servers is protected, so that their AD bit is believed. Servers on loopback
	// addresses are believed always.
	TrustAD bool
	// Timeout is how long one try may take. Zero: 2 seconds.
	Timeout time.Duration
	// Attempts is how often the list of servers is gone through before giving up. Zero: 2.
	Attempts int
	// MaxInFlight bounds the exchanges, and so the sockets, at one time; more questions wait. Zero: 256.
	MaxInFlight int
	// CacheEntries and CacheBytes bound the cache. Zero: 65,536 entries and 64 MiB. CacheEntries < 0: no cache.
	CacheEntries, CacheBytes int
	// Dial opens the connection to a server; network is "udp" or "tcp". Nil: a net.Dialer.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Clock is the time by which answers grow old. Nil: time.Now.
	Clock func() time.Time
}

// Client is a [Resolver] that asks recursive servers and caches what they say. Make it with [New], end it with Close.
type Client struct {
	cfg   Config
	cache *cache
	slots chan struct{} // one token per exchange on the wire
	bufs  sync.Pool     // *[udpSize]byte

	ctx    context.Context // ends when the client closes
	cancel context.CancelFunc
	mu     sync.Mutex // guards closed and the start of flights
	closed bool
	wg     sync.WaitGroup

	hits, misses, failures atomic.Uint64
}

var _ Resolver = (*Client)(nil)

// New makes a client. It fails only when Servers is empty and /etc/resolv.conf cannot be read.
func New(cfg Config) (*Client, error) {
	if len(cfg.Servers) == 0 {
		rc, err := ReadResolvConf("/etc/resolv.conf")
		if err != nil {
			return nil, err
		}
		cfg.Servers, cfg.TrustAD = rc.Servers, cfg.TrustAD || rc.TrustAD
	}
	cfg.Timeout = cmp.Or(max(cfg.Timeout, 0), 2*time.Second)
	cfg.Attempts = cmp.Or(max(cfg.Attempts, 0), 2)
	cfg.MaxInFlight = cmp.Or(max(cfg.MaxInFlight, 0), 256)
	cfg.CacheEntries = max(cmp.Or(cfg.CacheEntries, 65536), 0)
	cfg.CacheBytes = cmp.Or(max(cfg.CacheBytes, 0), 64<<20)
	if cfg.Dial == nil {
		cfg.Dial = new(net.Dialer).DialContext
	}
	if cfg.Clock == nil {
		cfg.Clock = time.Now
	}
	c := &Client{cfg: cfg, cache: newCache(cfg.CacheEntries, cfg.CacheBytes), slots: make(chan struct{}, cfg.MaxInFlight)}
	c.bufs.New = func() any { return new([udpSize]byte) }
	c.ctx, c.cancel = context.WithCancel(context.Background())
	return c, nil
}

// Close ends all questions in flight and waits for their goroutines. Later questions fail with kind Canceled, save those
// that the cache answers.
func (c *Client) Close() {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.cancel()
	c.wg.Wait()
}

// Stats are counts since the client was made.
type Stats struct {
	Hits, Misses, Failures uint64 // answered from the cache; asked of a server, or joined to such a question; asked without answer
}

// Stats gives the counts so far. It does not block.
func (c *Client) Stats() Stats {
	return Stats{Hits: c.hits.Load(), Misses: c.misses.Load(), Failures: c.failures.Load()}
}

// LookupA implements [Resolver].
func (c *Client) LookupA(ctx context.Context, name string) (Result[netip.Addr], error) {
	return lookup[netip.Addr](ctx, c, name, TypeA, false)
}

// LookupAAAA implements [Resolver].
func (c *Client) LookupAAAA(ctx context.Context, name string) (Result[netip.Addr], error) {
	return lookup[netip.Addr](ctx, c, name, TypeAAAA, false)
}

// LookupMX implements [Resolver].
func (c *Client) LookupMX(ctx context.Context, name string) (Result[MX], error) {
	return lookup[MX](ctx, c, name, TypeMX, false)
}

// LookupTXT implements [Resolver].
func (c *Client) LookupTXT(ctx context.Context, name string) (Result[string], error) {
	return lookup[string](ctx, c, name, TypeTXT, false)
}

// LookupPTR implements [Resolver].
func (c *Client) LookupPTR(ctx context.Context, ip netip.Addr) (Result[string], error) {
	if !ip.IsValid() {
		return Result[string]{}, &Error{Kind: InvalidName, Name: ip.String(), Type: TypePTR, Err: errNotIP}
	}
	return lookup[string](ctx, c, ReverseName(ip), TypePTR, false)
}

// LookupNS implements [Resolver].
func (c *Client) LookupNS(ctx context.Context, name string) (Result[string], error) {
	return lookup[string](ctx, c, name, TypeNS, false)
}

// LookupTLSA implements [Resolver].
func (c *Client) LookupTLSA(ctx context.Context, name string) (Result[TLSA], error) {
	return lookup[TLSA](ctx, c, name, TypeTLSA, false)
}

// Lookup implements [Resolver].
func (c *Client) Lookup(ctx context.Context, name string, t Type) (Result[Record], error) {
	if !isData(t) {
		return Result[Record]{}, &Error{Kind: InvalidName, Name: name, Type: t, Err: errNotData}
	}
	return lookup[Record](ctx, c, name, t, true)
}

// isData leaves out OPT, the meta types and the query types (RFC 6895 §3.1).
func isData(t Type) bool { return t != 0 && t != Type(dns.TypeOPT) && (t < 128 || t > 255) }

// lookup is every look-up: from the cache, or from the one flight that asks this question.
func lookup[T any](ctx context.Context, c *Client, name string, t Type, generic bool) (Result[T], error) {
	normal, err := Normalize(name)
	if err != nil {
		return Result[T]{}, &Error{Kind: InvalidName, Name: name, Type: t, Err: err}
	}
	a, ttl, err := c.answer(ctx, question{name: normal, typ: t, generic: generic})
	if err != nil {
		return Result[T]{}, err
	}
	records, _ := a.records.([]T)
	return Result[T]{Records: records, State: a.state, Authentic: a.authentic, TTL: ttl, Chain: a.chain}, nil
}

func (c *Client) answer(ctx context.Context, q question) (*answer, time.Duration, error) {
	s := c.cache.shard(q)
	s.mu.Lock()
	if a, left := s.get(q, c.cfg.Clock()); a != nil {
		s.mu.Unlock()
		c.hits.Add(1)
		return a.unpack(left)
	}
	f := s.flights[q]
	if f == nil {
		f = &flight{done: make(chan struct{})}
		s.flights[q] = f
		if !c.start(s, q, f) {
			delete(s.flights, q)
			s.mu.Unlock()
			return nil, 0, &Error{Kind: Canceled, Name: q.name, Type: q.typ, Err: net.ErrClosed}
		}
	}
	s.mu.Unlock()
	c.misses.Add(1)
	if p := probeOf(ctx); p != nil {
		p.missed.Store(true)
		return nil, 0, &Error{Kind: Canceled, Name: q.name, Type: q.typ, Err: errProbe}
	}
	select {
	case <-f.done:
		return f.ans.unpack(f.ans.ttl)
	case <-ctx.Done():
		return nil, 0, contextError(ctx, q.name, q.typ)
	}
}

func (a *answer) unpack(left time.Duration) (*answer, time.Duration, error) {
	if a.err != nil {
		return nil, 0, a.err
	}
	return a, left, nil
}

// start asks q in a goroutine of the client, not of the caller: the caller may go away, others wait for the same answer,
// and the cache wants it in any case. It reports false when the client is closed. s.mu is held; the order is s.mu, c.mu.
func (c *Client) start(s *shard, q question, f *flight) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return false
	}
	c.wg.Go(func() {
		f.ans = c.resolve(q)
		s.mu.Lock()
		delete(s.flights, q)
		if f.ans.err == nil || f.ans.err.Kind != Canceled {
			s.put(q, f.ans, c.cfg.Clock())
		}
		s.mu.Unlock()
		close(f.done)
	})
	return true
}

// resolve asks the servers until the question is answered, following aliases that a reply leaves open. It is bounded in
// time by Timeout × Attempts × servers, twice that when replies are truncated.
func (c *Client) resolve(q question) *answer {
	ctx, cancel := context.WithTimeout(c.ctx, 2*c.cfg.Timeout*time.Duration(c.cfg.Attempts*len(c.cfg.Servers)))
	defer cancel()
	r := reading{question: q, owner: q.name, authentic: true, ttl: 1<<31 - 1}
	for {
		a, more, err := c.ask(ctx, &r)
		switch {
		case err != nil:
			c.failures.Add(1)
			err.Name = q.name
			return &answer{err: err, ttl: failureTTL, cost: 512}
		case !more:
			return a
		}
	}
}

// ask goes through the servers until one gives a usable reply about r.owner.
func (c *Client) ask(ctx context.Context, r *reading) (a *answer, more bool, last *Error) {
	for range c.cfg.Attempts {
		for _, server := range c.cfg.Servers {
			m, err := c.exchange(ctx, server, r.owner, r.typ)
			if err == nil {
				// A reply that cannot be read must leave no trace for the next server's.
				try := *r
				var bad error
				if a, more, bad = try.read(m, c.cfg.TrustAD || server.Addr().Unmap().IsLoopback()); bad == nil {
					*r = try
					return a, more, nil
				}
				err = &Error{Kind: Malformed, Err: bad}
				if errors.Is(bad, errChain) {
					err.Kind = BadChain
				}
			}
			err.Type, err.Server, last = r.typ, server.String(), err
			if c.ctx.Err() != nil {
				last.Kind = Canceled
				return nil, false, last
			}
			if last.Kind == BadChain || last.Kind == InvalidName || ctx.Err() != nil {
				return nil, false, last
			}
		}
	}
	return nil, false, last
}
