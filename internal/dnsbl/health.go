package dnsbl

import (
	"context"
	"crypto/rand"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"posta/internal/resolver"
)

// known gives the remembered test of a list.
func (c *Checker) known(k healthKey) (health, bool) {
	now := c.clock()
	c.mu.Lock()
	defer c.mu.Unlock()
	h, ok := c.health[k]
	return h, ok && now.Before(h.until)
}

// test tests a list and remembers the outcome. Two callers may test at once; the resolver asks equal questions only once.
func (c *Checker) test(ctx context.Context, zone string, k kind) health {
	var h health
	l := Find(zone)
	switch k {
	case domains:
		h = c.pair(ctx, l, l.test()+"."+zone, "invalid."+zone) // RFC 5782 §5, for lists of names
	case ipv6:
		// A list of both families often keeps the IPv4 test entries only.
		var four, six health
		var wg sync.WaitGroup
		wg.Go(func() { four = c.pair(ctx, l, "2.0.0.127."+zone, "1.0.0.127."+zone) })
		six = c.pair(ctx, l, mapped('2')+"."+zone, mapped('1')+"."+zone)
		wg.Wait()
		if h = four; h.cause == Dead {
			h = six
		}
	default:
		h = c.pair(ctx, l, "2.0.0.127."+zone, "1.0.0.127."+zone)
	}
	if h.cause == ForeignAnswer && c.rewrites(ctx) {
		h.cause = Rewriting
	}
	if ctx.Err() != nil || canceled(h.err) {
		return h // a caller that went away, or looked into the cache only, has learned nothing of the list
	}
	h.until = c.clock().Add(healthTTL)
	if h.cause == DNSFailure {
		h.until = c.clock().Add(failureTTL)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.health) >= maxHealth {
		clear(c.health) // it is asked again soon enough; a server has a dozen lists
	}
	c.health[healthKey{zone, k}] = h
	return h
}

func canceled(err error) bool {
	e, ok := errors.AsType[*resolver.Error](err)
	return ok && e.Kind == resolver.Canceled
}

// mapped is ::FFFF:7F00:2 or …:1 in reversed nibbles, the test entries of IPv6 lists.
func mapped(last byte) string {
	return string(last) + ".0.0.0.0.0.f.7.f.f.f.f" + strings.Repeat(".0", 20)
}

// pair asks, side by side, for the test entry, which must be listed, and for the counter-test, which must not.
func (c *Checker) pair(ctx context.Context, l *List, listed, unlisted string) health {
	var counter resolver.Result[netip.Addr]
	var counterErr error
	var wg sync.WaitGroup
	wg.Go(func() { counter, counterErr = c.dns.LookupA(ctx, unlisted) })
	ans, err := c.dns.LookupA(ctx, listed)
	wg.Wait()
	switch {
	case err != nil:
		return health{cause: DNSFailure, err: err}
	case ans.State != resolver.Found:
		return health{cause: Dead}
	}
	if cause := judge(l, ans.Records); cause != NoCause {
		return health{cause: cause}
	}
	switch {
	case counterErr != nil:
		return health{cause: DNSFailure, err: counterErr}
	case counter.State != resolver.Found:
		return health{}
	}
	if cause := judge(l, counter.Records); cause != NoCause && cause != Refused {
		return health{cause: cause}
	}
	return health{cause: Wildcard}
}

// rewrites tells whether our resolver answers for a name that cannot exist (RFC 6761 §6.4).
func (c *Checker) rewrites(ctx context.Context) bool {
	ans, err := c.dns.LookupA(ctx, strings.ToLower(rand.Text())+".invalid")
	return err == nil && ans.State == resolver.Found
}

// Run tests the lists and tests them again before the tests grow old, so that no message waits for a test. It returns when
// the context ends.
func (c *Checker) Run(ctx context.Context, l Lists) {
	// Earlier than healthTTL by more than a slow test takes; a test that DNS prevented is repeated when it is needed.
	tick := time.NewTicker(healthTTL * 3 / 4)
	defer tick.Stop()
	for {
		c.Test(ctx, l)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// Test tests all lists side by side, whatever is remembered of them.
func (c *Checker) Test(ctx context.Context, l Lists) {
	ctx, cancel := context.WithTimeout(ctx, Bound)
	defer cancel()
	var wg sync.WaitGroup
	for _, k := range l.keys() {
		wg.Go(func() { c.test(ctx, k.zone, k.kind) })
	}
	wg.Wait()
}

// keys are the tests that lists need, each once.
func (l Lists) keys() []healthKey {
	var out []healthKey
	add := func(zones []string, kinds ...kind) {
		for _, zone := range zones {
			zone, err := resolver.Normalize(zone)
			if err != nil {
				continue
			}
			for _, k := range kinds {
				if key := (healthKey{zone, k}); !slices.Contains(out, key) {
					out = append(out, key)
				}
			}
		}
	}
	add(l.IP, ipv4, ipv6)
	add(l.HELO, domains)
	add(l.Sender, domains)
	add(l.Body, domains)
	return out
}

// Unsound gives a Result for each list whose last test says that nothing it answers can be believed: Name, Cause, Err and
// Suggestion are filled. It asks nobody: a list that was not tested yet is not among them.
func (c *Checker) Unsound(l Lists) []Result {
	var out []Result
	for _, k := range l.keys() {
		h, ok := c.known(k)
		if !ok || h.cause == NoCause || slices.ContainsFunc(out, func(r Result) bool { return r.Zone == k.zone }) {
			continue
		}
		r := Result{Zone: k.zone, Name: Public(k.zone), List: Find(k.zone), Cause: h.cause, Err: h.err}
		if h.cause == ForeignAnswer || h.cause == Dead || h.cause == WrongName {
			r.Suggestion = suggest(k.zone)
		}
		out = append(out, r)
	}
	return out
}
