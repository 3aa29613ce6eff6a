package dnsbl

import (
	"context"
	"crypto/rand"
	"strings"

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
	switch k {
	case domains:
		h = c.pair(ctx, zone, "test", "invalid") // RFC 5782 §5, for lists of names
	case ipv6:
		// A list of both families often keeps the IPv4 test entries only.
		if h = c.pair(ctx, zone, "2.0.0.127", "1.0.0.127"); h.cause == Dead {
			h = c.pair(ctx, zone, mapped('2'), mapped('1'))
		}
	default:
		h = c.pair(ctx, zone, "2.0.0.127", "1.0.0.127")
	}
	if h.cause == ForeignAnswer && c.rewrites(ctx) {
		h.cause = Rewriting
	}
	if ctx.Err() != nil {
		return h // a caller that went away has learned nothing of the list
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

// mapped is ::FFFF:7F00:2 or …:1 in reversed nibbles, the test entries of IPv6 lists.
func mapped(last byte) string {
	return string(last) + ".0.0.0.0.0.f.7.f.f.f.f" + strings.Repeat(".0", 20)
}

// pair asks for the test entry, which must be listed, and for the counter-test, which must not.
func (c *Checker) pair(ctx context.Context, zone, listed, unlisted string) health {
	ans, err := c.dns.LookupA(ctx, listed+"."+zone)
	switch {
	case err != nil:
		return health{cause: DNSFailure, err: err}
	case ans.State != resolver.Found:
		return health{cause: Dead}
	}
	if cause := judge(ans.Records); cause != NoCause {
		return health{cause: cause}
	}
	ans, err = c.dns.LookupA(ctx, unlisted+"."+zone)
	switch {
	case err != nil:
		return health{cause: DNSFailure, err: err}
	case ans.State != resolver.Found:
		return health{}
	}
	if cause := judge(ans.Records); cause != NoCause && cause != Refused {
		return health{cause: cause}
	}
	return health{cause: Wildcard}
}

// rewrites tells whether our resolver answers for a name that cannot exist (RFC 6761 §6.4).
func (c *Checker) rewrites(ctx context.Context) bool {
	ans, err := c.dns.LookupA(ctx, strings.ToLower(rand.Text())+".invalid")
	return err == nil && ans.State == resolver.Found
}
