package relay

import (
	"crypto/x509"
	"sync"
	"time"

	"posta/internal/route"
)

// poolKey says which connections are alike: same host at the same address, same
// protection, same authorities and login.
type poolKey struct {
	addr   place
	host   string
	lmtp   bool
	level  route.TLS
	source string
	rule   string // Rule.For
	roots  *x509.CertPool
	login  route.Login
}

func keyOf(t target, rule Rule) poolKey {
	k := poolKey{addr: t.addr, host: t.host.Name, lmtp: t.host.LMTP, level: rule.Level, source: rule.Source, rule: rule.For, roots: t.host.Roots}
	if t.host.Login != nil {
		k.login = *t.host.Login
	}
	return k
}

// pool keeps idle connections. The last one in is the first one out, so that
// those not needed grow old and go.
type pool struct {
	max  int
	keep time.Duration

	mu     sync.Mutex
	idle   map[poolKey][]*idleConn
	n      int
	closed bool
	ending sync.WaitGroup // goodbyes that run
}

type idleConn struct {
	c     *conn
	timer *time.Timer
}

func newPool(max int, keep time.Duration) *pool {
	return &pool{max: max, keep: keep, idle: map[poolKey][]*idleConn{}}
}

func (p *pool) len() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.n
}

// take gives an idle connection, nil if there is none.
func (p *pool) take(k poolKey) *conn {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := p.idle[k]
	if len(all) == 0 {
		return nil
	}
	last := all[len(all)-1]
	p.remove(k, len(all)-1)
	last.timer.Stop()
	return last.c
}

// evict gives an idle connection to an address, whatever its name or protection,
// so that another kind of connection finds a place there; nil if there is none.
func (p *pool) evict(a place) *conn {
	p.mu.Lock()
	defer p.mu.Unlock()
	for k, all := range p.idle {
		if k.addr == a {
			oldest := all[0]
			p.remove(k, 0)
			oldest.timer.Stop()
			return oldest.c
		}
	}
	return nil
}

// takeAll empties a key: when one of its connections turned out dead, the
// others are likely to be.
func (p *pool) takeAll(k poolKey) []*conn {
	p.mu.Lock()
	defer p.mu.Unlock()
	var out []*conn
	for _, i := range p.idle[k] {
		i.timer.Stop()
		out = append(out, i.c)
	}
	p.n -= len(out)
	delete(p.idle, k)
	return out
}

// remove takes one out; mu is held.
func (p *pool) remove(k poolKey, at int) {
	all := p.idle[k]
	copy(all[at:], all[at+1:])
	all[len(all)-1] = nil
	if all = all[:len(all)-1]; len(all) == 0 {
		delete(p.idle, k)
	} else {
		p.idle[k] = all
	}
	p.n--
}

// put keeps a connection that is ready for MAIL; false if there is no room.
func (p *pool) put(c *conn) bool {
	if !c.release() {
		return false // the attempt's context has ended and cut it
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || p.n >= p.max {
		return false
	}
	i := &idleConn{c: c}
	i.timer = time.AfterFunc(p.keep, func() { p.expire(i) })
	p.idle[c.key] = append(p.idle[c.key], i)
	p.n++
	return true
}

// expire says goodbye to a connection that nobody wanted.
func (p *pool) expire(i *idleConn) {
	p.mu.Lock()
	found := false
	for at, o := range p.idle[i.c.key] {
		if o == i {
			p.remove(i.c.key, at)
			p.ending.Add(1)
			found = true
			break
		}
	}
	p.mu.Unlock()
	if found {
		defer p.ending.Done()
		i.c.quit()
	}
}

// close ends all idle connections; no more are kept.
func (p *pool) close() {
	p.mu.Lock()
	p.closed = true
	var all []*idleConn
	for _, list := range p.idle {
		all = append(all, list...)
	}
	clear(p.idle)
	p.n = 0
	p.mu.Unlock()
	for _, i := range all {
		i.timer.Stop()
		p.ending.Go(i.c.quit)
	}
	p.ending.Wait()
}
