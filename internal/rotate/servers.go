package rotate

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"sync"
	"time"

	"posta/internal/authority"
	"posta/internal/resolver"
)

// Authorities asks the servers of zones one by one; it is the Servers of the world.
// Both fields are required.
type Authorities struct {
	Client *authority.Client
	DNS    resolver.Resolver // finds where an alias leads
}

var (
	errNoAddress = errors.New("the server has no address")
	errLame      = errors.New("the server does not have the zone")
)

// Text implements Servers.
func (a Authorities) Text(ctx context.Context, names []string) (map[string][]Sight, error) {
	out := make(map[string][]Sight, len(names))
	var mu sync.Mutex
	var wg sync.WaitGroup
	for _, name := range names {
		wg.Go(func() {
			seen := a.text(ctx, name)
			mu.Lock()
			defer mu.Unlock()
			out[name] = seen
		})
	}
	wg.Wait()
	return out, ctx.Err()
}

// text asks about one name; nil where no server is known.
func (a Authorities) text(ctx context.Context, name string) []Sight {
	owner := name
	// Keys may be delegated by an alias to a zone that changes by itself.
	if res, err := a.DNS.LookupTXT(ctx, name); err == nil && len(res.Chain) > 0 {
		owner = res.Chain[len(res.Chain)-1]
	}
	z, err := a.Client.Zone(ctx, owner)
	if err != nil {
		return nil
	}
	views := a.Client.Views(ctx, &z, authority.Question{Name: owner, Type: resolver.TypeTXT})
	var out []Sight
	for _, s := range z.Servers {
		out = append(out, ofServer(s.Host, views)...)
	}
	return out
}

// ofServer gathers what the addresses of one server say. One of them that is silent
// counts for nothing as long as another answers: we may have no IPv6.
func ofServer(host string, views []authority.View) (out []Sight) {
	silent := errNoAddress
	for _, v := range views {
		switch {
		case v.Host != host:
		case v.Err != nil:
			silent = v.Err
		case !v.Authoritative:
			silent = errLame
		default:
			out = append(out, sight(host+" ("+v.Addr.String()+")", v.Answer))
		}
	}
	if len(out) == 0 {
		return []Sight{{Server: host, Err: silent}}
	}
	return out
}

func sight(server string, a authority.Answer) Sight {
	s := Sight{Server: server}
	for _, r := range a.Records {
		if r.Type == resolver.TypeTXT {
			s.Records, s.TTL = append(s.Records, authority.Text(r.Data)), max(s.TTL, r.TTL)
		}
	}
	for _, r := range a.Authority {
		if r.Type == resolver.TypeSOA && len(s.Records) == 0 {
			s.TTL = negative(r)
		}
	}
	return s
}

// negative is how long it may be remembered that there is nothing (RFC 2308 §5).
func negative(soa resolver.Record) time.Duration {
	f := strings.Fields(soa.Data)
	if len(f) == 0 {
		return 0
	}
	least, err := strconv.ParseUint(f[len(f)-1], 10, 32)
	if err != nil {
		return soa.TTL
	}
	return min(soa.TTL, time.Duration(least)*time.Second)
}
