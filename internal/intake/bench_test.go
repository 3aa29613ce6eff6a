package intake

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/miekg/dns"

	"posta/internal/mail"
	"posta/internal/ratelimit"
	"posta/internal/reputation"
	"posta/internal/resolver"
	"posta/internal/smtpserver"
)

// benchZone is what a sender in good order publishes.
var benchZone = map[string][]string{
	"good.example. MX":            {"good.example. 3600 IN MX 10 mx.good.example.", "good.example. 3600 IN MX 20 mx2.good.example."},
	"good.example. TXT":           {`good.example. 3600 IN TXT "v=spf1 ip4:192.0.2.0/24 -all"`},
	"mx.good.example. A":          {"mx.good.example. 3600 IN A 192.0.2.1"},
	"mx2.good.example. A":         {"mx2.good.example. 3600 IN A 192.0.2.2"},
	"mx.good.example. TXT":        {`mx.good.example. 3600 IN TXT "v=spf1 a -all"`},
	"1.2.0.192.in-addr.arpa. PTR": {"1.2.0.192.in-addr.arpa. 3600 IN PTR mx.good.example."},
}

// benchResolver is a resolver with a cache over a server on this machine.
func benchResolver(b *testing.B) resolver.Resolver {
	b.Helper()
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	s := &dns.Server{PacketConn: pc, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		m := new(dns.Msg).SetReply(q)
		m.RecursionAvailable = true
		key := q.Question[0].Name + " " + dns.TypeToString[q.Question[0].Qtype]
		for _, line := range benchZone[key] {
			rr, err := dns.NewRR(line)
			if err != nil {
				panic(err)
			}
			m.Answer = append(m.Answer, rr)
		}
		if len(m.Answer) == 0 {
			m.Ns = []dns.RR{&dns.SOA{Hdr: dns.RR_Header{Name: ".", Rrtype: dns.TypeSOA, Class: dns.ClassINET, Ttl: 3600}, Ns: ".", Mbox: ".", Minttl: 3600}}
		}
		_ = w.WriteMsg(m)
	})}
	done := make(chan error, 1)
	go func() { done <- s.ActivateAndServe() }()
	r, err := resolver.New(resolver.Config{Servers: []netip.AddrPort{netip.MustParseAddrPort(pc.LocalAddr().String())}})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		r.Close()
		s.Shutdown()
		<-done
	})
	return r
}

// BenchmarkStranger is what a stranger's message of 12 KiB costs behind the door, with
// all DNS answers from the cache: a connection of its own ("judged": until RCPT is
// answered), and the whole way to the disk.
func BenchmarkStranger(b *testing.B) {
	h := benchHouse(b, benchResolver(b))
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		h.Run(ctx)
	}()
	defer func() {
		cancel()
		<-done
	}()
	text := letter + string(make12KiB())
	to := address(b, "ana@empresa.test")
	sender := address(b, "a@good.example")
	for _, whole := range []bool{false, true} {
		name := "judged"
		if whole {
			name = "whole"
		}
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				c := stranger()
				s, _ := h.Open(ctx, &c)
				s.Hello(ctx, &c)
				e := &mail.Envelope{ID: mail.NewID(time.Now()), Client: c, ReversePath: sender, Received: time.Now()}
				s.Mail(ctx, e)
				rc := mail.Recipient{Address: to}
				if r := s.Rcpt(ctx, e, rc); r != nil {
					b.Fatal(r)
				}
				if whole {
					e.Recipients = append(e.Recipients, rc)
					sink, _ := s.Data(ctx, e)
					if _, err := io.WriteString(sink, text); err != nil {
						b.Fatal(err)
					}
					if r := sink.Commit(ctx); r[0].Code != 250 {
						b.Fatal(r)
					}
				} else {
					s.Reset(ctx)
				}
				s.Close(ctx, smtpserver.CloseReason{})
			}
		})
	}
}

func make12KiB() []byte {
	var out []byte
	for i := 0; len(out) < 12<<10; i++ {
		out = fmt.Appendf(out, "line %d of a letter that says nothing in particular, at some length\r\n", i)
	}
	return out
}

// benchHouse has a memory, as a server has.
func benchHouse(b *testing.B, dns resolver.Resolver) *house {
	b.Helper()
	h := newHouse(b)
	cfg := h.cfg
	cfg.Memory = reputation.New(h.store, reputation.Grey{}, nil)
	cfg.Limits = reputation.Limits{Network: ratelimit.Limit{Count: 1 << 40, Period: time.Minute}}
	h.Intake = New(cfg, h.dir, h.Intake.store, h.Intake.blobs, dns, h.login)
	return h
}
