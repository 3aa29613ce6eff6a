package zone

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

// Every line is one that a DNS server reads, and the set is whole (S22, S23).
func TestWanted(t *testing.T) {
	rs := Wanted(Facts{
		Domain: "empresa.test", Host: "mail.empresa.test",
		IPs:      []netip.Addr{netip.MustParseAddr("192.0.2.10"), netip.MustParseAddr("2001:db8::10")},
		Keys:     []Key{{"p202611-r", "v=DKIM1; k=rsa; p=" + strings.Repeat("A", 392)}},
		Services: Services(587, 465, 143, 993, 0, 995),
	})
	var got []string
	for _, r := range rs {
		rr, err := dns.NewRR(r.Line())
		if err != nil {
			t.Fatalf("%s: %v", r.Line(), err)
		}
		got = append(got, dns.TypeToString[rr.Header().Rrtype]+" "+rr.Header().Name)
		if txt, ok := rr.(*dns.TXT); ok && strings.Join(txt.Txt, "") != r.Value {
			t.Errorf("%s reads back as %q", r.Line(), txt.Txt)
		}
	}
	want := `A mail.empresa.test.
AAAA mail.empresa.test.
MX empresa.test.
PTR 10.2.0.192.in-addr.arpa.
PTR 0.1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa.
TXT empresa.test.
TXT mail.empresa.test.
TXT p202611-r._domainkey.empresa.test.
TXT _dmarc.empresa.test.
SRV _submissions._tcp.empresa.test.
SRV _submission._tcp.empresa.test.
SRV _imaps._tcp.empresa.test.
SRV _imap._tcp.empresa.test.
SRV _pop3s._tcp.empresa.test.
SRV _pop3._tcp.empresa.test.`
	if g := strings.Join(got, "\n"); g != want {
		t.Errorf("got\n%s\nwant\n%s", g, want)
	}
	if off := rs[len(rs)-1].Line(); !strings.HasSuffix(off, "SRV 0 0 0 .") {
		t.Errorf("a closed service: %s", off)
	}
}

// The whole fragment of a full server, with everything that can be asked for, as a
// zone file; and that of a parked domain (S34).
func TestWholeFragment(t *testing.T) {
	f := Facts{
		Domain: "empresa.test", Host: "mail.empresa.test", IPs: []netip.Addr{netip.MustParseAddr("192.0.2.10")},
		Keys: []Key{{"p1-e", "v=DKIM1; k=ed25519; p=AAAA"}}, Services: append(Services(587, 465, 0, 993, 0, 0), Service{"_sieve", 4190}),
		STS: "a1", TLSReports: "tls@empresa.test", Certificates: [][32]byte{{0xab}}, Issuers: []string{"letsencrypt.org"},
		Autoconfig: true, PACC: "v=UAAC1; a=sha256; d=x=", BIMI: &BIMI{"https://empresa.test/l.svg", "https://empresa.test/l.pem"},
	}
	text := func(rs []Record) string {
		var b strings.Builder
		for _, r := range rs {
			if _, err := dns.NewRR(r.Line()); err != nil {
				t.Errorf("%s: %v", r.Line(), err)
			}
			b.WriteString(strings.Replace(r.Line(), ". 3600 IN ", " ", 1) + "\n")
		}
		return b.String()
	}
	for _, c := range []struct{ name, got, want string }{
		{"all", text(Wanted(f)), `mail.empresa.test A 192.0.2.10
empresa.test MX 10 mail.empresa.test.
10.2.0.192.in-addr.arpa PTR mail.empresa.test.
empresa.test TXT "v=spf1 mx -all"
mail.empresa.test TXT "v=spf1 a -all"
p1-e._domainkey.empresa.test TXT "v=DKIM1; k=ed25519; p=AAAA"
_dmarc.empresa.test TXT "v=DMARC1; p=none; rua=mailto:dmarc-reports@empresa.test"
_mta-sts.empresa.test TXT "v=STSv1; id=a1"
mta-sts.empresa.test CNAME mail.empresa.test.
_smtp._tls.empresa.test TXT "v=TLSRPTv1; rua=mailto:tls@empresa.test"
_25._tcp.mail.empresa.test TLSA 3 1 1 ab00000000000000000000000000000000000000000000000000000000000000
mail.empresa.test CAA 0 issue "letsencrypt.org"
_submissions._tcp.empresa.test SRV 0 1 465 mail.empresa.test.
_submission._tcp.empresa.test SRV 0 1 587 mail.empresa.test.
_imaps._tcp.empresa.test SRV 0 1 993 mail.empresa.test.
_imap._tcp.empresa.test SRV 0 0 0 .
_pop3s._tcp.empresa.test SRV 0 0 0 .
_pop3._tcp.empresa.test SRV 0 0 0 .
_sieve._tcp.empresa.test SRV 0 1 4190 mail.empresa.test.
autoconfig.empresa.test CNAME mail.empresa.test.
autodiscover.empresa.test CNAME mail.empresa.test.
_autodiscover._tcp.empresa.test SRV 0 1 443 mail.empresa.test.
_ua-auto-config.empresa.test TXT "v=UAAC1; a=sha256; d=x="
ua-auto-config.empresa.test CNAME mail.empresa.test.
default._bimi.empresa.test TXT "v=BIMI1; l=https://empresa.test/l.svg; a=https://empresa.test/l.pem"
`},
		// A second domain on the same host, its keys delegated to a zone of ours.
		{"hosted", text(Wanted(Facts{Domain: "otra.test", Host: "mail.empresa.test", IPs: f.IPs, Hosted: true, Delegate: "dns.empresa.test",
			Keys: f.Keys, Certificates: f.Certificates, Issuers: f.Issuers})), `otra.test MX 10 mail.empresa.test.
otra.test TXT "v=spf1 mx -all"
p1-e._domainkey.otra.test CNAME p1-e._domainkey.otra.test.dns.empresa.test.
p1-e._domainkey.otra.test.dns.empresa.test TXT "v=DKIM1; k=ed25519; p=AAAA"
_dmarc.otra.test TXT "v=DMARC1; p=none; rua=mailto:dmarc-reports@otra.test"
`},
		{"delegated", text(Wanted(Facts{Domain: "empresa.test", Host: "mail.empresa.test", Delegate: "dns.otra.test"})), `empresa.test MX 10 mail.empresa.test.
empresa.test TXT "v=spf1 mx -all"
mail.empresa.test TXT "v=spf1 a -all"
_acme-challenge.mail.empresa.test CNAME _acme-challenge.mail.empresa.test.dns.otra.test.
_dmarc.empresa.test TXT "v=DMARC1; p=none; rua=mailto:dmarc-reports@empresa.test"
`},
		{"parked", text(Parked("vieja.test")), `vieja.test MX 0 .
vieja.test TXT "v=spf1 -all"
*._domainkey.vieja.test TXT "v=DKIM1; p="
_dmarc.vieja.test TXT "v=DMARC1; p=reject; sp=reject; np=reject; adkim=s; aspf=s"
`},
	} {
		if c.got != c.want {
			t.Errorf("%s: got\n%swant\n%s", c.name, c.got, c.want)
		}
	}
}

// The fields of a provider's page: names relative to the zone, priority apart, a long
// text whole and in pieces.
func TestForm(t *testing.T) {
	long := "v=DKIM1; k=rsa; p=" + strings.Repeat("A", 300)
	for _, c := range []struct {
		r    Record
		want Form
	}{
		{Record{Name: "empresa.test", Type: "MX", Value: "10 mail.empresa.test"}, Form{Type: "MX", Name: "@", Priority: "10", Value: "mail.empresa.test"}},
		{Record{Name: "_imaps._tcp.Empresa.test", Type: "SRV", Value: "0 1 993 mail.empresa.test"}, Form{Type: "SRV", Name: "_imaps._tcp", Priority: "0", Weight: "1", Port: "993", Value: "mail.empresa.test"}},
		{Record{Name: "mail.otra.test", Type: "A", Value: "192.0.2.1"}, Form{Type: "A", Name: "mail.otra.test.", Value: "192.0.2.1"}},
		{Record{Name: "noempresa.test", Type: "A", Value: "192.0.2.1"}, Form{Type: "A", Name: "noempresa.test.", Value: "192.0.2.1"}},
		{Record{Name: "mail.empresa.test", Type: "CAA", Value: `0 issue "ca.test"`}, Form{Type: "CAA", Name: "mail", Flags: "0", Tag: "issue", Value: "ca.test"}},
		{Record{Name: "a._domainkey.empresa.test", Type: "TXT", Value: long}, Form{Type: "TXT", Name: "a._domainkey", Value: long, Pieces: `"` + long[:255] + `" "` + long[255:] + `"`}},
	} {
		if got := c.r.Form("empresa.test"); got != c.want {
			t.Errorf("%s %s: %+v", c.r.Type, c.r.Name, got)
		}
	}
}

// An SPF record of others is made one with ours; what it says otherwise stays.
func TestMergeSPF(t *testing.T) {
	for _, c := range []struct{ have, want string }{
		{"v=spf1 -all", "v=spf1 mx -all"},
		{"v=spf1 include:_spf.crm.test ~all", "v=spf1 mx include:_spf.crm.test ~all"},
		{"v=spf1 a MX ?all", "v=spf1 a MX ?all"},
		{"v=spf1 redirect=_spf.crm.test", "v=spf1 mx redirect=_spf.crm.test"},
		{"v=spf1 -mx all", "v=spf1 mx -mx all"},
		{"", "v=spf1 mx -all"},
	} {
		got := MergeSPF(c.have, "v=spf1 mx -all")
		if got != c.want || !SPFCovers(got, "v=spf1 mx -all") {
			t.Errorf("%q: %q, want %q", c.have, got, c.want)
		}
		if again := MergeSPF(got, "v=spf1 mx -all"); again != got {
			t.Errorf("merged twice: %q", again)
		}
	}
}

// Another policy has another id, of letters and digits, at most 32.
func TestSTSID(t *testing.T) {
	a, b := STSID("version: STSv1\nmode: testing\n"), STSID("version: STSv1\nmode: enforce\n")
	if a == b || a != STSID("version: STSv1\nmode: testing\n") || len(a) != 32 || strings.Trim(a, "0123456789abcdef") != "" {
		t.Errorf("%q, %q", a, b)
	}
}
