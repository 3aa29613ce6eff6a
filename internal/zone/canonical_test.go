package zone

import (
	"strings"
	"testing"

	"github.com/miekg/dns"
)

// However a zone file or a provider writes it, equal records have equal values.
func TestCanonical(t *testing.T) {
	for _, c := range []struct{ typ, data, want string }{
		{"A", " 192.0.2.1 ", "192.0.2.1"},
		{"AAAA", "2001:DB8:0:0:0:0:0:1", "2001:db8::1"},
		{"MX", "010   Mail.Empresa.TEST.", "10 mail.empresa.test"},
		{"MX", "0 .", "0 ."},
		{"SRV", "0 1 993 mail.empresa.test.", "0 1 993 mail.empresa.test"},
		{"CNAME", "Mail.empresa.test.", "mail.empresa.test"},
		{"TLSA", "3 1 1 ABCD (12", "3 1 1 abcd(12"},
		{"TLSA", "3 1 1 ABCD 12", "3 1 1 abcd12"},
		{"CAA", `0 Issue "letsencrypt.org; validationmethods=dns-01"`, `0 issue "letsencrypt.org; validationmethods=dns-01"`},
		{"CAA", `0 issue letsencrypt.org`, `0 issue "letsencrypt.org"`},
		{"TXT", `"v=DKIM1; " "p=AB\"C\\D\009"`, "v=DKIM1; p=AB\"C\\D\t"},
		{"TXT", `v=spf1 mx -all`, "v=spf1 mx -all"},
		{"TXT", `""`, ""},
	} {
		if got, err := Canonical(c.typ, c.data); err != nil || got != c.want {
			t.Errorf("%s %s: %q, %v; want %q", c.typ, c.data, got, err, c.want)
		}
	}
	for _, c := range []struct{ typ, data string }{
		{"A", "2001:db8::1"}, {"AAAA", "192.0.2.1"}, {"AAAA", "fe80::1%eth0"}, {"MX", "mail.empresa.test."}, {"MX", "-1 mail"}, {"SRV", "0 1 99999 x"},
		{"CNAME", "a b"}, {"TLSA", "3 1 1"}, {"CAA", "0 issue"}, {"TXT", `"abierto`}, {"TXT", `"a" b`}, {"TXT", `"\999"`}, {"TXT", strings.Repeat("x", maxData+1)},
	} {
		if got, err := Canonical(c.typ, c.data); err == nil {
			t.Errorf("%s %.40s is read as %q", c.typ, c.data, got)
		}
	}
}

// What says the same, and what does not.
func TestSame(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want bool
	}{
		{"v=DKIM1; k=rsa; p=AB CD", "v=DKIM1;k=rsa;p=ABCD", true},
		{"v=DMARC1; p=none;", "v=DMARC1;p=none", true},
		{"v=spf1  mx -all", "v=spf1 mx -all", true},
		{"v=DMARC1; p=none", "v=DMARC1; p=reject", false},
		{"v=spf1 mx -all", "v=spf1 mx ~all", false},
		{"sitio = 1", "sitio=1", false}, // not a list of tags that we know
	} {
		if got := Same("TXT", c.a, c.b); got != c.want {
			t.Errorf("%q and %q: %v", c.a, c.b, got)
		}
	}
}

// Whatever data is read is written so that a DNS library and we ourselves read the
// same of it again.
func FuzzCanonical(f *testing.F) {
	for _, s := range []struct{ typ, data string }{
		{"TXT", `"v=spf1" " mx -all"`}, {"TXT", "a\x00\xff\"\\"}, {"MX", "10 mail."}, {"SRV", "0 0 0 ."}, {"CAA", `0 issue "ca.test"`},
		{"TLSA", "3 1 1 ab"}, {"A", "192.0.2.1"}, {"AAAA", "::1"}, {"CNAME", "x.test."},
	} {
		f.Add(s.typ, s.data)
	}
	f.Fuzz(func(t *testing.T, typ, data string) {
		v, err := Canonical(typ, data)
		if err != nil {
			return
		}
		r := Record{Name: "x.test", Type: typ, Value: v}
		again, err := Canonical(typ, r.Data())
		if err != nil || again != v {
			t.Fatalf("%s %q: %q is written %q and read as %q, %v", typ, data, v, r.Data(), again, err)
		}
		if typ == "TXT" && len(v) < 4000 {
			rr, err := dns.NewRR(r.Line())
			if err != nil {
				t.Fatalf("%s: %v", r.Line(), err)
			}
			data := strings.TrimPrefix(rr.String(), rr.Header().String())
			if back, err := Canonical("TXT", data); err != nil || back != v {
				t.Fatalf("%q is read by the library as %q, %v", v, back, err)
			}
		}
	})
}
