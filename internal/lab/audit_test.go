package lab

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"posta/internal/bindtest"
)

// What an audit does not find as the scenario says is told, every line of it, and a
// question that cannot be read is named.
func TestFailingAudit(t *testing.T) {
	for _, c := range []struct {
		what, section string
		want          []string
	}{
		{"another outcome", "-- audit aparcado.mx.test --\nsetup mail\nfail mx.null\npass mx.null", []string{"want: setup mail", "got:  parked", "want: fail mx.null", "pass aparcado.mx.test"}},
		{"another title", "-- audit aparcado.mx.test --\nes mx.null Nada", []string{"want: es mx.null Nada", "no acepta correo"}},
		{"a check that is told", "-- audit aparcado.mx.test --\nno mx.null", []string{"want: no mx.null"}},
		{"a word", "-- audit aparcado.mx.test --\nwrong mx.null", []string{"not understood"}},
		{"a flag", "-- audit aparcado.mx.test --quickly --\npass mx.null", []string{`"--quickly" is no flag`}},
		{"an address", "-- audit aparcado.mx.test --ip 1.2 --\npass mx.null", []string{"1.2"}},
	} {
		t.Run(c.what, func(t *testing.T) {
			t.Parallel()
			s, err := Parse("x", "title\nrefs\n"+c.section+"\n")
			if err != nil {
				t.Fatal(err)
			}
			r := world.Play(t.Context(), s)
			if r.OK {
				t.Fatal("it is said to hold")
			}
			for _, want := range c.want {
				if !strings.Contains(r.Detail, want) {
					t.Errorf("%q is not told:\n%s", want, r.Detail)
				}
			}
		})
	}
}

// A world that is written wrongly is not played with.
func TestAuditedWorldIsRead(t *testing.T) {
	for text, want := range map[string]string{
		"-- cosa x --":                                       `no section is called "cosa"`,
		"-- page --":                                         "a page has a URL",
		"-- door mx.x.test --":                               "a host and an address",
		"-- door mx.x.test 203.0.113.1 odd --":               `no fault "odd"`,
		"-- door mx.x.test 203.0.113.1 --\nnonsense":         `"nonsense" is not understood`,
		"-- door mx.x.test nowhere --":                       "nowhere",
		"-- ns x.test --":                                    "a zone and a host",
		"-- ns x.test ns.x.test=203.0.113.1 odd --":          `no fault "odd"`,
		"-- ns x.test ns.x.test=203.0.113.1 --\n@ MX diez a": "bad MX",
		"-- dns --\nx.test. TLSA {tlsa mx.x.test}":           "mx.x.test: there is no such door",
	} {
		w := newAuditWorld(world)
		if err := w.read(auditSections(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

// Each server of a zone answers in its own manner, and the resolver knows the sound
// ones alone.
func TestServersOfOneZone(t *testing.T) {
	w, err := world.auditedWorld()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ server, want string }{
		{"203.0.113.60", "NOERROR aa=true edns=true 10 mx1.sana.test."},
		{"203.0.113.61", "NOERROR aa=false edns=true "},
		{"203.0.113.63", "REFUSED aa=false edns=true "},
		{"203.0.113.65", "NOERROR aa=true edns=false 10 viejo.servidores.test."},
		{"203.0.113.1", "NOERROR aa=false edns=true "},
	} {
		m := new(dns.Msg).SetQuestion("servidores.test.", dns.TypeMX)
		m.SetEdns0(1232, false)
		conn, err := w.dial(t.Context(), "udp", netip.AddrPortFrom(netip.MustParseAddr(c.server), 53).String())
		if err != nil {
			t.Fatal(err)
		}
		r, _, err := new(dns.Client).ExchangeWithConnContext(t.Context(), m, &dns.Conn{Conn: conn})
		conn.Close()
		if err != nil {
			t.Fatal(err)
		}
		got := dns.RcodeToString[r.Rcode] + fmt.Sprintf(" aa=%v edns=%v ", r.Authoritative, r.IsEdns0() != nil)
		for _, rr := range r.Answer {
			got += strings.TrimPrefix(rr.String(), rr.Header().String())
		}
		if got != c.want {
			t.Errorf("%s: %s, want %s", c.server, got, c.want)
		}
	}
	mx, err := w.trusts.LookupMX(t.Context(), "servidores.test")
	if err != nil || len(mx.Records) != 1 || mx.Records[0].Host != "mx1.sana.test" {
		t.Errorf("the resolver: %v %v", mx.Records, err)
	}
}

// BIND's own validating client judges the lab's signed zones as the scenarios say that
// an audit does.
func TestSignedZonesByAnother(t *testing.T) {
	w, err := world.auditedWorld()
	if err != nil {
		t.Fatal(err)
	}
	for zone, want := range map[string]string{
		"sana.test": "; fully validated", "caduca.test": "; fully validated", "falsa.test": "no valid signature found",
		// RFC 9905 takes SHA-1 out of use, and dnssec.weak says so; this client still verifies it.
		"antigua.test": "; fully validated",
	} {
		for _, s := range w.servers {
			if s.zone != zone+"." {
				continue
			}
			ds := s.key.ToDS(dns.SHA256)
			data := strings.TrimPrefix(ds.String(), ds.Hdr.String())
			got := bindtest.Delv(t, netip.MustParseAddrPort(s.socket), zone, []string{data}, zone, "MX")
			if !strings.Contains(got, want) || strings.Contains(got, "; fully validated") != strings.HasPrefix(want, ";") {
				t.Errorf("%s: delv says\n%s\nwant %s", zone, got, want)
			}
			break
		}
	}
}
