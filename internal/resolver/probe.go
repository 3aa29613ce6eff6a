package resolver

import (
	"context"
	"errors"
	"sync/atomic"
)

// Probe makes a [Client] answer from its cache alone. Look-ups under its context never wait: one that is not in the cache fails
// at once (kind [Canceled]), is asked all the same, so that its answer will be there, and is noted by Missed. Whoever evaluates
// something may try it under a Probe first, and again in a goroutine only if it missed. The zero Probe is ready; it must not be
// copied. Other resolvers take no notice of it.
type Probe struct{ missed atomic.Bool }

var errProbe = errors.New("not in the cache")

type probeKey struct{}

// Context is ctx with the probe in it.
func (p *Probe) Context(ctx context.Context) context.Context {
	return context.WithValue(ctx, probeKey{}, p)
}

// Missed tells whether a look-up under the probe was not in the cache, so that what was made of it must be thrown away.
func (p *Probe) Missed() bool { return p.missed.Load() }

// probeOf is the probe of a context, nil if it has none.
func probeOf(ctx context.Context) *Probe {
	p, _ := ctx.Value(probeKey{}).(*Probe)
	return p
}
