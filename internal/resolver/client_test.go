package resolver

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"
)

func TestTypedLookups(t *testing.T) {
	t.Parallel()
	s := serve(t, zone(t,
		"a.example. 60 A 192.0.2.1", "a.example. 30 A 192.0.2.2",
		"a.example. 60 AAAA 2001:db8::1",
		"m.example. 60 MX 20 B.Example.", "m.example. 60 MX 10 a.example.",
		"null.example. 60 MX 0 .",
		`t.example. 60 TXT "v=spf1 " "-all"`, `t.example. 60 TXT "other \"q\" \\ \195\177"`,
		"1.2.0.192.in-addr.arpa. 60 PTR A.Example.",
		"b.8.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa. 60 PTR six.example.",
		"m.example. 60 NS ns1.example.",
		"_25._tcp.a.example. 60 TLSA 3 1 1 0a0b",
		`m.example. 60 CAA 0 issue "ca.example"`,
		"www.example. 60 CNAME alias.example.", "alias.example. 10 CNAME a.example.",
		"dangling.example. 60 CNAME gone.example.",
		`odd\ \.x.example. 60 A 192.0.2.9`, `back\\slash.example. 60 A 192.0.2.10`,
	))
	c := newClient(t, Config{}, s)
	ctx := t.Context()
	check := func(what string, got, want any, err error) {
		t.Helper()
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %v, %v; want %v", what, got, err, want)
		}
	}
	ip := netip.MustParseAddr

	a, err := c.LookupA(ctx, "A.example.")
	check("A", a.Records, []netip.Addr{ip("192.0.2.1"), ip("192.0.2.2")}, err)
	check("TTL is the least of the set", a.TTL.Round(time.Second), 30*time.Second, err)
	check("state", a.State, Found, err)
	aaaa, err := c.LookupAAAA(ctx, "a.example")
	check("AAAA", aaaa.Records, []netip.Addr{ip("2001:db8::1")}, err)
	mx, err := c.LookupMX(ctx, "m.example")
	check("MX in order of preference", mx.Records, []MX{{10, "a.example"}, {20, "b.example"}}, err)
	mx, err = c.LookupMX(ctx, "null.example")
	check("null MX", mx.Records, []MX{{0, "."}}, err)
	txt, err := c.LookupTXT(ctx, "t.example")
	check("TXT", txt.Records, []string{"v=spf1 -all", `other "q" \ ñ`}, err)
	ptr, err := c.LookupPTR(ctx, ip("::ffff:192.0.2.1"))
	check("PTR", ptr.Records, []string{"a.example"}, err)
	ptr, err = c.LookupPTR(ctx, ip("2001:db8:8000::8b"))
	check("PTR of an address without", ptr.State, NXDomain, err)
	ns, err := c.LookupNS(ctx, "m.example")
	check("NS", ns.Records, []string{"ns1.example"}, err)
	tlsa, err := c.LookupTLSA(ctx, "_25._tcp.a.example")
	check("TLSA", tlsa.Records, []TLSA{{3, 1, 1, []byte{10, 11}}}, err)
	caa, err := c.Lookup(ctx, "m.example", TypeCAA)
	check("generic", caa.Records, []Record{{"m.example", TypeCAA, time.Minute, `0 issue "ca.example"`}}, err)

	a, err = c.LookupA(ctx, "www.example")
	check("through aliases", a.Records, []netip.Addr{ip("192.0.2.1"), ip("192.0.2.2")}, err)
	check("chain", a.Chain, []string{"alias.example", "a.example"}, err)
	check("TTL is the least of the chain", a.TTL.Round(time.Second), 10*time.Second, err)
	cname, err := c.Lookup(ctx, "www.example", TypeCNAME)
	check("the alias itself", cname.Records, []Record{{"www.example", TypeCNAME, time.Minute, "alias.example."}}, err)
	a, err = c.LookupA(ctx, "dangling.example")
	check("dangling alias", a.State, NXDomain, err)
	a, err = c.LookupA(ctx, "m.example")
	check("no data", a.State, NoData, err)
	check("negative TTL from the SOA", a.TTL.Round(time.Second), 120*time.Second, err)
	a, err = c.LookupA(ctx, `back\slash.example`)
	check("a backslash is an octet like any other", a.Records, []netip.Addr{ip("192.0.2.10")}, err)
}

func TestInvalidNames(t *testing.T) {
	t.Parallel()
	c := newClient(t, Config{Servers: []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:1")}})
	long := strings.Repeat("a.", 126) + "ab"
	for _, name := range []string{"", "a..b", ".a", "a..", strings.Repeat("x", 64) + ".example", long, "ñ.example"} {
		_, err := c.LookupA(t.Context(), name)
		e, ok := errors.AsType[*Error](err)
		if !ok || e.Kind != InvalidName || e.Temporary() {
			t.Errorf("%q: got %v, want a permanent invalid name", name, err)
		}
	}
	for _, name := range []string{long[:253], strings.Repeat("x", 63) + ".example."} {
		if n, err := Normalize(name); err != nil || n != strings.TrimSuffix(name, ".") {
			t.Errorf("%q: got %q, %v", name, n, err)
		}
	}
	if _, err := c.Lookup(t.Context(), "example", 255); err == nil || Temporary(err) {
		t.Errorf("ANY: got %v, want a permanent error", err)
	}
	if _, err := c.LookupPTR(t.Context(), netip.Addr{}); err == nil || Temporary(err) {
		t.Errorf("PTR of no address: got %v", err)
	}
}

// Every way of not knowing is a temporary error of its own kind, and none is "missing".
func TestFailures(t *testing.T) {
	t.Parallel()
	s := serve(t, func(m *dns.Msg, q dns.Question, tcp bool) {
		switch q.Name {
		case "servfail.example.":
			m.Rcode = dns.RcodeServerFailure
			m.SetEdns0(1232, false)
			m.IsEdns0().Option = append(m.IsEdns0().Option, &dns.EDNS0_EDE{InfoCode: 6, ExtraText: "bad sig"})
		case "refused.example.":
			m.Rcode = dns.RcodeRefused
		case "notimp.example.":
			m.Rcode = dns.RcodeNotImplemented
		case "referral.example.":
			m.RecursionAvailable = false
			m.Ns = append(m.Ns, rr(t, "example. 60 NS ns.example."))
		case "loop.example.":
			m.Answer = append(m.Answer, rr(t, "loop.example. 60 CNAME pool.example."), rr(t, "pool.example. 60 CNAME loop.example."))
		case "cut.example.":
			m.Truncated = true // over TCP as well
		case "other.example.":
			m.Question[0].Name = "another.example."
		}
	})
	c := newClient(t, Config{Attempts: 1, Timeout: 300 * time.Millisecond}, s)
	for name, want := range map[string]Kind{
		"servfail.example": ServFail, "refused.example": Refused, "notimp.example": Malformed, "referral.example": Malformed,
		"loop.example": BadChain, "cut.example": Truncated, "other.example": Timeout,
	} {
		res, err := c.LookupA(t.Context(), name)
		e, ok := errors.AsType[*Error](err)
		if !ok || e.Kind != want || !e.Temporary() || res.State != 0 || e.Name != name || e.Server == "" {
			t.Errorf("%s: got %v, %v; want %v", name, res, err, want)
		}
	}
	if _, err := c.LookupA(t.Context(), "servfail.example"); !strings.Contains(err.Error(), "bad sig") {
		t.Errorf("the server's words are lost: %v", err)
	}
	dead := newClient(t, Config{Attempts: 1, Servers: []netip.AddrPort{unusedPort(t)}})
	if _, err := dead.LookupA(t.Context(), "a.example"); !Temporary(err) || !strings.Contains(err.Error(), "network") {
		t.Errorf("dead server: %v", err)
	}
}

func unusedPort(t *testing.T) netip.AddrPort {
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	pc.Close()
	return netip.MustParseAddrPort(pc.LocalAddr().String())
}

// Garbage on the wire ends in an error, never in an answer.
func TestGarbageReply(t *testing.T) {
	t.Parallel()
	for name, reply := range map[string]func(q []byte) []byte{
		"header only": func(q []byte) []byte { return append(q[:2:2], 0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0) },
		"pointer loop": func(q []byte) []byte {
			return append(q[:2:2], 0x81, 0x80, 0, 1, 0, 0, 0, 0, 0, 0, 0xc0, 12, 0, 1, 0, 1)
		},
		"not a reply":   func(q []byte) []byte { return q },
		"foreign id":    func(q []byte) []byte { q[0] ^= 1; q[2] |= 0x80; return q },
		"short":         func(q []byte) []byte { return q[:5] },
		"no answer yet": func(q []byte) []byte { return nil },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newClient(t, Config{Attempts: 1, Timeout: 50 * time.Millisecond,
				Servers: []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:53")},
				Dial: func(context.Context, string, string) (net.Conn, error) {
					ours, theirs := net.Pipe()
					go func() {
						defer theirs.Close()
						buf := make([]byte, 512)
						n, _ := theirs.Read(buf)
						theirs.Write(reply(buf[:n]))
						theirs.Read(buf)
					}()
					return ours, nil
				}})
			if res, err := c.LookupA(t.Context(), "a.example"); !Temporary(err) {
				t.Errorf("got %v, %v", res, err)
			}
		})
	}
}

func TestTruncatedGoesToTCP(t *testing.T) {
	t.Parallel()
	s := serve(t, func(m *dns.Msg, q dns.Question, tcp bool) {
		if !tcp {
			m.Truncated = true
			return
		}
		for i := range 300 {
			m.Answer = append(m.Answer, rr(t, fmt.Sprintf("a.example. 60 A 192.0.%d.%d", i/250, i%250)))
		}
	})
	c := newClient(t, Config{}, s)
	res, err := c.LookupA(t.Context(), "a.example")
	if err != nil || len(res.Records) != 300 {
		t.Errorf("got %d records, %v", len(res.Records), err)
	}
}

func TestSecondServerAnswers(t *testing.T) {
	t.Parallel()
	bad := serve(t, func(m *dns.Msg, q dns.Question, _ bool) { m.Rcode = dns.RcodeServerFailure })
	good := serve(t, zone(t, "a.example. 60 A 192.0.2.1"))
	c := newClient(t, Config{}, bad, good)
	if res, err := c.LookupA(t.Context(), "a.example"); err != nil || res.State != Found {
		t.Errorf("got %v, %v", res, err)
	}
}

// An old server that answers FORMERR to EDNS is asked once more without.
func TestServerWithoutEDNS(t *testing.T) {
	t.Parallel()
	var sawEDNS atomic.Int32
	old := serveRaw(t, func(w dns.ResponseWriter, req *dns.Msg) {
		m := new(dns.Msg).SetReply(req)
		if req.IsEdns0() != nil {
			sawEDNS.Add(1)
			m.Rcode = dns.RcodeFormatError
		} else {
			m.Answer = append(m.Answer, rr(t, "a.example. 60 A 192.0.2.1"))
		}
		w.WriteMsg(m)
	})
	c := newClient(t, Config{Servers: []netip.AddrPort{old}})
	if res, err := c.LookupA(t.Context(), "a.example"); err != nil || res.State != Found || sawEDNS.Load() != 1 {
		t.Errorf("got %v, %v after %d EDNS queries", res, err, sawEDNS.Load())
	}
}

func serveRaw(t *testing.T, h dns.HandlerFunc) netip.AddrPort {
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := &dns.Server{PacketConn: pc, Handler: h}
	done := make(chan struct{})
	started := make(chan struct{})
	srv.NotifyStartedFunc = func() { close(started) }
	go func() { defer close(done); srv.ActivateAndServe() }()
	<-started
	t.Cleanup(func() { srv.Shutdown(); <-done })
	return netip.MustParseAddrPort(pc.LocalAddr().String())
}

// A server that answers only with the alias (no recursion into its target) is asked for the target.
func TestAliasIsFollowedByAsking(t *testing.T) {
	t.Parallel()
	s := serve(t, func(m *dns.Msg, q dns.Question, _ bool) {
		m.Authoritative = true
		switch q.Name {
		case "www.example.":
			m.Answer = append(m.Answer, rr(t, "www.example. 60 CNAME a.example."))
		case "a.example.":
			m.Answer = append(m.Answer, rr(t, "a.example. 60 A 192.0.2.1"))
		default: // an endless chain n.long → n+1.long
			var n int
			fmt.Sscanf(q.Name, "%d.", &n)
			m.Answer = append(m.Answer, rr(t, fmt.Sprintf("%d.long. 60 CNAME %d.long.", n, n+1)))
		}
	})
	c := newClient(t, Config{}, s)
	res, err := c.LookupA(t.Context(), "www.example")
	if err != nil || res.State != Found || len(res.Chain) != 1 {
		t.Errorf("got %v, %v", res, err)
	}
	_, err = c.LookupA(t.Context(), "1.long")
	if e, ok := errors.AsType[*Error](err); !ok || e.Kind != BadChain {
		t.Errorf("endless chain: %v", err)
	}
	if n := s.asked.Load(); n > 2+MaxChain+1 {
		t.Errorf("%d queries", n)
	}
}

func TestAuthentic(t *testing.T) {
	t.Parallel()
	s := serve(t, func(m *dns.Msg, q dns.Question, _ bool) {
		m.AuthenticatedData = q.Name != "plain.example."
		m.Answer = append(m.Answer, rr(t, q.Name+" 60 A 192.0.2.1"))
	})
	far := netip.MustParseAddrPort("192.0.2.53:53")
	dial := func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, s.addr.String())
	}
	for _, tc := range []struct {
		what, name string
		cfg        Config
		want       bool
	}{
		{"loopback is believed", "a.example", Config{Servers: []netip.AddrPort{s.addr}}, true},
		{"AD is needed", "plain.example", Config{Servers: []netip.AddrPort{s.addr}}, false},
		{"a far server is not", "a.example", Config{Servers: []netip.AddrPort{far}, Dial: dial}, false},
		{"unless trusted", "a.example", Config{Servers: []netip.AddrPort{far}, Dial: dial, TrustAD: true}, true},
	} {
		res, err := newClient(t, tc.cfg).LookupA(t.Context(), tc.name)
		if err != nil || res.Authentic != tc.want {
			t.Errorf("%s: got %v, %v", tc.what, res.Authentic, err)
		}
	}
}

func TestResolvConf(t *testing.T) {
	t.Parallel()
	rc, err := ParseResolvConf(strings.NewReader("# c\nsearch x\nnameserver 192.0.2.1\nnameserver fe80::1%eth0\nnameserver junk\noptions edns0 trust-ad\n"))
	if err != nil || fmt.Sprint(rc) != "{[192.0.2.1:53 [fe80::1%eth0]:53] true}" {
		t.Errorf("got %v, %v", rc, err)
	}
	rc, err = ReadResolvConf(t.TempDir() + "/none")
	if err != nil || fmt.Sprint(rc) != "{[127.0.0.1:53] false}" {
		t.Errorf("no file: got %v, %v", rc, err)
	}
}
