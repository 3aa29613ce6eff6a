package authority

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"

	"posta/internal/resolver"
)

const (
	maxServers = 13 // of a zone, as the root has
	maxAddrs   = 4  // of one server
)

// Zone is a zone as it is delegated and as it stands.
type Zone struct {
	Name   string // the apex, "example.org"
	Parent string // the apex above it, "org"
	// Delegated are the servers that the parent's servers name, and Glue the addresses that they add. Nil with DelegationErr
	// when no server of the parent answered.
	Delegated     []string
	Glue          map[string][]netip.Addr
	DelegationErr error
	Listed        []string // the NS records that the resolver found in the zone itself
	Servers       []Server // of both lists, sorted by name and address
}

// Server is one name of a server with its addresses.
type Server struct {
	Host      string
	Addrs     []netip.Addr // none: it cannot be asked; see Err
	Delegated bool         // the parent names it
	Listed    bool         // the zone names it
	Err       error        // why its addresses are not known; nil with no address: it has none
}

// ErrNoZone is given for a name above which no zone was found: the name, and all
// above it, have no NS records.
var ErrNoZone = errors.New("no zone above the name")

// Zone finds the zone that a name is in, with its servers. It blocks for several
// look-ups; an error is of the resolver, or ErrNoZone.
func (c *Client) Zone(ctx context.Context, name string) (Zone, error) {
	name, err := resolver.Normalize(name)
	if err != nil {
		return Zone{}, err
	}
	var z Zone
	if z.Name, z.Listed, err = c.apex(ctx, name); err != nil {
		return Zone{}, err
	}
	if z.Name != "." {
		var servers []string
		if z.Parent, servers, err = c.apex(ctx, above(z.Name)); err == nil {
			z.Delegated, z.Glue, err = c.delegation(ctx, z.Name, servers)
		}
		z.DelegationErr = err
	}
	z.Servers = c.addresses(ctx, &z)
	return z, nil
}

// apex walks up from a name to the first that has NS records of its own.
func (c *Client) apex(ctx context.Context, name string) (apex string, servers []string, err error) {
	for ; ; name = above(name) {
		r, err := c.dns.LookupNS(ctx, name)
		if err != nil {
			return "", nil, err
		}
		if r.State == resolver.Found && len(r.Chain) == 0 {
			servers = slices.Clone(r.Records)
			slices.Sort(servers)
			return name, servers[:min(len(servers), maxServers)], nil
		}
		if name == "." {
			return "", nil, ErrNoZone
		}
	}
}

// above is the name with its first label taken off.
func above(name string) string {
	if _, rest, ok := strings.Cut(name, "."); ok && rest != "" {
		return rest
	}
	return "."
}

// delegation asks the parent's servers, one after the other until one answers, whom
// it delegates the zone to. A parent that has the child zone as well answers with
// the zone's own records, which says nothing of a delegation but names the servers
// all the same.
func (c *Client) delegation(ctx context.Context, zone string, parents []string) (hosts []string, glue map[string][]netip.Addr, err error) {
	err = fmt.Errorf("no server of the parent zone is known")
	for _, host := range parents {
		addrs, lerr := c.lookup(ctx, host)
		if lerr != nil {
			err = lerr
			continue
		}
		for _, ip := range addrs[:min(len(addrs), 2)] {
			var a Answer
			if a, err = c.Ask(ctx, ip, Question{Name: zone, Type: resolver.TypeNS}); err != nil {
				err = fmt.Errorf("%s (%s): %w", host, ip, err)
				continue
			}
			hosts = nsOf(zone, a.Authority)
			if hosts == nil {
				hosts = nsOf(zone, a.Records)
			}
			if hosts != nil {
				return hosts, glueOf(a.Additional), nil
			}
			err = fmt.Errorf("%s (%s): no NS records for %s", host, ip, zone)
		}
		if ctx.Err() != nil {
			break
		}
	}
	return nil, nil, err
}

func nsOf(zone string, rs []resolver.Record) (hosts []string) {
	for _, r := range rs {
		if r.Type == resolver.TypeNS && r.Name == zone {
			hosts = append(hosts, plain(r.Data))
		}
	}
	slices.Sort(hosts)
	hosts = slices.Compact(hosts)
	return hosts[:min(len(hosts), maxServers)]
}

func glueOf(rs []resolver.Record) map[string][]netip.Addr {
	out := map[string][]netip.Addr{}
	for _, r := range rs {
		if r.Type != resolver.TypeA && r.Type != resolver.TypeAAAA {
			continue
		}
		if ip, err := netip.ParseAddr(r.Data); err == nil {
			out[r.Name] = append(out[r.Name], ip)
		}
	}
	return out
}

// addresses looks up all servers side by side. Where a name has no answer of its own
// the glue serves: that is how the world finds it.
func (c *Client) addresses(ctx context.Context, z *Zone) []Server {
	hosts := slices.Concat(z.Delegated, z.Listed)
	slices.Sort(hosts)
	hosts = slices.Compact(hosts)
	hosts = hosts[:min(len(hosts), maxServers)]
	out := make([]Server, len(hosts))
	var wg sync.WaitGroup
	for i, h := range hosts {
		wg.Go(func() {
			s := Server{Host: h, Delegated: slices.Contains(z.Delegated, h), Listed: slices.Contains(z.Listed, h)}
			s.Addrs, s.Err = c.lookup(ctx, h)
			if len(s.Addrs) == 0 {
				s.Addrs = z.Glue[h]
			}
			s.Addrs = s.Addrs[:min(len(s.Addrs), maxAddrs)]
			out[i] = s
		})
	}
	wg.Wait()
	return out
}

// lookup gives the addresses of both families, IPv4 first.
func (c *Client) lookup(ctx context.Context, host string) ([]netip.Addr, error) {
	v4, err4 := c.dns.LookupA(ctx, host)
	v6, err6 := c.dns.LookupAAAA(ctx, host)
	out := slices.Concat(v4.Records, v6.Records)
	if len(out) == 0 && (err4 != nil || err6 != nil) {
		return nil, errors.Join(err4, err6)
	}
	slices.SortFunc(out, netip.Addr.Compare)
	return out, nil
}

// View is what one address of one server answers.
type View struct {
	Host string
	Addr netip.Addr
	Answer
	Err error
}

// Views puts a question to every address of the zone's servers, all side by side.
// The order is that of Servers.
func (c *Client) Views(ctx context.Context, z *Zone, q Question) []View {
	var out []View
	for _, s := range z.Servers {
		for _, ip := range s.Addrs {
			out = append(out, View{Host: s.Host, Addr: ip})
		}
	}
	var wg sync.WaitGroup
	for i := range out {
		wg.Go(func() { out[i].Answer, out[i].Err = c.Ask(ctx, out[i].Addr, q) })
	}
	wg.Wait()
	return out
}
