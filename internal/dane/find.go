package dane

import (
	"context"
	"fmt"
	"slices"

	"posta/internal/resolver"
)

// Security is whether there are records for a host.
type Security uint8

const (
	// Insecure: the name, its addresses or its records are not vouched for. No DANE.
	Insecure Security = iota
	// Absent: the DNS vouches for it that there are no records. No DANE.
	Absent
	// Present: the records hold.
	Present
)

// maxRecords bounds the records that are looked at.
const maxRecords = 64

// Records are what is published for a host.
type Records struct {
	Security Security
	// Base is the TLSA base domain (RFC 7672 §2.2.3): the name to tell the host (SNI), and one
	// of those that its certificate may have.
	Base string
	// TLSA are the records of _25._tcp.Base; with Present there is at least one.
	TLSA []resolver.TLSA
	// Why tells what is not secure, in English.
	Why string
}

// Name is where the records of a host and port stand.
func Name(host string, port uint16) string { return fmt.Sprintf("_%d._tcp.%s", port, host) }

// Find looks the records of a host up (A-labels, lower case), of which the DNS vouches for
// how its name was found: the MX records, or the host being the domain's own. It blocks.
// After an error the host must not be used.
func Find(ctx context.Context, dns resolver.Resolver, host string, port uint16) (Records, error) {
	base, secure, err := bases(ctx, dns, host)
	if err != nil {
		return Records{}, err
	}
	if !secure {
		return Records{Base: host, Why: "the addresses of " + host + " are not signed, or the resolver does not vouch for them"}, nil
	}
	for _, b := range base {
		r, err := dns.LookupTLSA(ctx, Name(b, port))
		switch {
		case err != nil:
			return Records{}, fmt.Errorf("the TLSA records of %s: %w", b, err)
		case !r.Authentic && len(base) == 1:
			return Records{Base: b, Why: "the TLSA records of " + b + " are not signed"}, nil
		case r.Authentic && len(r.Records) > 0:
			return Records{Security: Present, Base: b, TLSA: r.Records[:min(len(r.Records), maxRecords)]}, nil
		}
	}
	return Records{Security: Absent, Base: host}, nil
}

// bases are the names whose records hold, the best first: where the host is an alias and
// all of it is signed, the name that it leads to, then its own (RFC 7672 §2.2.2).
func bases(ctx context.Context, dns resolver.Resolver, host string) (names []string, secure bool, err error) {
	v4, err4 := dns.LookupA(ctx, host)
	v6, err6 := dns.LookupAAAA(ctx, host)
	switch {
	case err4 != nil && err6 != nil:
		return nil, false, fmt.Errorf("the addresses of %s: %w", host, err4)
	case err4 != nil && !v6.Authentic || err6 != nil && !v4.Authentic:
		return nil, false, nil // an insecure zone may fail as it likes
	case err4 != nil:
		return nil, false, fmt.Errorf("the addresses of %s: %w", host, err4)
	case err6 != nil:
		return nil, false, fmt.Errorf("the addresses of %s: %w", host, err6)
	case !v4.Authentic || !v6.Authentic:
		return nil, false, nil
	}
	for _, chain := range [][]string{v4.Chain, v6.Chain} {
		if len(chain) > 0 && len(names) == 0 {
			names = append(names, chain[len(chain)-1])
		}
	}
	if !slices.Contains(names, host) {
		names = append(names, host)
	}
	return names, true, nil
}
