package spf

import (
	"errors"
	"reflect"
	"strings"
	"testing"
)

func TestParsePrints(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"v=spf1": "v=spf1", "v=spf1   ": "v=spf1",
		"V=spf1 +A MX/24 a:Example.com/24//64 -ALL":                 "v=spf1 a mx/24 a:Example.com/24//64 -all",
		"v=spf1 ip4:192.0.2.7/24 IP6:2001:DB8::1/128 ?all":          "v=spf1 ip4:192.0.2.7/24 ip6:2001:db8::1 ?all",
		"v=spf1 a//64 mx:x.org/32 ptr ptr:x.org ~include:a.b":       "v=spf1 a//64 mx:x.org ptr ptr:x.org ~include:a.b",
		"v=spf1 exists:%{l1r-+/}.x.org REDIRECT=%{d2} m.y-z_1=%{t}": "v=spf1 exists:%{l1r-+/}.x.org redirect=%{d2} m.y-z_1=%{t}",
		"v=spf1 mx:foo:bar/baz.example.com exp=%%.x.org.":           "v=spf1 mx:foo:bar/baz.example.com exp=%%.x.org.",
		"v=spf1 a:%{d/}/24": "v=spf1 a:%{d/}/24",
	} {
		r, err := Parse(in)
		if err != nil || r.String() != want {
			t.Errorf("%s: got %s, %v; want %s", in, r, err, want)
		}
	}
}

func TestParseErrors(t *testing.T) {
	t.Parallel()
	for _, term := range []string{
		"al", "all:x", "-redirect=x.org", "include", "include:", "include:x", "include:x.org/24", "include:x.123", "include:x.-a", "include:x.a-",
		"a:", "a/", "a//", "a/33", "a//129", "a/032", "a:/24", "a/24/64", "a:x.org/", "a:museum", "a:museum.", "a:1.2.3.4",
		"ip4", "ip4:", "ip4:1.2.3", "ip4:1.2.3.4/", "ip4:1.2.3.4/33", "ip4:1.2.3.4/01", "ip4:2001:db8::1", "ip6:1.2.3.4", "ip6:::1/129", "ip6:fe80::1%eth0",
		"ptr:", "ptr/24", "exists", "exists:", "exists:%", "exists:%{", "exists:%{}", "exists:%{z}.x.org", "exists:%{c}.x.org", "exists:%{d0}", "exists:%{dx}", "exists:%(d).x.org",
		"redirect=", "redirect=x.org redirect=y.org", "exp=a.b Exp=a.b", "x=%", "x=%{d", "x=\x80", "a:x.\x00org", "=x", ":x", "a\tb", "ñ", "+", "-",
	} {
		_, err := Parse("v=spf1 mx " + term + " -all")
		var syntax *SyntaxError
		if !errors.Is(err, ErrSyntax) || !errors.As(err, &syntax) || syntax.Offset < 10 {
			t.Errorf("%q: got %v", term, err)
		}
	}
	for _, rec := range []string{"", "v=spf10", "v=spf1-all", "v=spf2 -all", "spf1 -all", "v=spf1 " + strings.Repeat("a ", maxRecord/2)} {
		if _, err := Parse(rec); !errors.Is(err, ErrSyntax) {
			t.Errorf("%.20q: got %v", rec, err)
		}
	}
}

// FuzzParse: what is printed is read back as the same terms, and terms lie where they say.
func FuzzParse(f *testing.F) {
	f.Add("v=spf1 a:%{d/}/24//64 mx//0 ip6:::1/64 exists:%{l1r-}.%{v}.x.org exp=a.b x=%%%_%- redirect=%{o} -all")
	f.Add("v=spf1 mx:foo:bar/baz.example.com ?ptr:x.org. ~include:_spf.%{d2}")
	f.Fuzz(func(t *testing.T, s string) {
		r, err := Parse(s)
		if err != nil {
			if !errors.Is(err, ErrSyntax) {
				t.Fatal(err)
			}
			return
		}
		again, err := Parse(r.String())
		if err != nil {
			t.Fatalf("%q: printed as %q: %v", s, r, err)
		}
		for i, x := range r.Terms {
			if s[x.Offset:x.Offset+len(x.Text)] != x.Text {
				t.Fatalf("term %q is not at %d", x.Text, x.Offset)
			}
			y := again.Terms[i]
			x.Text, x.Offset, y.Text, y.Offset = "", 0, "", 0
			if !reflect.DeepEqual(x, y) {
				t.Fatalf("%q: %+v became %+v", s, x, y)
			}
		}
	})
}

// FuzzExpand: a macro-string that was checked expands within its budget, and only spaces from %_ are new.
func FuzzExpand(f *testing.F) {
	f.Add("%{ir}.%{v}.%{l1r-+}._spf.%{d2}", "strong-bad", "example.com")
	f.Add("%{S100r=}%%%_%-", "a@b", "x..y")
	f.Fuzz(func(t *testing.T, s, local, domain string) {
		if checkMacro(s, anyLetter) != "" {
			return
		}
		value := func(l byte) string {
			if l == 'd' {
				return domain
			}
			return local
		}
		const most = 500
		out, ok := expand(nil, s, value, most)
		if ok != (len(out) <= most) {
			t.Fatalf("%d octets, ok %v", len(out), ok)
		}
		if ok && !strings.Contains(s, "%") && string(out) != s {
			t.Fatalf("%q became %q", s, out)
		}
	})
}
