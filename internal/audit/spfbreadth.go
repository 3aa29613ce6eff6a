package audit

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"

	"posta/internal/dmarc"
	"posta/internal/finding"
	"posta/internal/resolver"
	"posta/internal/spf"
)

const (
	wide = 256  // addresses of the own part: a /24
	huge = 4096 // a /20

	maxSPFLength = 450 // octets of a record that leave room for the rest of the answer (RFC 7208 §3.4)
	maxTXTLength = 512 // octets of all TXT records of the name

	typeSPF = resolver.Type(99) // obsolete (RFC 7208 §3.1)
)

// breadth judges whom the record lets send, as a count of addresses (S28), and where
// it leads.
func (a *audit) breadth(_ context.Context) []finding.Finding {
	t := a.facts.tree()
	own, foreign := count4(t.own), count4(t.foreign)
	facts := []string{
		"IPv4 addresses of its own part", fmt.Sprint(own), "networks", widest(t.own),
		"IPv4 addresses of includes", fmt.Sprint(foreign), "refers to", strings.Join(t.includes, " "),
	}
	var out []finding.Finding
	if t.err != nil {
		out = append(out, unverified(t.err, a.Domain, finding.SPFDangling)...)
		if own <= wide {
			out = append(out, unverified(t.err, a.Domain, finding.SPFWide, finding.SPFHuge)...)
		}
	} else {
		out = append(out, judged(finding.SPFDangling, len(t.dead) > 0, a.Domain, pairs("refers to", t.dead)...))
	}
	if t.err == nil || own > wide {
		out = append(out, judged(finding.SPFHuge, own > huge, a.Domain, facts...))
		if own <= huge {
			out = append(out, judged(finding.SPFWide, own > wide, a.Domain, facts...))
		}
	}
	out = append(out, judged(finding.SPFPTR, len(t.ptr) > 0, a.Domain, pairs("term", t.ptr)...))
	out = append(out, a.webServer(&t)...)
	if p := a.facts.policy(); p.authorises() && t.err == nil && !t.open {
		out = append(out, judged(finding.SPFEmpty, len(t.own)+len(t.foreign) == 0, a.Domain, "TXT", p.texts[0], "addresses", fmt.Sprint(len(t.own)+len(t.foreign))))
	}
	return append(out, shared(&t, a.Domain))
}

// webServer judges the mechanism a of the whole domain, where its address is none of
// the exchangers'.
func (a *audit) webServer(t *spfTree) []finding.Finding {
	if len(t.web) == 0 {
		return []finding.Finding{finding.Of(finding.SPFWeb, finding.Pass, a.Domain)}
	}
	own, x := a.facts.own()[0], a.facts.mx()
	if own.err != nil || x.err != nil || len(x.hosts) == 0 {
		return nil
	}
	mail := false
	for _, h := range x.hosts {
		mail = mail || slices.ContainsFunc(h.addrs, func(ip netip.Addr) bool { return slices.Contains(own.addrs, ip) })
	}
	return []finding.Finding{judged(finding.SPFWeb, !mail && len(own.addrs) > 0, a.Domain, "term", strings.Join(t.web, " "), "address of "+a.Domain, addresses(own.addrs))}
}

// vendor is a service whose customers send from the same servers.
type vendor struct{ include, name string }

// vendors lists the services by the domain that their customers include; a name below
// it counts too.
func vendors() []vendor {
	return []vendor{
		{"_spf.google.com", "Google Workspace"}, {"spf.protection.outlook.com", "Microsoft 365"}, {"_mailcust.gandi.net", "Gandi"},
		{"amazonses.com", "Amazon SES"}, {"sendgrid.net", "SendGrid"}, {"mailgun.org", "Mailgun"}, {"servers.mcsv.net", "Mailchimp"},
		{"spf.mandrillapp.com", "Mandrill"}, {"spf.mailjet.com", "Mailjet"}, {"spf.sendinblue.com", "Brevo"}, {"spf.brevo.com", "Brevo"},
		{"zoho.com", "Zoho"}, {"zoho.eu", "Zoho"}, {"zohomail.com", "Zoho"}, {"transmail.net", "Zoho"}, {"_spf.salesforce.com", "Salesforce"},
		{"mail.zendesk.com", "Zendesk"}, {"spf.mtasv.net", "Postmark"}, {"_spf.hubspotemail.net", "HubSpot"}, {"sparkpostmail.com", "SparkPost"},
		{"mx.ovh.com", "OVH"}, {"_spf-eu.ionos.com", "IONOS"}, {"_spf.perfora.net", "IONOS"}, {"secureserver.net", "GoDaddy"},
		{"_spf.mail.hostinger.com", "Hostinger"}, {"websitewelcome.com", "HostGator"}, {"bluehost.com", "Bluehost"}, {"netblocks.dreamhost.com", "DreamHost"},
		{"spf.messagingengine.com", "Fastmail"}, {"_spf.protonmail.ch", "Proton"}, {"icloud.com", "iCloud"}, {"_spf.mx.cloudflare.net", "Cloudflare"},
		{"spf.privateemail.com", "Namecheap"}, {"_spf.one.com", "one.com"}, {"_spf.strato.com", "Strato"}, {"spf.migadu.com", "Migadu"},
		{"_spf.mailspamprotection.com", "SiteGround"}, {"_spf.yandex.net", "Yandex"}, {"_spf.mail.ru", "Mail.ru"}, {"spf.em.secureserver.net", "GoDaddy"},
	}
}

// shared names the vendors whose customers may send too (S36).
func shared(t *spfTree, domain string) finding.Finding {
	var facts []string
	for _, name := range t.includes {
		for _, v := range vendors() {
			if within(name, v.include) {
				facts = append(facts, "include:"+name, v.name)
				break
			}
		}
	}
	return judged(finding.SPFShared, len(facts) > 0, domain, facts...)
}

// wording judges how the record ends, and how long it is.
func (a *audit) wording(ctx context.Context) []finding.Finding {
	p, t := a.facts.policy(), a.facts.tree()
	text := p.texts[0]
	var out []finding.Finding
	redirected := p.record.Modifier(spf.Redirect) != nil
	switch {
	case t.all == spf.QPass: // spf.broad
	case t.all == 0 && redirected && t.err != nil:
		out = unverified(t.err, a.Domain, finding.SPFNeutral)
	default:
		out = append(out, judged(finding.SPFNeutral, t.all == spf.QNeutral || t.all == 0, a.Domain, "TXT", text))
	}
	total := len(text)
	for _, o := range p.others {
		total += len(o)
	}
	out = append(out, judged(finding.SPFLength, len(text) > maxSPFLength || total > maxTXTLength, a.Domain,
		"octets of the record", fmt.Sprint(len(text)), "of all TXT records", fmt.Sprint(total)))
	return append(out, a.legacy(ctx, &p))
}

// legacy looks for record type 99 and Sender ID.
func (a *audit) legacy(ctx context.Context, p *policyRecord) finding.Finding {
	var facts []string
	for _, o := range p.others {
		if strings.HasPrefix(strings.ToLower(o), "spf2.0/") {
			facts = append(facts, "TXT", o)
		}
	}
	r, err := a.cfg.Resolver.Lookup(ctx, a.Domain, typeSPF)
	if err != nil && len(facts) == 0 {
		return unverified(err, a.Domain, finding.SPFLegacy)[0]
	}
	for _, rec := range r.Records {
		facts = append(facts, "type SPF", rec.Data)
	}
	return judged(finding.SPFLegacy, len(facts) > 0, a.Domain, facts...)
}

// nearly finds what was meant as an SPF record.
var nearly = regexp.MustCompile(`(?i)^["'\s]*(v\s*=?\s*)?spf\s*[-=:]?\s*1?\b`)

// misspelt judges TXT records that are nearly SPF.
func (a *audit) misspelt(_ context.Context, p *policyRecord) []finding.Finding {
	var facts []string
	for _, o := range p.others {
		if nearly.MatchString(o) && !strings.HasPrefix(strings.ToLower(o), "spf2.0/") {
			facts = append(facts, "TXT", o)
		}
	}
	return []finding.Finding{judged(finding.SPFMisspelt, len(facts) > 0, a.Domain, facts...)}
}

// names judges the names of the domain that send nothing: the domain itself where it
// is parked, www where it is there. A DMARC policy that is enforced covers them.
func (a *audit) names(ctx context.Context) []finding.Finding {
	d, p := a.facts.dmarc(), a.facts.policy()
	var out []finding.Finding
	if s := a.setup(); s == parked {
		closed := len(p.texts) == 1 && p.bad == nil && len(p.record.Terms) > 0 && !p.authorises() && p.record.Terms[0].Qualifier == spf.QFail
		out = append(out, judged(finding.SPFNames, !closed && !d.enforced(a.Domain, a.Domain), a.Domain, "SPF", strings.Join(p.texts, "; ")))
	}
	name := "www." + a.Domain
	h := findHost(ctx, a.cfg.Resolver, name)
	if len(h.addrs) == 0 {
		return out
	}
	www := findPolicy(ctx, a.cfg.Resolver, name)
	if err := cmp.Or(www.err, d.org.Err); err != nil {
		return append(out, unverified(err, name, finding.SPFNames)...)
	}
	seen := "no record"
	if len(www.texts) > 0 {
		seen = strings.Join(www.texts, "; ")
	}
	return append(out, judged(finding.SPFNames, len(www.texts) == 0 && !d.enforced(a.Domain, name), name, "SPF", seen))
}

// enforced tells whether the record that holds for the domain has mail refused or
// junked that a name, the domain itself or one below it, did not authenticate.
func (f *dmarcFact) enforced(domain, name string) bool {
	if f.query == nil || f.query.Count != 1 || f.query.Record == nil || f.query.Record.Testing {
		return false
	}
	r := f.query.Record
	policy := r.P
	if (name != domain || !f.own) && r.SP != dmarc.Unset {
		policy = r.SP
	}
	return policy >= dmarc.Quarantine
}

// pairs makes facts of a list, each under the same word.
func pairs(what string, seen []string) []string {
	var out []string
	for _, s := range seen {
		out = append(out, what, s)
	}
	return out
}
