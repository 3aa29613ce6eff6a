package audit

import (
	"context"
	"slices"
	"strings"
	"sync"

	"posta/internal/resolver"
)

// Contact is an address where somebody may read of a domain's faults.
type Contact struct {
	Address string `json:"address"`
	Source  string `json:"source"` // "SOA", "RFC 2142" or "custom": names that are usual and that no standard asks for
	// Takes tells whether the address's domain has an exchanger that can be reached by name; Err why it could not be asked.
	Takes bool  `json:"takes"`
	Err   error `json:"-"`
}

// Contacts lists where to write about a domain, in the order of trying (S20, S63):
// the contact in the SOA record, the role mailboxes of RFC 2142, and what is customary.
// Nothing is asked of whois. It blocks for the look-ups.
func Contacts(ctx context.Context, dns resolver.Resolver, domain string) []Contact {
	var out []Contact
	if soa, _, err := SOAContact(ctx, dns, domain); err == nil {
		out = append(out, Contact{Address: soa, Source: "SOA"})
	}
	for _, role := range []string{"postmaster", "abuse", "hostmaster"} {
		out = append(out, Contact{Address: role + "@" + domain, Source: "RFC 2142"})
	}
	for _, role := range []string{"admin", "administrador", "informatico"} {
		out = append(out, Contact{Address: role + "@" + domain, Source: "custom"})
	}
	seen := map[string]bool{}
	out = slices.DeleteFunc(out, func(c Contact) bool { again := seen[c.Address]; seen[c.Address] = true; return again })
	domains := map[string]*exchange{}
	for _, c := range out {
		domains[domainOf(c.Address)] = new(exchange)
	}
	var wg sync.WaitGroup
	for name, x := range domains {
		wg.Go(func() { *x = receiving(ctx, dns, name) })
	}
	wg.Wait()
	for i := range out {
		x := domains[domainOf(out[i].Address)]
		out[i].Err = x.err
		out[i].Takes = slices.ContainsFunc(x.hosts, func(h host) bool { return len(h.addrs) > 0 })
	}
	return out
}

func domainOf(address string) string { return address[strings.LastIndexByte(address, '@')+1:] }

// receiving gives where mail to a domain goes: its exchangers, or its own address.
func receiving(ctx context.Context, dns resolver.Resolver, domain string) exchange {
	x := findExchange(ctx, dns, domain)
	if x.err == nil && len(x.hosts) == 0 && !x.null && x.state != resolver.NXDomain {
		h := findHost(ctx, dns, domain)
		x.hosts, x.err = []host{h}, h.err
	}
	return x
}
