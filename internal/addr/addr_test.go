package addr

import (
	"strings"
	"testing"
)

func TestParseDomain(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("a", 63)
	for _, c := range []struct {
		in   string
		want Domain
		err  error
	}{
		{"example.org", "example.org", nil},
		{"EXAMPLE.Org", "example.org", nil},
		{"localhost", "localhost", nil},
		{"bücher.example", "xn--bcher-kva.example", nil},
		{"BÜCHER.example", "xn--bcher-kva.example", nil},
		{"xn--BCHER-kva.example", "xn--bcher-kva.example", nil},
		{"a_b.example.org", "a_b.example.org", nil},
		{"3com.example", "3com.example", nil},
		{long + ".example", Domain(long + ".example"), nil},
		{"", "", ErrDomainSyntax},
		{"example.org.", "", ErrTrailingDot},
		{"bücher.example。", "", ErrTrailingDot},
		{".", "", ErrDomainSyntax},
		{"a..b", "", ErrDomainSyntax},
		{"-a.b", "", ErrDomainSyntax},
		{"a-.b", "", ErrDomainSyntax},
		{"a b", "", ErrDomainSyntax},
		{"a\x00b", "", ErrControl},
		{"192.0.2.1", "", ErrDomainSyntax},
		{"a\xff.b", "", ErrUTF8},
		{long + "a.example", "", ErrDomainTooLong},
		{strings.Repeat("a.", 127) + "b", "", ErrDomainTooLong},
	} {
		if got, err := ParseDomain(c.in); got != c.want || err != c.err {
			t.Errorf("ParseDomain(%q) = %q, %v; want %q, %v", c.in, got, err, c.want, c.err)
		}
	}
	if got := Domain("xn--bcher-kva.example").Unicode(); got != "bücher.example" {
		t.Errorf("Unicode: %q", got)
	}
	if got := Domain("xn--a.example").Unicode(); got != "xn--a.example" {
		t.Errorf("Unicode of a fake A-label: %q", got)
	}
	if d := Domain("mx.example.org"); !d.Within("example.org") || d.Within("ample.org") || !d.Within(d) || d.Within("") {
		t.Error("Within")
	}
}

func TestParsePath(t *testing.T) {
	t.Parallel()
	l64 := strings.Repeat("l", 64)
	for _, c := range []struct {
		in, out string
		kind    Kind
		utf8    bool
		err     error
	}{
		{"<>", "", Null, false, nil},
		{"<Postmaster>", "Postmaster", Postmaster, false, nil},
		{"<userx@y.foo.ORG>", "userx@y.foo.org", Mailbox, false, nil},
		{"<@hosta.int,@jkl.org:userc@d.bar.org>", "userc@d.bar.org", Mailbox, false, nil}, // RFC 5321 App. D
		{`<"joe\,blow"@example.org>`, `"joe,blow"@example.org`, Mailbox, false, nil},
		{`<"joe"@example.org>`, "joe@example.org", Mailbox, false, nil},
		{`<"a b>c"@example.org>`, `"a b>c"@example.org`, Mailbox, false, nil},
		{`<a+b=c!d%e@example.org>`, "a+b=c!d%e@example.org", Mailbox, false, nil},
		{"<a@[192.0.2.1]>", "a@[192.0.2.1]", IPLiteral, false, nil},
		{"<a@[ipv6:2001:DB8::1]>", "a@[IPv6:2001:db8::1]", IPLiteral, false, nil},
		{"<a@[x400:c=us]>", "a@[x400:c=us]", GeneralLiteral, false, nil},
		{"<ñandú@bücher.example>", "ñandú@xn--bcher-kva.example", Mailbox, true, nil},
		{"<" + l64 + "@example.org>", l64 + "@example.org", Mailbox, false, nil},
		{"<ñ@example.org>", "", 0, false, ErrNeedUTF8},
		{"<n@bücher.example>", "", 0, false, ErrNeedUTF8},
		{"<\xff@example.org>", "", 0, true, ErrUTF8},
		{"<\u0085a@example.org>", "", 0, true, ErrControl},
		{"<a@b", "", 0, false, ErrSyntax},
		{"a@b", "", 0, false, ErrSyntax},
		{"<a@b> ", "", 0, false, ErrSyntax},
		{"< a@b>", "", 0, false, ErrLocalSyntax},
		{"<a b@c>", "", 0, false, ErrLocalSyntax},
		{"<a@b c>", "", 0, false, ErrDomainSyntax},
		{"<a..b@c>", "", 0, false, ErrLocalSyntax},
		{"<.a@c>", "", 0, false, ErrLocalSyntax},
		{"<a.@c>", "", 0, false, ErrLocalSyntax},
		{"<a\x00b@c>", "", 0, false, ErrControl},
		{"<\"a\r\nb\"@c>", "", 0, false, ErrControl},
		{`<""@c>`, "", 0, false, ErrLocalSyntax},
		{`<"a@c>`, "", 0, false, ErrLocalSyntax},
		{"<user>", "", 0, false, ErrNoDomain},
		{"<a@>", "", 0, false, ErrDomainSyntax},
		{"<a@b.example.>", "", 0, false, ErrTrailingDot},
		{"<a@b@c>", "", 0, false, ErrDomainSyntax},
		{"<a@192.0.2.1>", "", 0, false, ErrDomainSyntax},
		{"<a@[192.0.2.256]>", "", 0, false, ErrLiteral},
		{"<a@[IPv6:fe80::1%eth0]>", "", 0, false, ErrLiteral},
		{"<@a,b:c@d>", "", 0, false, ErrSyntax},
		{"<@a>", "", 0, false, ErrSyntax},
		{"<@a:postmaster>", "", 0, false, ErrNoDomain},
		{"<" + strings.Repeat("l", 129) + "@example.org>", "", 0, false, ErrLocalTooLong},
		{"", "", 0, false, ErrSyntax},
		{"<", "", 0, false, ErrSyntax},
	} {
		p, err := ParsePath(c.in, c.utf8)
		if err != c.err || p.Kind != c.kind || p.String() != c.out {
			t.Errorf("ParsePath(%q) = %q (%v), %v; want %q (%v), %v", c.in, p, p.Kind, err, c.out, c.kind, c.err)
		}
	}
	p, rest, err := ScanPath("<@a,@b:u@c> SIZE=1", false)
	if err != nil || rest != " SIZE=1" || p.Route != "@a,@b" {
		t.Errorf("ScanPath: %+v %q %v", p, rest, err)
	}
}

func TestLocalpart(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ in, sep, base, detail string }{
		{"user+news", "+", "user", "news"},
		{"user+a+b", "+", "user", "a+b"},
		{"user-x+y", "+-", "user", "x+y"},
		{"user", "+", "user", ""},
		{"user+", "+", "user", ""},
		{"+x", "+", "+x", ""},
		{"user+x", "", "user+x", ""},
	} {
		if b, d := SplitDetail(Localpart(c.in), c.sep); string(b) != c.base || d != c.detail {
			t.Errorf("SplitDetail(%q, %q) = %q, %q", c.in, c.sep, b, d)
		}
	}
	for l, want := range map[Localpart]bool{"user%dom": true, "a!b": true, "a@b": true, "user": false, "a+b=c": false} {
		if LegacyRoute(l) != want {
			t.Errorf("LegacyRoute(%q) = %v", l, !want)
		}
	}
	if Localpart("JOSE\u0301").Fold() != "jos\u00e9" || Localpart("Bob").Fold() != "bob" {
		t.Error("Fold")
	}
}

func TestParsePathAllocs(t *testing.T) {
	for _, s := range []string{"<bounce-123=user@mail.example.org>", "<>", "<a@[192.0.2.1]>", `<"a b"@example.org>`, "<a@b@c>"} {
		if n := testing.AllocsPerRun(100, func() { ParsePath(s, true) }); n != 0 {
			t.Errorf("%s: %v allocations", s, n)
		}
	}
}

func BenchmarkParsePath(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ParsePath("<bounce-123=user@mail.example.org>", false); err != nil {
			b.Fatal(err)
		}
	}
}

func FuzzPath(f *testing.F) {
	for _, s := range []string{"<>", "<a@b>", "<Postmaster>", "<@a:b@c>", `<"\\\""@c>`, "<a@[IPv6:::1]>", "<a@[x:y]>", "<ñ@bücher.example>", "<a@[IPv6:::ffff:1.2.3.4]>", "<\"postmaster\">"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p, err := ParsePath(s, true)
		if err != nil {
			if p != (Path{}) {
				t.Fatal("value with error")
			}
			return
		}
		p.Route = ""
		if again, err := ParsePath("<"+p.String()+">", true); err != nil || again != p {
			t.Fatalf("%q → %+v → %q → %+v, %v", s, p, p, again, err)
		}
		if strings.ContainsAny(p.String(), "\r\n\x00") || len(p.Domain) > MaxDomain || len(p.Local) > HardLocalpart {
			t.Fatalf("%q", p)
		}
		if d := p.Domain; d != "" {
			if u, err := ParseDomain(d.Unicode()); err != nil || u != d {
				t.Fatalf("%q → %q → %q, %v", d, d.Unicode(), u, err)
			}
		}
	})
}
