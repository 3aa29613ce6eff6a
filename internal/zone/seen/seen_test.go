package seen

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"posta/internal/authority"
	"posta/internal/resolver"
	"posta/internal/zone"
)

// serve starts a DNS server on loopback with the records of a zone file; one without any
// answers REFUSED.
func serve(t *testing.T, records ...string) netip.AddrPort {
	t.Helper()
	var rrs []dns.RR
	for _, s := range records {
		rr, err := dns.NewRR(s)
		if err != nil {
			t.Fatal(err)
		}
		rrs = append(rrs, rr)
	}
	handler := dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		m := new(dns.Msg)
		m.SetReply(q)
		m.Authoritative = true
		if len(rrs) == 0 {
			m.Rcode = dns.RcodeRefused
		}
		for _, rr := range rrs {
			h := rr.Header()
			if strings.EqualFold(h.Name, q.Question[0].Name) && (h.Rrtype == q.Question[0].Qtype || h.Rrtype == dns.TypeCNAME) {
				m.Answer = append(m.Answer, rr)
			}
			if h.Rrtype == dns.TypeSOA {
				m.Ns = append(m.Ns, rr)
			}
		}
		if len(m.Answer) > 0 {
			m.Ns = nil
		}
		_ = w.WriteMsg(m)
	})
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	started := make(chan struct{})
	s := &dns.Server{PacketConn: pc, Handler: handler, NotifyStartedFunc: func() { close(started) }}
	done := make(chan error, 1)
	go func() { done <- s.ActivateAndServe() }()
	<-started
	t.Cleanup(func() {
		_ = s.Shutdown()
		<-done
	})
	return netip.MustParseAddrPort(pc.LocalAddr().String())
}

// Each server of the zone is asked for itself, of an alias those of its target's zone;
// a resolver besides. One that refuses has an error and not "nothing".
func TestLook(t *testing.T) {
	soa := "empresa.test. 300 IN SOA ns1.empresa.test. a.empresa.test. 1 1 1 1 300"
	ports := map[string]netip.AddrPort{
		"192.0.2.1":    serve(t, soa, "empresa.test. 3600 IN MX 10 Mail.Empresa.test.", `empresa.test. 3600 IN TXT "v=spf1 " "mx -all"`),
		"192.0.2.2":    serve(t, soa),
		"2001:db8::2":  serve(t),
		"198.51.100.1": serve(t, `p1._domainkey.empresa.test.dns.otra.test. 60 IN TXT "v=DKIM1; p=AA"`, "otra.test. 60 IN SOA ns.otra.test. a.otra.test. 1 1 1 1 60"),
	}
	res := serve(t, soa, `p1._domainkey.empresa.test. 60 IN CNAME p1._domainkey.empresa.test.dns.otra.test.`)
	l := &Looker{
		Resolver: resolver.Static{
			"empresa.test":                             {"NS ns1.empresa.test", "NS ns2.empresa.test"},
			"ns1.empresa.test":                         {"A 192.0.2.1"},
			"ns2.empresa.test":                         {"A 192.0.2.2", "AAAA 2001:db8::2"},
			"p1._domainkey.empresa.test":               {"CNAME p1._domainkey.empresa.test.dns.otra.test"},
			"p1._domainkey.empresa.test.dns.otra.test": {"TXT v=DKIM1; p=AA"},
			"otra.test":                                {"NS ns.otra.test"},
			"ns.otra.test":                             {"A 198.51.100.1"},
		},
		Resolvers: []netip.AddrPort{res},
	}
	l.Authority = authority.New(l.Resolver, authority.Config{Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
		at := ports[netip.MustParseAddrPort(address).Addr().String()]
		var d net.Dialer
		return d.DialContext(ctx, network, at.String())
	}})
	mx, txt, key := zone.Question{Name: "empresa.test", Type: "MX"}, zone.Question{Name: "empresa.test", Type: "TXT"}, zone.Question{Name: "p1._domainkey.empresa.test", Type: "TXT"}
	views, err := l.Look(t.Context(), []zone.Question{mx, txt, key})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, v := range views {
		for _, q := range []zone.Question{mx, txt, key} {
			a, asked := v.Answers[q]
			switch {
			case !asked:
				continue
			case a.Err != nil:
				got = append(got, v.Server+" "+q.Type+" "+q.Name+" refused")
				if !strings.Contains(a.Err.Error(), "REFUSED") {
					t.Errorf("%s: %v", v.Server, a.Err)
				}
			default:
				got = append(got, v.Server+" "+q.Type+" "+q.Name+" "+strings.Join(a.Values, "|"))
			}
			if a.Err == nil && a.TTL <= 0 {
				t.Errorf("%s %v: TTL %v", v.Server, q, a.TTL)
			}
		}
	}
	want := []string{
		"ns.otra.test (198.51.100.1) TXT p1._domainkey.empresa.test v=DKIM1; p=AA",
		"ns1.empresa.test (192.0.2.1) MX empresa.test 10 mail.empresa.test",
		"ns1.empresa.test (192.0.2.1) TXT empresa.test v=spf1 mx -all",
		"ns2.empresa.test (192.0.2.2) MX empresa.test ",
		"ns2.empresa.test (192.0.2.2) TXT empresa.test ",
		"ns2.empresa.test (2001:db8::2) MX empresa.test refused",
		"ns2.empresa.test (2001:db8::2) TXT empresa.test refused",
		"127.0.0.1 MX empresa.test ",
		"127.0.0.1 TXT empresa.test ",
		// The resolver's answer is an alias without its target, which it does not know either.
		"127.0.0.1 TXT p1._domainkey.empresa.test ",
	}
	if !slices.Equal(got, want) {
		t.Errorf("seen:\n %s\nwant:\n %s", strings.Join(got, "\n "), strings.Join(want, "\n "))
	}
}

// Where the zone's servers cannot be found the resolvers are asked all the same.
func TestLookWithoutServers(t *testing.T) {
	at := serve(t, "empresa.test. 3600 IN MX 10 mail.empresa.test.")
	none := resolver.Static{"empresa.test": {"FAIL timeout"}}
	l := &Looker{Resolver: none, Authority: authority.New(none, authority.Config{}), Resolvers: []netip.AddrPort{at}}
	views, err := l.Look(t.Context(), []zone.Question{{Name: "empresa.test", Type: "MX"}})
	if err != nil || len(views) != 1 || views[0].Authoritative {
		t.Fatalf("%+v, %v", views, err)
	}
	if a := views[0].Answers[zone.Question{Name: "empresa.test", Type: "MX"}]; !slices.Equal(a.Values, []string{"10 mail.empresa.test"}) {
		t.Errorf("%+v", a)
	}
}
