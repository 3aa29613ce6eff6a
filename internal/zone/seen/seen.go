// Package seen looks at a domain's records as the world has them: on each server that
// has the zone, and in resolvers that remember what was (S151). What it returns is
// compared by package zone.
//
// Servers are asked side by side and each question of one at most twice; a server
// that does not answer is an error in its answers, never a missing record.
package seen

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"posta/internal/authority"
	"posta/internal/resolver"
	"posta/internal/zone"
)

// Bounds of one look.
const (
	maxServers  = 24 // addresses of servers that have a zone
	maxZones    = 16 // zones in which the names lie
	atOnce      = 4  // questions at one server at the same time
	askTimeout  = 2 * time.Second
	lookTimeout = 30 * time.Second
)

// Looker looks. Resolver and Authority are required.
type Looker struct {
	Resolver  resolver.Resolver // finds what names lead to
	Authority *authority.Client // asks the servers of zones
	Resolvers []netip.AddrPort  // are asked one by one, besides
}

// server is one address of a server.
type server struct {
	name      string // for people
	ip        netip.Addr
	questions []zone.Question
	owners    []string // of the records that answer each, behind aliases
}

// Look asks the questions and gives a view for each server, those that have the zones
// first. It blocks until all have answered or were given up, at most half a minute.
func (l *Looker) Look(ctx context.Context, qs []zone.Question) ([]zone.View, error) {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	servers := l.authorities(ctx, qs)
	views := make([]zone.View, len(servers)+len(l.Resolvers))
	var g errgroup.Group
	for i, s := range servers {
		g.Go(func() error {
			views[i] = s.look(func(q zone.Question, owner string) zone.Answer { return l.ask(ctx, s.ip, q, owner) })
			views[i].Authoritative = true
			return nil
		})
	}
	for i, at := range l.Resolvers {
		g.Go(func() (err error) {
			views[len(servers)+i], err = remembered(ctx, at, qs)
			return err
		})
	}
	err := g.Wait()
	zone.SortViews(views)
	return views, err
}

func (s *server) add(q zone.Question, owner string) {
	s.questions, s.owners = append(s.questions, q), append(s.owners, owner)
}

// look asks one server all its questions, a few at a time.
func (s *server) look(ask func(q zone.Question, owner string) zone.Answer) zone.View {
	v := zone.View{Server: s.name, Answers: map[zone.Question]zone.Answer{}}
	answers := make([]zone.Answer, len(s.questions))
	slots := make(chan struct{}, atOnce)
	var wg sync.WaitGroup
	for i, q := range s.questions {
		wg.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			answers[i] = ask(q, s.owners[i])
		})
	}
	wg.Wait()
	for i, q := range s.questions {
		v.Answers[q] = answers[i]
	}
	return v
}

// remembered asks a resolver, without a cache of our own.
func remembered(ctx context.Context, at netip.AddrPort, qs []zone.Question) (zone.View, error) {
	c, err := resolver.New(resolver.Config{Servers: []netip.AddrPort{at}, Timeout: askTimeout, CacheEntries: -1})
	if err != nil {
		return zone.View{}, err
	}
	defer c.Close()
	s := &server{name: at.Addr().String()}
	for _, q := range qs {
		s.add(q, q.Name)
	}
	return s.look(func(q zone.Question, _ string) zone.Answer {
		res, err := c.Lookup(ctx, q.Name, typeOf(q.Type))
		return zone.Answer{Values: values(res.Records), TTL: res.TTL, Err: err}
	}), nil
}

var errLame = errors.New("the server does not have the zone")

// ask asks a server of the zone itself.
func (l *Looker) ask(ctx context.Context, ip netip.Addr, q zone.Question, owner string) zone.Answer {
	t := typeOf(q.Type)
	r, err := l.Authority.Ask(ctx, ip, authority.Question{Name: owner, Type: t})
	if err == nil && !r.Authoritative {
		err = errLame
	}
	if err != nil {
		return zone.Answer{Err: err}
	}
	var out zone.Answer
	records := slices.DeleteFunc(r.Records, func(rec resolver.Record) bool { return rec.Type != t || rec.Name != owner })
	for i, rec := range records {
		if i == 0 || rec.TTL < out.TTL {
			out.TTL = rec.TTL
		}
	}
	if out.Values = values(records); len(records) == 0 {
		out.TTL = negative(r.Authority)
	}
	return out
}

// negative is how long it may be remembered that there is nothing (RFC 2308 §5).
func negative(section []resolver.Record) time.Duration {
	for _, rec := range section {
		words := strings.Fields(rec.Data)
		if rec.Type != resolver.TypeSOA || len(words) != 7 {
			continue
		}
		if n, err := strconv.ParseUint(words[6], 10, 32); err == nil {
			return min(rec.TTL, time.Duration(n)*time.Second)
		}
	}
	return 0
}

// values gives records their canonical form. Those that cannot be read are left out:
// they are not ours.
func values(records []resolver.Record) []string {
	var out []string
	for _, r := range records {
		if v, err := zone.Canonical(r.Type.String(), r.Data); err == nil {
			out = append(out, v)
		}
	}
	return out
}

// typeOf is the number of a type that we publish; another one has 0, which is answered
// with an error.
func typeOf(name string) resolver.Type {
	for _, t := range []resolver.Type{
		resolver.TypeA, resolver.TypeAAAA, resolver.TypeMX, resolver.TypeTXT, resolver.TypeCNAME, resolver.TypePTR,
		resolver.TypeSRV, resolver.TypeTLSA, resolver.TypeCAA, resolver.TypeNS,
	} {
		if t.String() == name {
			return t
		}
	}
	return 0
}

// place is where the answer of a question lies.
type place struct {
	owner string // of the records, behind aliases
	apex  string // of its zone; "" if that is not known
}

// places looks for them side by side.
func (l *Looker) places(ctx context.Context, qs []zone.Question) []place {
	out := make([]place, len(qs))
	var g errgroup.Group
	g.SetLimit(2 * atOnce)
	for i, q := range qs {
		g.Go(func() error {
			p := place{owner: q.Name}
			if res, err := l.Resolver.Lookup(ctx, q.Name, typeOf(q.Type)); err == nil && len(res.Chain) > 0 {
				p.owner = res.Chain[len(res.Chain)-1]
			}
			var err error
			if p.apex, err = l.apex(ctx, p.owner); err != nil {
				p.apex = "" // the resolvers are asked all the same
			}
			out[i] = p
			return nil
		})
	}
	_ = g.Wait() // none of them fails
	return out
}

// authorities finds the servers of the zones in which the answers lie, and what each is
// to be asked.
func (l *Looker) authorities(ctx context.Context, qs []zone.Question) []*server {
	zones := map[string][]*server{} // by apex
	var out []*server
	for i, p := range l.places(ctx, qs) {
		if p.apex == "" {
			continue
		}
		if _, known := zones[p.apex]; !known && len(zones) < maxZones {
			zones[p.apex] = l.servers(ctx, p.apex)
			out = append(out, zones[p.apex]...)
		}
		for _, s := range zones[p.apex] {
			s.add(qs[i], p.owner)
		}
	}
	return out
}

// apex is the nearest name above with NS records.
func (l *Looker) apex(ctx context.Context, name string) (string, error) {
	for {
		res, err := l.Resolver.LookupNS(ctx, name)
		if err != nil || res.State == resolver.Found && len(res.Chain) == 0 {
			return name, err
		}
		_, parent, more := strings.Cut(name, ".")
		if !more {
			return "", authority.ErrNoZone
		}
		name = parent
	}
}

// servers are the addresses of a zone's servers: those that its parent names and
// those that it names itself.
func (l *Looker) servers(ctx context.Context, apex string) []*server {
	z, err := l.Authority.Zone(ctx, apex)
	if err != nil {
		return nil
	}
	var out []*server
	for _, s := range z.Servers {
		for _, ip := range s.Addrs {
			if len(out) < maxServers {
				out = append(out, &server{name: fmt.Sprintf("%s (%s)", s.Host, ip), ip: ip})
			}
		}
	}
	return out
}
