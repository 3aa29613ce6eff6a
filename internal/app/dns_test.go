package app

import (
	"crypto/x509"
	"errors"
	"slices"
	"strings"
	"testing"

	"posta/internal/autoconf"
	"posta/internal/command"
	"posta/internal/config"
	"posta/internal/directory"
	"posta/internal/dkim"
	"posta/internal/resolver"
	"posta/internal/store"
	"posta/internal/zone"
)

// What the records of a domain are made of: TLSA only where the host's zone is signed,
// CAA only with ACME, the host's own records only in its own domain.
func TestFactsOfDomains(t *testing.T) {
	key, err := dkim.GenerateEd25519()
	if err != nil {
		t.Fatal(err)
	}
	pem, err := dkim.MarshalPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	v := &store.DirectoryView{
		Domains: []store.Domain{{ID: 1, Name: "empresa.test"}, {ID: 2, Name: "otra.test"}},
		Keys: []store.DKIMKey{
			{Domain: 1, Selector: "p1-e", Algorithm: "ed25519", Private: pem, Active: true},
			{Domain: 1, Selector: "p2-e", Algorithm: "ed25519", Private: pem}, // the next one
		},
	}
	signed := resolver.Static{"empresa.test": {"NS ns1.empresa.test", "DS 1 13 2 AB"}, "mail.empresa.test": {"A 192.0.2.10"}}
	unsigned := resolver.Static{"empresa.test": {"NS ns1.empresa.test"}, "mail.empresa.test": {"A 192.0.2.10"}}
	away := resolver.Static{"empresa.test": {"FAIL timeout"}, "mail.empresa.test": {"FAIL timeout"}}
	for _, c := range []struct {
		name   string
		dns    resolver.Static
		acme   string
		domain int
		want   string
	}{
		{"signed", signed, "on", 0, "A MX PTR TLSA CAA 2×DKIM"},
		{"unsigned", unsigned, "", 0, "A MX PTR 2×DKIM"},
		{"not known", away, "https://ca.empresa.test/dir", 0, "A MX PTR 2×DKIM"},
		{"another domain", signed, "on", 1, "MX 0×DKIM"},
	} {
		cfg := config.Default()
		cfg.Hostname, cfg.Network.Public = "Mail.Empresa.test", []string{"192.0.2.10"}
		cfg.TLS.ACME = config.ACME{Enabled: c.acme != "", Directory: strings.TrimPrefix(c.acme, "on")}
		r, err := newRecords(cfg, c.dns, func() (*x509.Certificate, error) {
			return &x509.Certificate{RawSubjectPublicKeyInfo: []byte("spki")}, nil
		})
		if err != nil {
			t.Fatal(err)
		}
		f, err := r.Facts(t.Context(), v, &v.Domains[c.domain])
		if err != nil {
			t.Fatal(err)
		}
		have, keys := map[string]bool{}, 0
		for _, w := range zone.Wanted(f) {
			have[w.Type] = true
			if strings.Contains(w.Name, "._domainkey.") {
				keys++
			}
		}
		if known := !slices.Contains(f.Uncertain, "TLSA"); known == (c.name == "not known") || slices.Contains(f.Uncertain, "A") {
			t.Errorf("%s: uncertain of %v", c.name, f.Uncertain)
		}
		var got []string
		for _, typ := range []string{"A", "MX", "PTR", "TLSA", "CAA"} {
			if have[typ] {
				got = append(got, typ)
			}
		}
		if s := strings.Join(got, " ") + " " + string(rune('0'+keys)) + "×DKIM"; s != c.want {
			t.Errorf("%s: %s, want %s", c.name, s, c.want)
		}
	}
}

// A provider whose token is not there keeps no mail from flowing; whoever writes is
// told.
func TestProviderWithoutToken(t *testing.T) {
	cfg := config.Default()
	cfg.DNS.Providers = []config.DNSProvider{{Type: "cloudflare", Zones: []string{"Empresa.test."}, TokenEnv: "POSTA_TEST_NOT_SET"}}
	r, err := newRecords(cfg, resolver.Static{}, func() (*x509.Certificate, error) { return nil, errors.New("none") })
	if err != nil {
		t.Fatal(err)
	}
	if !r.Covers("mail.empresa.test") || r.Covers("otra.test") {
		t.Error("the zones of the provider are not known")
	}
	_, err = r.Read(t.Context(), []zone.Question{{Name: "mail.empresa.test", Type: "A"}})
	if err == nil || !strings.Contains(err.Error(), "dns.provider[1]: the variable POSTA_TEST_NOT_SET is not set in the environment") {
		t.Errorf("read: %v", err)
	}
}

// What is published of HTTPS is what we serve, and only under names that our certificate
// has or that ACME will get one for.
func TestServedIsPublished(t *testing.T) {
	v := &store.DirectoryView{Domains: []store.Domain{{ID: 1, Name: "empresa.test"}}, Settings: map[string]string{
		command.STSSetting("empresa.test"): `{"mode":"enforce"}`,
	}}
	const policy = "version: STSv1\r\nmode: enforce\r\nmx: mail.empresa.test\r\nmax_age: 2419200\r\n"
	doc := autoconf.PACC(autoconf.Account{Domain: "empresa.test", Host: "mail.empresa.test", Doors: []autoconf.Door{
		{Protocol: autoconf.IMAP, Port: 993, Implicit: true}, {Protocol: autoconf.POP3, Port: 995, Implicit: true}, {Protocol: autoconf.SMTP, Port: 465, Implicit: true},
	}})
	const dmarc = "TXT _dmarc.empresa.test v=DMARC1; p=none; rua=mailto:dmarc-reports@empresa.test\n"
	const tls = "TXT _smtp._tls.empresa.test v=TLSRPTv1; rua=mailto:tls-reports@empresa.test\n"
	sts := "TXT _mta-sts.empresa.test v=STSv1; id=" + zone.STSID(policy) + "\nCNAME mta-sts.empresa.test mail.empresa.test\n"
	programs := "CNAME autoconfig.empresa.test mail.empresa.test\nCNAME autodiscover.empresa.test mail.empresa.test\n" +
		"SRV _autodiscover._tcp.empresa.test 0 1 443 mail.empresa.test\n"
	pacc := "TXT _ua-auto-config.empresa.test " + autoconf.PACCRecord(doc) + "\nCNAME ua-auto-config.empresa.test mail.empresa.test\n"
	for _, c := range []struct {
		name  string
		acme  bool
		names []string // of the certificate
		alter func(*config.Listen)
		want  []string
	}{
		{"ACME", true, nil, nil, []string{dmarc, sts, tls, programs, pacc}},
		{"a file for every name", false, []string{"*.empresa.test"}, nil, []string{dmarc, sts, tls, programs, pacc}},
		{"a file for some", false, []string{"mail.empresa.test", "mta-sts.empresa.test"}, nil, []string{dmarc, sts, tls}},
		{"a file for the host", false, []string{"mail.empresa.test"}, nil, []string{dmarc, tls}},
		{"no HTTPS", true, nil, func(l *config.Listen) { l.HTTPS = "" }, []string{dmarc, tls}},
		{"no door for programs", true, nil, func(l *config.Listen) { *l = config.Listen{SMTP: ":25", HTTPS: ":443"} }, []string{dmarc, sts, tls}},
	} {
		cfg := config.Default()
		cfg.Hostname, cfg.Network.Public, cfg.TLS.ACME.Enabled = "mail.empresa.test", []string{"192.0.2.10"}, c.acme
		if c.alter != nil {
			c.alter(&cfg.Listen)
		}
		r, err := newRecords(cfg, resolver.Static{}, func() (*x509.Certificate, error) { return &x509.Certificate{DNSNames: c.names}, nil })
		if err != nil {
			t.Fatal(err)
		}
		f, err := r.Facts(t.Context(), v, &v.Domains[0])
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		for _, w := range zone.Wanted(f) {
			if w.Why != "dns.srv" && (strings.HasPrefix(w.Name, "_") || w.Type == "CNAME") || strings.HasPrefix(w.Name, "_autodiscover") {
				got += w.Type + " " + w.Name + " " + w.Value + "\n"
			}
		}
		if want := strings.Join(c.want, ""); got != want {
			t.Errorf("%s: got\n%swant\n%s", c.name, got, want)
		}
	}
	for _, a := range []string{directory.DMARCReports, directory.TLSReports} { // they exist by themselves
		if !strings.Contains(dmarc+tls, ":"+a+"@") {
			t.Errorf("nothing is published for %s@", a)
		}
	}
}
