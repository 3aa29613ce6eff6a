// Package dnsapply writes the records of our domains where their zones are kept: by
// dynamic update (RFC 2136) signed with TSIG (RFC 8945), or by the interface of a DNS
// provider.
//
// It carries out the steps of a zone.Plan and nothing else: a record that we did not write is
// never changed. Before it writes it looks once more whether what gives way still is
// what was planned with; afterwards it looks whether all of it is there.
package dnsapply

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"posta/internal/zone"
)

// ErrChanged says that the zone is not what the plan was made of: plan again.
var ErrChanged = errors.New("dnsapply: the zone was changed meanwhile")

// applyTimeout bounds the writing of one zone: providers limit how often they are
// asked.
const applyTimeout = 3 * time.Minute

// Source is where a zone is kept. Zones are named without the final dot.
type Source interface {
	// Read gives the canonical values of the questions, none where there is nothing.
	// All lie in the zone.
	Read(ctx context.Context, zone string, qs []zone.Question) (map[zone.Question][]string, error)
	// Write carries out steps that change something. ErrChanged when a value that
	// gives way is not there any more; then nothing is written of its step.
	Write(ctx context.Context, zone string, steps []zone.Step) error
}

// Provider is a source and the zones that it keeps.
type Provider struct {
	Name   string // for people: "rfc2136 192.0.2.53:53"
	Zones  []string
	Source Source
}

// Config says how a Provider is reached. Secret is never logged.
type Config struct {
	Type      string   // "rfc2136" or one of Types
	Zones     []string // that it keeps
	Server    string   // rfc2136: "192.0.2.53:53"
	KeyName   string   // rfc2136: TSIG key
	Algorithm string   // rfc2136: "hmac-sha256" ("" too), "hmac-sha384" or "hmac-sha512"
	Endpoint  string   // ovh: "ovh-eu" ("" too), "ovh-ca"…
	Secret    string   // TSIG key in base64, or the provider's token
}

// Open makes a provider of its configuration. It connects to nothing.
func Open(c Config) (*Provider, error) {
	p := &Provider{Name: c.Type}
	for _, z := range c.Zones {
		p.Zones = append(p.Zones, zoneName(z))
	}
	if c.Type != "rfc2136" {
		s, err := openLibDNS(c)
		p.Source = s
		return p, err
	}
	at, err := netip.ParseAddrPort(c.Server)
	if err != nil {
		return nil, fmt.Errorf("server %q: write it as \"192.0.2.53:53\"", c.Server)
	}
	p.Name += " " + c.Server
	p.Source, err = NewUpdate(at, c.KeyName, c.Algorithm, c.Secret)
	return p, err
}

// Broken is a provider that cannot be used, for a reason that is told to whoever tries.
func Broken(name string, zones []string, why error) *Provider {
	p := &Provider{Name: name, Source: broken{why}}
	for _, z := range zones {
		p.Zones = append(p.Zones, zoneName(z))
	}
	return p
}

type broken struct{ why error }

func (b broken) Read(context.Context, string, []zone.Question) (map[zone.Question][]string, error) {
	return nil, b.why
}
func (b broken) Write(context.Context, string, []zone.Step) error { return b.why }

// zoneName is a zone in our form: lower case, without the final dot.
func zoneName(s string) string { return strings.ToLower(strings.TrimSuffix(s, ".")) }

// Providers are those that are configured.
type Providers []*Provider

// Of is the provider of a name and the zone that the name lies in there: the longest
// one. nil where nobody keeps it.
func (ps Providers) Of(name string) (*Provider, string) {
	var best *Provider
	at := ""
	for _, p := range ps {
		for _, z := range p.Zones {
			if zone.Within(name, z) && len(z) > len(at) {
				best, at = p, z
			}
		}
	}
	return best, at
}

// place is a zone at its provider.
type place struct {
	p    *Provider
	zone string
}

// Covers tells whether some provider keeps the name.
func (ps Providers) Covers(name string) bool {
	p, _ := ps.Of(name)
	return p != nil
}

// Read gives the canonical values at the sources. All names must be covered. It blocks for
// as long as the sources take, at most three minutes.
func (ps Providers) Read(ctx context.Context, qs []zone.Question) (map[zone.Question][]string, error) {
	ctx, cancel := context.WithTimeout(ctx, applyTimeout)
	defer cancel()
	groups := map[place][]zone.Question{}
	for _, q := range qs {
		p, z := ps.Of(q.Name)
		if p == nil {
			return nil, fmt.Errorf("dnsapply: no provider keeps %s", q.Name)
		}
		groups[place{p, z}] = append(groups[place{p, z}], q)
	}
	out := map[zone.Question][]string{}
	for at, group := range groups {
		values, err := at.p.Source.Read(ctx, at.zone, group)
		if err != nil {
			return nil, fmt.Errorf("%s: %s: %w", at.p.Name, at.zone, err)
		}
		for q, v := range values {
			out[q] = v
		}
	}
	return out, nil
}

// Write carries out the steps that change something, zone by zone, and looks whether all
// of it came true. It blocks as Read does.
func (ps Providers) Write(ctx context.Context, steps []zone.Step) error {
	ctx, cancel := context.WithTimeout(ctx, applyTimeout)
	defer cancel()
	groups := map[place][]zone.Step{}
	var order []place
	for _, s := range steps {
		if !s.Changes() {
			continue
		}
		p, z := ps.Of(s.Name)
		if p == nil {
			return fmt.Errorf("dnsapply: no provider keeps %s", s.Name)
		}
		at := place{p, z}
		if groups[at] == nil {
			order = append(order, at)
		}
		groups[at] = append(groups[at], s)
	}
	for _, at := range order {
		if err := at.write(ctx, groups[at]); err != nil {
			return fmt.Errorf("%s: %s: %w", at.p.Name, at.zone, err)
		}
	}
	return nil
}

// write writes to one zone. The values of others that stood beside ours are counted
// before and after: an interface that took them for ours is told of at once.
func (at place) write(ctx context.Context, steps []zone.Step) error {
	qs := questions(steps)
	before, err := at.p.Source.Read(ctx, at.zone, qs)
	if err != nil {
		return err
	}
	if err := at.p.Source.Write(ctx, at.zone, steps); err != nil {
		return err
	}
	after, err := at.p.Source.Read(ctx, at.zone, qs)
	if err != nil {
		return fmt.Errorf("written, but not read back: %w", err)
	}
	want := expected(before, steps)
	for _, q := range qs {
		for _, v := range want[q] {
			if !contains(q.Type, after[q], v) {
				return fmt.Errorf("after the writing %s %s %q is not there; look at the zone", q.Name, q.Type, v)
			}
		}
		for _, v := range after[q] {
			if !contains(q.Type, want[q], v) {
				return fmt.Errorf("after the writing %s %s still has %q; look at the zone", q.Name, q.Type, v)
			}
		}
	}
	return nil
}

// expected is what must stand in the zone after the steps.
func expected(before map[zone.Question][]string, steps []zone.Step) map[zone.Question][]string {
	out := map[zone.Question][]string{}
	for q, vs := range before {
		for _, v := range vs {
			if !gives(steps, q, v) {
				out[q] = append(out[q], v)
			}
		}
	}
	for _, s := range steps {
		if s.Action != zone.Remove && !contains(s.Type, out[s.Question()], s.Value) {
			out[s.Question()] = append(out[s.Question()], s.Value)
		}
	}
	return out
}

// gives tells whether a value gives way by a step.
func gives(steps []zone.Step, q zone.Question, value string) bool {
	for _, s := range steps {
		if old, ok := leaving(s); ok && s.Question() == q && zone.Same(q.Type, old, value) {
			return true
		}
	}
	return false
}

// leaving is the value that gives way by a step, if one does.
func leaving(s zone.Step) (string, bool) {
	switch s.Action {
	case zone.Remove:
		return s.Value, true
	case zone.Replace, zone.Merge:
		return s.Old, true
	}
	return "", false
}

func questions(steps []zone.Step) []zone.Question {
	var rs []zone.Record
	for _, s := range steps {
		rs = append(rs, s.Record)
	}
	seen := map[zone.Question]bool{}
	var out []zone.Question
	for _, r := range rs {
		if q := r.Question(); !seen[q] {
			seen[q] = true
			out = append(out, q)
		}
	}
	return out
}

func contains(typ string, values []string, value string) bool {
	for _, v := range values {
		if zone.Same(typ, v, value) {
			return true
		}
	}
	return false
}
