package spf

import (
	"context"
	"net/netip"
	"strings"
	"testing"

	"posta/internal/resolver"
)

// FuzzCheck: two records that may lead to each other in any way end within the budgets, with one of the seven results, an
// error just where there is one, and a tree whose lines are lines.
func FuzzCheck(f *testing.F) {
	f.Add("v=spf1 include:b.example mx ptr a:%{i}.b.example -all exp=b.example", "v=spf1 redirect=a.example", "ana", "192.0.2.1")
	f.Add("v=spf1 include:a.example include:b.example", "v=spf1 exists:%{l1r-}.%{h} ?all", "a-b.c", "2001:db8::1")
	f.Add("v=spf1 a a a a a a a a a a a", "v=spf1 \x00", "\xff", "::ffff:192.0.2.1")
	f.Fuzz(func(t *testing.T, a, b, local, client string) {
		ip, err := netip.ParseAddr(client)
		if err != nil {
			ip = netip.MustParseAddr("192.0.2.1")
		}
		asked := 0
		zone := counted{resolver.Static{
			"a.example": {"TXT " + a, "A 192.0.2.1", "MX 1 b.example", "MX 2 a.example"},
			"b.example": {"TXT " + b, "AAAA 2001:db8::1"},
			"192.0.2.1": {"PTR a.example", "PTR b.example"}, "2001:db8::1": {"PTR b.example"},
		}, &asked}
		args := Args{IP: ip, HELO: local, MailFrom: Sender{local, "a.example"}, ReceiverHost: "r"}
		r := Check(t.Context(), zone, args)
		if r.Lookups > MaxLookups || r.VoidLookups > MaxVoidLookups+1 || asked > 1+MaxLookups*(2+2*MaxNames) {
			t.Fatalf("%d look-ups, %d void, %d questions", r.Lookups, r.VoidLookups, asked)
		}
		if (r.Err != nil) != (r.Status == TempError || r.Status == PermError) || r.Status > PermError {
			t.Fatalf("%v with %v", r.Status, r.Err)
		}
		for _, line := range r.Tree() {
			if strings.ContainsAny(line, "\r\n\x00") || len(line) > 64<<10 {
				t.Fatalf("%q", line)
			}
		}
		if again := Check(t.Context(), zone, args); again.Status != r.Status || len(again.Steps) != len(r.Steps) {
			t.Fatalf("%v, then %v", r.Status, again.Status)
		}
	})
}

// counted counts the questions asked.
type counted struct {
	Resolver
	asked *int
}

func (c counted) LookupTXT(ctx context.Context, name string) (resolver.Result[string], error) {
	*c.asked++
	return c.Resolver.LookupTXT(ctx, name)
}

func (c counted) LookupA(ctx context.Context, name string) (resolver.Result[netip.Addr], error) {
	*c.asked++
	return c.Resolver.LookupA(ctx, name)
}

func (c counted) LookupAAAA(ctx context.Context, name string) (resolver.Result[netip.Addr], error) {
	*c.asked++
	return c.Resolver.LookupAAAA(ctx, name)
}

func (c counted) LookupMX(ctx context.Context, name string) (resolver.Result[resolver.MX], error) {
	*c.asked++
	return c.Resolver.LookupMX(ctx, name)
}

func (c counted) LookupPTR(ctx context.Context, ip netip.Addr) (resolver.Result[string], error) {
	*c.asked++
	return c.Resolver.LookupPTR(ctx, ip)
}
