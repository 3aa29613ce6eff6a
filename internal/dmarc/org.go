package dmarc

import (
	"context"

	"golang.org/x/net/publicsuffix"

	"posta/internal/addr"
)

// Organization is what is known of the Organizational Domain of a domain: by the
// DNS Tree Walk, which decides (RFC 9989 §4.10.2), and by the Public Suffix List
// that RFC 7489 used. The list is for comparison only: where the two differ, hosts
// of the old and of the new standard judge the domain's mail differently.
type Organization struct {
	Domain addr.Domain
	Walk   addr.Domain // "" if Err
	List   addr.Domain // "" for a public suffix and what the list knows no suffix of
	Asked  []Query     // at most eight
	Err    error       // a query failed
}

// Differ reports whether both are known and are not the same.
func (o *Organization) Differ() bool { return o.Walk != "" && o.List != "" && o.Walk != o.List }

// FindOrganization walks the tree from domain. It blocks for the look-ups.
func FindOrganization(ctx context.Context, lookup Lookup, domain addr.Domain) Organization {
	w := walker{lookup: lookup}
	p := w.walk(ctx, domain)
	return Organization{Domain: domain, Walk: p.org, List: ListedOrganization(domain), Asked: w.known, Err: p.err}
}

// ListedOrganization returns the Organizational Domain by the copy of the Public
// Suffix List that this program was built with, "" if there is none.
func ListedOrganization(domain addr.Domain) addr.Domain {
	d, err := publicsuffix.EffectiveTLDPlusOne(string(domain))
	if err != nil {
		return ""
	}
	return addr.Domain(d)
}
