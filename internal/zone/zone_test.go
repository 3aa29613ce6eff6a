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
