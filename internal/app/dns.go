package app

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"

	"posta/internal/authority"
	"posta/internal/autoconf"
	"posta/internal/certs"
	"posta/internal/command"
	"posta/internal/config"
	"posta/internal/directory"
	"posta/internal/dnsapply"
	"posta/internal/resolver"
	"posta/internal/store"
	"posta/internal/web"
	"posta/internal/zone"
	"posta/internal/zone/seen"
)

// records is what the commands on DNS know of this server (command.DNS).
type records struct {
	cfg       *config.Config
	resolver  resolver.Resolver
	providers dnsapply.Providers
	leaf      func() (*x509.Certificate, error) // the certificate that we show
	doors     func() []autoconf.Door            // what mail programs are told of; nil: what posta.toml opens
}

// newRecords joins the configuration with a resolver and the certificate.
func newRecords(cfg *config.Config, r resolver.Resolver, leaf func() (*x509.Certificate, error)) (*records, error) {
	out := &records{cfg: cfg, resolver: r, leaf: leaf}
	for i := range cfg.DNS.Providers {
		c := &cfg.DNS.Providers[i]
		secret, err := c.Token()
		if err != nil {
			// Mail flows all the same: it is said when something is to be written.
			out.providers = append(out.providers, dnsapply.Broken(c.Type, c.Zones, fmt.Errorf("dns.provider[%d]: %w", i+1, err)))
			continue
		}
		p, err := dnsapply.Open(dnsapply.Config{
			Type: c.Type, Zones: c.Zones, Server: c.Server, KeyName: c.Key, Algorithm: c.Algorithm, Endpoint: c.Endpoint, Secret: secret,
		})
		if err != nil {
			return nil, fmt.Errorf("dns.provider[%d]: %w", i+1, err)
		}
		out.providers = append(out.providers, p)
	}
	return out, nil
}

// Facts implements command.DNS.
func (r *records) Facts(ctx context.Context, v *store.DirectoryView, d *store.Domain) (zone.Facts, error) {
	l := r.cfg.Listen
	f := zone.Facts{
		Domain: d.Name, Host: strings.ToLower(r.cfg.Hostname), IPs: PublicIPs(r.cfg),
		Services: zone.Services(config.Port(l.Submission), config.Port(l.Submissions), config.Port(l.IMAP), config.Port(l.IMAPS), config.Port(l.POP3), config.Port(l.POP3S)),
		Reports:  directory.DMARCReports + "@" + d.Name, TLSReports: directory.TLSReports + "@" + d.Name,
		Delegate: r.cfg.DNS.Delegate,
	}
	// Doors that we have not: programs need not look for them.
	f.Services = append(f.Services, zone.Service{Name: "_sieve"}, zone.Service{Name: "_jmap"})
	f.Hosted = !zone.Within(f.Host, f.Domain)
	var err error
	if f.Keys, err = command.PublishedKeys(v, d); err != nil {
		return f, err
	}
	if t := r.cfg.TLS.ACME; t.Enabled {
		if issuer := issuerOf(t.Directory); issuer != "" {
			f.Issuers = []string{issuer}
		}
	}
	if len(r.cfg.Network.Public) == 0 {
		// An interface that is down just now is no reason to take its address away.
		f.Uncertain = append(f.Uncertain, "A", "AAAA")
	}
	if err := r.web(&f, v); err != nil {
		return f, err
	}
	signed, err := r.signed(ctx, f.Host)
	if err != nil {
		f.Uncertain = append(f.Uncertain, "TLSA")
	}
	if !f.Hosted && signed {
		leaf, err := r.leaf()
		if err != nil {
			return f, fmt.Errorf("the certificate for TLSA: %w", err)
		}
		f.Certificates = [][32]byte{sha256.Sum256(leaf.RawSubjectPublicKeyInfo)}
	}
	return f, nil
}

// web adds what we serve over HTTPS for a domain: its MTA-STS policy and the settings of
// mail programs. A name is published only if clients can believe its certificate: that of
// ACME, which is had once the name leads to us, or one that has the name.
func (r *records) web(f *zone.Facts, v *store.DirectoryView) error {
	if r.cfg.Listen.HTTPS == "" {
		return nil
	}
	serves, err := r.serves()
	if err != nil {
		return err
	}
	if serves("mta-sts." + f.Domain) {
		p, err := command.STSOf(v.Settings[command.STSSetting(f.Domain)])
		if err != nil {
			return fmt.Errorf("the MTA-STS policy of %s: %w", f.Domain, err)
		}
		f.STS = p.ID(r.cfg.Hostname)
	}
	a := autoconf.Account{Domain: f.Domain, Host: r.cfg.Hostname, Doors: r.programDoors()}
	if len(a.Doors) == 0 {
		return nil
	}
	f.Autoconfig = serves("autoconfig."+f.Domain) && serves("autodiscover."+f.Domain)
	if serves("ua-auto-config." + f.Domain) {
		f.PACC = autoconf.PACCRecord(autoconf.PACC(a))
	}
	return nil
}

// serves tells of a name below a domain of ours whether we can show a certificate for it.
func (r *records) serves() (func(name string) bool, error) {
	if r.cfg.TLS.ACME.Enabled {
		return func(string) bool { return true }, nil
	}
	leaf, err := r.leaf()
	if err != nil {
		return nil, fmt.Errorf("the certificate for the names of HTTPS: %w", err)
	}
	return func(name string) bool { return leaf.VerifyHostname(name) == nil }, nil
}

// programDoors are the doors that mail programs are told of, as the web door tells them.
func (r *records) programDoors() []autoconf.Door {
	if r.doors != nil {
		return r.doors()
	}
	var out []autoconf.Door
	for _, l := range r.cfg.Listen.All() {
		if d, ok := web.Door(l.Name, fmt.Sprintf(":%d", config.Port(l.Address))); ok {
			out = append(out, d)
		}
	}
	slices.SortFunc(out, web.Preferred)
	return out
}

// issuerOf is what the authority that we ask is called in CAA (RFC 8659 §4.2), by the
// host of its directory; "" is the default one.
func issuerOf(directory string) string {
	for host, name := range map[string]string{"letsencrypt.org": "letsencrypt.org", "zerossl.com": "sectigo.com", "pki.goog": "pki.goog", "buypass.com": "buypass.com"} {
		if strings.Contains(directory, host) || directory == "" && host == "letsencrypt.org" {
			return name
		}
	}
	return ""
}

// signed tells whether the zone of a name is signed, by the DS record that its parent
// has: a TLSA record in an unsigned zone does nothing (RFC 7672 §2.1.1).
func (r *records) signed(ctx context.Context, name string) (bool, error) {
	for n := name; strings.Contains(n, "."); _, n, _ = strings.Cut(n, ".") {
		ns, err := r.resolver.LookupNS(ctx, n)
		if err != nil {
			return false, err
		}
		if ns.State == resolver.Found && len(ns.Chain) == 0 {
			ds, err := r.resolver.Lookup(ctx, n, resolver.TypeDS)
			return err == nil && ds.State == resolver.Found, err
		}
	}
	return false, nil // the name is below a top-level domain, and not delegated
}

// Look implements command.DNS.
func (r *records) Look(ctx context.Context, qs []zone.Question, resolvers []string) ([]zone.View, error) {
	return LookDNS(ctx, r.resolver, qs, resolvers)
}

// LookDNS asks the servers of the zones, and resolvers ("192.0.2.1:53").
func LookDNS(ctx context.Context, find resolver.Resolver, qs []zone.Question, resolvers []string) ([]zone.View, error) {
	l := seen.Looker{Resolver: find, Authority: authority.New(find, authority.Config{})}
	for _, s := range resolvers {
		at, err := netip.ParseAddrPort(s)
		if err != nil {
			return nil, fmt.Errorf("resolver %q: write it as \"192.0.2.1:53\"", s)
		}
		l.Resolvers = append(l.Resolvers, at)
	}
	return l.Look(ctx, qs)
}

// Covers implements command.DNS.
func (r *records) Covers(name string) bool { return r.providers.Covers(name) }

// Read implements command.DNS.
func (r *records) Read(ctx context.Context, qs []zone.Question) (map[zone.Question][]string, error) {
	return r.providers.Read(ctx, qs)
}

// Write implements command.DNS.
func (r *records) Write(ctx context.Context, steps []zone.Step) error {
	return r.providers.Write(ctx, steps)
}

// PublicIPs are our addresses as others see them: those of the configuration, or
// those of this machine that the world can reach.
func PublicIPs(cfg *config.Config) []netip.Addr {
	var out []netip.Addr
	for _, s := range cfg.Network.Public {
		if ip, err := netip.ParseAddr(s); err == nil {
			out = append(out, ip.Unmap())
		}
	}
	if len(out) > 0 {
		return out
	}
	all, err := net.InterfaceAddrs()
	if err != nil {
		return nil // unknown is shown as such
	}
	for _, a := range all {
		n, ok := a.(*net.IPNet)
		if !ok {
			continue
		}
		if ip, ok := netip.AddrFromSlice(n.IP); ok && ip.Unmap().IsGlobalUnicast() && !ip.Unmap().IsPrivate() {
			out = append(out, ip.Unmap())
		}
	}
	return out
}

// NewResolver is the resolver that the configuration names.
func NewResolver(cfg *config.Config) (*resolver.Client, error) {
	var servers []netip.AddrPort
	for _, a := range cfg.DNS.Servers {
		ap, err := netip.ParseAddrPort(a)
		if err != nil {
			return nil, err
		}
		servers = append(servers, ap)
	}
	return resolver.New(resolver.Config{Servers: servers})
}

// idleRecords are those of a server that does not run: its certificate is the one that
// it would show.
func idleRecords(cfg *config.Config) (*records, func(), error) {
	c, err := NewResolver(cfg)
	if err != nil {
		return nil, nil, err
	}
	r, err := newRecords(cfg, c, func() (*x509.Certificate, error) {
		m, err := certs.Open((&server{cfg: cfg}).certConfig())
		if err != nil {
			return nil, err
		}
		return m.Leaf(), nil
	})
	if err != nil {
		c.Close()
		return nil, nil, err
	}
	return r, c.Close, nil
}
