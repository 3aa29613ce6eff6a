package audit

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"posta/internal/addr"
	"posta/internal/authority"
	"posta/internal/finding"
	"posta/internal/lineio"
	"posta/internal/resolver"
	"posta/internal/smtp"
)

// zoneRecords judges what stands in the zone beside mail's own records: the contact,
// aliases, wildcards, lives (CH-DNS-02, 06, 07).
func zoneRecords(ctx context.Context, a *audit) []finding.Finding {
	if a.setup() == absent {
		return nil
	}
	z := a.facts.zone()
	var contact, alias, wild, dangle, lives, doubled []finding.Finding
	var wg sync.WaitGroup
	wg.Go(func() { wild = a.wildcard(ctx) })
	wg.Go(func() { dangle = a.aliases(ctx) })
	wg.Go(func() { doubled = a.doubled(ctx) })
	if z.err == nil {
		wg.Go(func() { contact = a.contact(ctx, z.Name) })
		wg.Go(func() { alias = a.apexAlias(ctx, &z.Zone) })
		wg.Go(func() { lives = a.lives(ctx, &z.Zone) })
	}
	wg.Wait()
	var out []finding.Finding
	for _, f := range [][]finding.Finding{contact, alias, wild, dangle, lives, doubled} {
		out = append(out, f...)
	}
	return out
}

// contact judges the SOA's mailbox: well written, and its domain takes mail (S20).
func (a *audit) contact(ctx context.Context, zone string) []finding.Finding {
	to, written, err := SOAContact(ctx, a.cfg.Resolver, zone)
	switch {
	case errors.Is(err, ErrContact):
		return []finding.Finding{finding.Of(finding.SOAContact, finding.Fail, zone, "SOA", written, "error", err.Error())}
	case err != nil:
		return unverified(err, zone, finding.SOAContact)
	}
	domain := domainOf(to)
	x := receiving(ctx, a.cfg.Resolver, domain)
	if x.err != nil {
		return unverified(x.err, zone, finding.SOAContact)
	}
	takes := slices.ContainsFunc(x.hosts, func(h host) bool { return len(h.addrs) > 0 })
	facts := []string{"SOA", written, "address", to, "takes mail", fmt.Sprint(takes)}
	if takes {
		said, refused := a.accepts(ctx, &x, to)
		return []finding.Finding{judged(finding.SOAContact, refused, zone, append(facts, "RCPT", said)...)}
	}
	return []finding.Finding{finding.Of(finding.SOAContact, finding.Fail, zone, facts...)}
}

// accepts asks the first exchanger that answers whether it takes mail for an address,
// from the reverse-path of bounces, and goes no further. What is said is the reply, or
// why there is none.
func (a *audit) accepts(ctx context.Context, x *exchange, address string) (said string, refused bool) {
	said = "no exchanger can be reached"
	ctx, cancel := context.WithTimeout(ctx, shownTime)
	defer cancel()
	for _, h := range x.hosts {
		i := slices.IndexFunc(h.addrs, public)
		if i < 0 {
			continue
		}
		r, refused, err := a.recipient(ctx, h.addrs[i], address)
		if err == nil {
			a.probed("SMTP: RCPT TO:<" + address + "> at " + h.name)
			return r.String(), refused
		}
		said = h.name + ": " + err.Error()
	}
	return said, false
}

// recipient is the reply to RCPT of one address for a recipient. It is refused when the
// reply says that it is the mailbox (5.1 or 5.2, RFC 3463), or when postmaster@ is
// accepted in the same breath: else we may be the one who is refused.
func (a *audit) recipient(ctx context.Context, ip netip.Addr, address string) (r smtp.Reply, refused bool, err error) {
	raw, err := a.connect(ctx, netip.AddrPortFrom(ip, 25))
	if err != nil {
		return r, false, err
	}
	defer raw.Close()
	defer context.AfterFunc(ctx, func() { raw.Close() })()
	c := client{line: lineio.New(raw, nil)}
	if err := c.greet(cmp.Or(a.cfg.Hello, "[127.0.0.1]")); err != nil {
		return r, false, err
	}
	if r, err = c.command("MAIL FROM:<>"); err != nil {
		return r, false, err
	}
	if !r.OK() {
		return r, false, errors.New("MAIL is answered " + r.String())
	}
	if r, err = c.command("RCPT TO:<" + address + ">"); err != nil {
		return r, false, err
	}
	code := r.Enhanced.String()
	refused = r.Permanent() && (strings.HasPrefix(code, "5.1.") || strings.HasPrefix(code, "5.2."))
	if r.Permanent() && !refused {
		other, err := c.command("RCPT TO:<postmaster@" + domainOf(address) + ">")
		refused = err == nil && other.OK()
	}
	_, _ = c.command("RSET")
	_, _ = c.command("QUIT")
	return r, refused, nil
}

// ErrContact says that the SOA record names no mailbox that one could write to.
var ErrContact = errors.New("no mailbox")

// SOAContact gives the mailbox in the SOA record of the zone that a name is in, and
// the record's own writing of it. A record that names none is an ErrContact; other
// errors are of the resolver. It blocks for the look-ups.
func SOAContact(ctx context.Context, dns resolver.Resolver, name string) (address, written string, err error) {
	for ; name != ""; _, name, _ = strings.Cut(name, ".") {
		r, err := dns.Lookup(ctx, name, resolver.TypeSOA)
		if err != nil {
			return "", "", err
		}
		if len(r.Records) == 0 {
			continue
		}
		fields := strings.Fields(r.Records[0].Data)
		if len(fields) < 2 {
			return "", "", fmt.Errorf("%w: the SOA record cannot be read", ErrContact)
		}
		address, err = mailbox(fields[1])
		return address, fields[1], err
	}
	return "", "", fmt.Errorf("%w: there is no SOA record", ErrContact)
}

// mailbox decodes an RNAME: the first dot that is not escaped stands for the @
// (RFC 1035 §8).
func mailbox(rname string) (string, error) {
	var local strings.Builder
	for i := 0; i < len(rname); i++ {
		switch c := rname[i]; {
		case c == '\\' && i+3 < len(rname) && decimal(rname[i+1:i+4]) >= 0:
			local.WriteByte(byte(decimal(rname[i+1 : i+4])))
			i += 3
		case c == '\\' && i+1 < len(rname):
			i++
			local.WriteByte(rname[i])
		case c == '.':
			text := local.String()
			if strings.Contains(text, "@") {
				return "", fmt.Errorf("%w: an @ stands in %s; it is written as a dot", ErrContact, rname)
			}
			to, err := addr.ParseAddress(text + "@" + strings.TrimSuffix(rname[i+1:], "."))
			if err != nil {
				return "", fmt.Errorf("%w: %s: %w", ErrContact, rname, err)
			}
			return to.String(), nil
		default:
			local.WriteByte(c)
		}
	}
	return "", fmt.Errorf("%w: %s has no domain", ErrContact, rname)
}

// decimal reads three digits of an octet, -1 when it is none.
func decimal(s string) int {
	n := 0
	for i := range 3 {
		if s[i] < '0' || s[i] > '9' {
			return -1
		}
		n = n*10 + int(s[i]-'0')
	}
	if n > 255 {
		return -1
	}
	return n
}

// apexAlias judges whether the domain's name is an alias beside other records. An
// alias of a name below the apex is lawful as long as it stands alone.
func (a *audit) apexAlias(ctx context.Context, z *authority.Zone) []finding.Finding {
	r, err := a.cfg.Resolver.Lookup(ctx, a.Domain, resolver.TypeCNAME)
	if err != nil {
		return unverified(err, a.Domain, finding.DNSCNAME)
	}
	if r.State != resolver.Found {
		return []finding.Finding{finding.Of(finding.DNSCNAME, finding.Pass, a.Domain)}
	}
	return []finding.Finding{judged(finding.DNSCNAME, z.Name == a.Domain, a.Domain, "CNAME", r.Records[0].Data, "zone", z.Name)}
}

// nobody is a name that no zone has on purpose.
const nobody = "posta-audit-no-such-name."

// wildcard asks for a name that should not be there.
func (a *audit) wildcard(ctx context.Context) []finding.Finding {
	h := findHost(ctx, a.cfg.Resolver, nobody+a.Domain)
	mx, err := a.cfg.Resolver.LookupMX(ctx, nobody+a.Domain)
	if h.err != nil {
		err = h.err
	}
	facts := []string{"asked", nobody + a.Domain, "addresses", addresses(h.addrs), "MX", fmt.Sprint(len(mx.Records))}
	if len(h.addrs) > 0 || len(mx.Records) > 0 {
		return []finding.Finding{finding.Of(finding.DNSWildcard, finding.Fail, a.Domain, facts...)}
	}
	if err != nil {
		return unverified(err, a.Domain, finding.DNSWildcard)
	}
	return []finding.Finding{finding.Of(finding.DNSWildcard, finding.Pass, a.Domain, facts...)}
}

// commonAliases are names that mail uses and that are often aliases.
func commonAliases() []string {
	return []string{"mta-sts", "autoconfig", "autodiscover", "mail", "smtp", "imap", "pop", "webmail", "www", "_dmarc", "default._bimi"}
}

// aliases looks where the common ones lead.
func (a *audit) aliases(ctx context.Context) []finding.Finding {
	names := commonAliases()
	found := make([]finding.Finding, len(names))
	var wg sync.WaitGroup
	for i, label := range names {
		wg.Go(func() {
			name := label + "." + a.Domain
			r, err := a.cfg.Resolver.LookupA(ctx, name)
			switch {
			case err != nil:
				found[i] = unverified(err, name, finding.DNSDangling)[0]
			case len(r.Chain) > 0:
				found[i] = judged(finding.DNSDangling, r.State == resolver.NXDomain, name, "alias of", strings.Join(r.Chain, " → "), "which is", r.State.String())
			}
		})
	}
	wg.Wait()
	out := found[:0]
	for _, f := range found {
		if f.Check != "" {
			out = append(out, f)
		}
	}
	return out
}

// doubled asks for names that stand in the zone with the domain twice, as one gets by
// leaving the final dot out.
func (a *audit) doubled(ctx context.Context) []finding.Finding {
	labels := [...]string{"_dmarc.", "mail.", "smtp.", "mx.", "www.", ""}
	var facts [len(labels)][]string
	var errs [len(labels)]error
	var wg sync.WaitGroup
	for i, label := range labels {
		wg.Go(func() {
			name := label + a.Domain + "." + a.Domain
			r, err := a.cfg.Resolver.LookupTXT(ctx, name)
			if errs[i] = err; err == nil && r.State != resolver.NXDomain {
				facts[i] = []string{"exists", name}
			}
		})
	}
	wg.Wait()
	seen := slices.Concat(facts[:]...)
	if err := errors.Join(errs[:]...); err != nil && len(seen) == 0 {
		return unverified(err, a.Domain, finding.DNSDot)
	}
	if h := findHost(ctx, a.cfg.Resolver, nobody+a.Domain); h.state != resolver.NXDomain {
		return nil // everything exists, which dns.wildcard says
	}
	return []finding.Finding{judged(finding.DNSDot, len(seen) > 0, a.Domain, seen...)}
}

const (
	shortLife = time.Minute
	longLife  = 24 * time.Hour
)

// lives judges the TTL of MX and TXT as the servers send it.
func (a *audit) lives(ctx context.Context, z *authority.Zone) []finding.Finding {
	var out []finding.Finding
	for _, t := range []resolver.Type{resolver.TypeMX, resolver.TypeTXT} {
		subject := a.Domain + " " + t.String()
		for _, v := range a.cfg.Authority.Views(ctx, z, authority.Question{Name: a.Domain, Type: t}) {
			if v.Err != nil || len(v.Records) == 0 {
				continue
			}
			ttl := v.Records[0].TTL
			out = append(out, judged(finding.DNSTTL, ttl < shortLife || ttl > longLife, subject, "TTL", ttl.String()))
			break
		}
	}
	return out
}
