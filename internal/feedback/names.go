package feedback

import (
	"context"
	"net/netip"
	"strings"
	"time"

	"posta/internal/addr"
	"posta/internal/dmarc"
	"posta/internal/resolver"
	"posta/internal/store"
)

// keepName is how long the name of a source is believed.
const keepName = 30 * 24 * time.Hour

// LearnName looks up what an address is called, unless that is known, and keeps it. An
// error is the look-up's or the store's.
func LearnName(ctx context.Context, facts store.Facts, lookup func(context.Context, netip.Addr) (resolver.Result[string], error), ip netip.Addr, now time.Time) error {
	key := ip.String()
	known, err := facts.FactsOf(ctx, store.SourceName, key)
	if err != nil || len(known) == 1 && !known[0].Until.IsZero() {
		return err
	}
	res, err := lookup(ctx, ip)
	if err != nil && ctx.Err() != nil {
		return err
	}
	name := ""
	if err == nil && len(res.Records) > 0 {
		name = strings.ToLower(strings.TrimSuffix(res.Records[0], "."))
	}
	return facts.ChangeFacts(ctx, store.SourceName, []string{key}, func(f store.Fact) store.Fact {
		return store.Fact{Key: f.Key, Value: []byte(name[:min(len(name), 255)]), Until: now.Add(keepName)}
	})
}

// namesOf are the names that are known of some addresses.
func namesOf(ctx context.Context, facts store.Facts, ips []netip.Addr) (map[netip.Addr]string, error) {
	out := map[netip.Addr]string{}
	for len(ips) > 0 {
		n := min(len(ips), 100)
		keys := make([]string, n)
		for i, ip := range ips[:n] {
			keys[i] = ip.String()
		}
		found, err := facts.FactsOf(ctx, store.SourceName, keys...)
		if err != nil {
			return nil, err
		}
		for i, f := range found {
			if !f.Until.IsZero() {
				out[ips[i]] = string(f.Value)
			}
		}
		ips = ips[n:]
	}
	return out, nil
}

// groupOf is what a source is grouped under: the organisational domain of its name, or itself.
func groupOf(ip netip.Addr, name string) string {
	if d, err := addr.ParseDomain(name); err == nil && name != "" {
		if org := dmarc.ListedOrganization(d); org != "" {
			return string(org)
		}
		return name
	}
	if !ip.IsValid() {
		return "?"
	}
	if ip.Is4() {
		return ip.String() // whoever is next door is somebody else
	}
	p, _ := ip.Prefix(64)
	return p.String()
}
