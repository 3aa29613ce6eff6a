package dnsapply

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/libdns/cloudflare"
	"github.com/libdns/desec"
	"github.com/libdns/gandi"
	"github.com/libdns/hetzner/v2"
	"github.com/libdns/libdns"
	"github.com/libdns/ovh"

	"posta/internal/zone"
)

// API is what is asked of a provider's interface.
type API interface {
	libdns.RecordGetter
	libdns.RecordAppender
	libdns.RecordDeleter
}

// Types lists the kinds of providers, besides rfc2136.
func Types() []string { return []string{"cloudflare", "desec", "gandi", "hetzner", "ovh"} }

// openLibDNS makes the interface of a provider.
func openLibDNS(c Config) (Source, error) {
	if !slices.Contains(Types(), c.Type) {
		return nil, fmt.Errorf("%q is no kind of DNS provider; there are rfc2136, %s", c.Type, strings.Join(Types(), ", "))
	}
	if c.Secret == "" {
		return nil, errors.New("its token is missing: name a file (token_file) or a variable of the environment (token_env)")
	}
	switch c.Type {
	case "cloudflare":
		return LibDNS{API: &cloudflare.Provider{APIToken: c.Secret}, Blunt: bluntAtCloudflare}, nil
	case "desec":
		return LibDNS{API: &desec.Provider{Token: c.Secret}}, nil
	case "gandi":
		return LibDNS{API: gandiAPI{&gandi.Provider{BearerToken: c.Secret}}, Quoted: true}, nil
	case "hetzner":
		return LibDNS{API: hetzner.New(c.Secret), Quoted: true}, nil
	}
	words := strings.Split(c.Secret, ":")
	if len(words) != 3 {
		return nil, errors.New("OVH wants three secrets: write them as application key:application secret:consumer key")
	}
	endpoint := c.Endpoint
	if endpoint == "" {
		endpoint = "ovh-eu"
	}
	return LibDNS{API: &ovh.Provider{Endpoint: endpoint, ApplicationKey: words[0], ApplicationSecret: words[1], ConsumerKey: words[2]}}, nil
}

// LibDNS writes through a provider's interface. Such an interface has no transactions:
// each step is one call or two, and what is broken off is done by the next apply.
type LibDNS struct {
	API API
	// Blunt are the types of which the interface removes all records of a name when it is
	// to remove one. Nothing is removed where another stands beside it.
	Blunt []string
	// Quoted says that the interface takes texts as a zone file has them, in quoted
	// pieces; otherwise whole and plain.
	Quoted bool
}

// bluntAtCloudflare: libdns/cloudflare v0.2.2 looks for these by name alone.
var bluntAtCloudflare = []string{"SRV", "HTTPS", "SVCB"}

// Read implements Source: interfaces give their whole zone.
func (l LibDNS) Read(ctx context.Context, z string, qs []zone.Question) (map[zone.Question][]string, error) {
	rs, err := l.API.GetRecords(ctx, z+".")
	if err != nil {
		return nil, err
	}
	out := map[zone.Question][]string{}
	for _, r := range rs {
		rr := r.RR()
		q := zone.Question{Name: absolute(rr.Name, z), Type: rr.Type}
		if !slices.Contains(qs, q) {
			continue
		}
		if v, err := value(rr); err == nil {
			out[q] = append(out[q], v)
		}
	}
	return out, nil
}

// value is the canonical value of an interface's record.
func value(rr libdns.RR) (string, error) {
	if halfQuoted(rr) {
		rr.Data = `"` + rr.Data + `"`
	}
	return zone.Canonical(rr.Type, rr.Data)
}

// halfQuoted tells whether a text in pieces has lost its outer quotes, as
// libdns/cloudflare v0.2.2 gives it. It finds such a text again only with them.
func halfQuoted(rr libdns.RR) bool {
	return rr.Type == "TXT" && !strings.HasPrefix(rr.Data, `"`) && strings.Contains(rr.Data, `" "`)
}

// Write implements Source. What gives way goes first: two SPF records at the same time
// would be an error for everybody (RFC 7208 §4.5). It is put back when the new one is not taken.
func (l LibDNS) Write(ctx context.Context, z string, steps []zone.Step) error {
	rs, err := l.API.GetRecords(ctx, z+".")
	if err != nil {
		return err
	}
	for _, s := range steps {
		if err := l.step(ctx, z, s, rs); err != nil {
			return err
		}
	}
	return nil
}

// step carries out one step; rs is the whole zone as it was read.
func (l LibDNS) step(ctx context.Context, z string, s zone.Step, rs []libdns.Record) error {
	old, err := l.remove(ctx, z, s, rs)
	if err != nil || s.Action == zone.Remove {
		return err
	}
	if err := l.append(ctx, z, s); err != nil {
		if len(old) > 0 {
			_, back := l.API.AppendRecords(context.WithoutCancel(ctx), z+".", old)
			err = errors.Join(err, back)
		}
		return fmt.Errorf("%s %s: not written: %w", s.Type, s.Name, err)
	}
	return nil
}

// remove takes away what gives way by a step, and gives it as it was.
func (l LibDNS) remove(ctx context.Context, z string, s zone.Step, rs []libdns.Record) ([]libdns.Record, error) {
	want, ok := leaving(s)
	if !ok {
		return nil, nil
	}
	old := find(rs, z, s.Question(), want)
	if len(old) == 0 {
		return nil, fmt.Errorf("%w: %s %s %q is not there", ErrChanged, s.Name, s.Type, want)
	}
	beside := slices.DeleteFunc(slices.Clone(rs), func(r libdns.Record) bool {
		rr := r.RR()
		return (zone.Question{Name: absolute(rr.Name, z), Type: rr.Type}) != s.Question()
	})
	if slices.Contains(l.Blunt, s.Type) && len(beside) > len(old) {
		return nil, fmt.Errorf("%s %s: another record stands beside ours, and this provider's interface would remove both; remove %q by hand", s.Type, s.Name, want)
	}
	if _, err := l.API.DeleteRecords(ctx, z+".", old); err != nil {
		return nil, fmt.Errorf("%s %s: not removed: %w", s.Type, s.Name, err)
	}
	return old, nil
}

func (l LibDNS) append(ctx context.Context, z string, s zone.Step) error {
	data := s.Data()
	if s.Type == "TXT" && !l.Quoted {
		data = s.Value // the interface splits it as it must
	}
	rr := libdns.RR{Name: zone.Relative(s.Name, z), Type: s.Type, TTL: zone.TTL * time.Second, Data: data}
	r, err := rr.Parse()
	if err != nil {
		return err
	}
	_, err = l.API.AppendRecords(ctx, z+".", []libdns.Record{r})
	return err
}

// find gives the records of a question with a value, as the interface finds them again.
func find(rs []libdns.Record, z string, q zone.Question, want string) []libdns.Record {
	var out []libdns.Record
	for _, r := range rs {
		rr := r.RR()
		if (zone.Question{Name: absolute(rr.Name, z), Type: rr.Type}) != q {
			continue
		}
		if v, err := value(rr); err != nil || !zone.Same(rr.Type, v, want) {
			continue
		}
		if halfQuoted(rr) {
			r = libdns.TXT{Name: rr.Name, TTL: rr.TTL, Text: `"` + rr.Data + `"`}
		}
		out = append(out, r)
	}
	return out
}

// absolute is a name of an interface in full, lower case.
func absolute(name, z string) string {
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	switch {
	case name == "" || name == "@":
		return z
	case zone.Within(name, z): // some give the whole name
		return name
	}
	return name + "." + z
}

// gandiAPI is libdns/gandi v1.1.0, which finds a record again as it is written where
// others stand beside it, and only without its outer quotes where it stands alone (TXT;
// of CAA it loses the last one).
type gandiAPI struct{ API }

func (g gandiAPI) DeleteRecords(ctx context.Context, z string, rs []libdns.Record) ([]libdns.Record, error) {
	for i, r := range rs {
		rr := r.RR()
		all, err := g.GetRecords(ctx, z)
		if err != nil {
			return nil, err
		}
		n := 0
		for _, o := range all {
			if o := o.RR(); o.Type == rr.Type && o.Name == rr.Name {
				n++
			}
		}
		if n == 1 {
			rr.Data = strings.Trim(rr.Data, `"`)
			rs[i] = rr
		}
	}
	return g.API.DeleteRecords(ctx, z, rs)
}
