package helo

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"posta/internal/resolver"
)

var (
	client = netip.MustParseAddr("192.0.2.1")
	own    = Own{
		Names:   []string{"mx.posta.example"},
		Addrs:   []netip.Addr{netip.MustParseAddr("203.0.113.25"), netip.MustParseAddr("2001:db8::25")},
		IsLocal: func(d string) bool { return d == "posta.example" },
	}
)

func TestClassify(t *testing.T) {
	t.Parallel()
	for arg, want := range map[string]string{
		"":                               "empty",
		"Mail.Example.ORG":               "fqdn mail.example.org",
		"mail.example.org.":              "fqdn mail.example.org",
		"xn--espaa-rta.example":          "fqdn xn--espaa-rta.example",
		"PC-SECRETARIA":                  "single label pc-secretaria",
		"localhost":                      "single label localhost",
		"[192.0.2.1]":                    "own address literal 192.0.2.1",
		"[192.0.2.2]":                    "foreign address literal 192.0.2.2",
		"[IPv6:2001:db8::1]":             "foreign address literal 2001:db8::1",
		"[ipv6:::ffff:192.0.2.1]":        "own address literal 192.0.2.1",
		"[2001:db8::1]":                  "invalid address literal 2001:db8::1",
		"[IPv6:192.0.2.1]":               "invalid address literal 192.0.2.1",
		"[192.0.2]":                      "invalid address literal",
		"[192.0.2.1":                     "invalid address literal",
		"[]":                             "invalid address literal",
		"[X-tag:foo]":                    "invalid address literal",
		"[IPv6:fe80::1%eth0]":            "invalid address literal",
		"192.0.2.1":                      "bare address 192.0.2.1",
		"2001:db8::1":                    "bare address 2001:db8::1",
		"pc_ana.example.org":             "bad name",
		"-x.example.org":                 "bad name",
		"ñ.example.org":                  "bad name",
		strings.Repeat("x", 64) + ".org": "bad name",
		"1.2.3.400":                      "bad name",
		"a..b":                           "garbage",
		".":                              "garbage",
		"me@example.org":                 "garbage",
		"two words":                      "garbage",
		"\x00\x01":                       "garbage",
		"<script>.example":               "garbage",
		strings.Repeat("a.", 200):        "garbage",
		"mx.posta.example":               "fqdn mx.posta.example; our host name",
		"MX.posta.example.":              "fqdn mx.posta.example; our host name",
		"posta.example":                  "fqdn posta.example; our domain",
		"203.0.113.25":                   "bare address 203.0.113.25; our address",
		"[203.0.113.25]":                 "foreign address literal 203.0.113.25; our address",
		"[2001:db8::25]":                 "invalid address literal 2001:db8::25; our address",
		"other.posta.example":            "fqdn other.posta.example",
	} {
		c := Classify(arg, client, own)
		got := c.Shape.String()
		if c.Name != "" {
			got += " " + c.Name
		}
		if c.Addr.IsValid() {
			got += " " + c.Addr.String()
		}
		if c.Claim != ClaimsNothing {
			got += "; " + c.Claim.String()
		}
		if got != want || (c.Reason != "") != (c.Shape == LiteralInvalid || c.Shape >= BadName) {
			t.Errorf("%q: got %s (%s), want %s", arg, got, c.Reason, want)
		}
	}
	for _, us := range []string{"127.0.0.1", "::1", "203.0.113.25", "::ffff:203.0.113.25"} {
		if c := Classify("mx.posta.example", netip.MustParseAddr(us), own); c.Claim != ClaimsNothing {
			t.Errorf("from %s, which is us: %v", us, c.Claim)
		}
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	zone := resolver.Static{
		"mx.example":    {"A 192.0.2.1"},
		"other.example": {"A 192.0.2.9"},
		"six.example":   {"AAAA 2001:db8::1"},
		"text.example":  {"TXT hello"},
		"slow.example":  {"FAIL timeout"},
		"half.example":  {"A FAIL servfail", "AAAA 2001:db8::1"},
	}
	for _, tc := range []struct {
		what string
		f    Facts
		want string
	}{
		{"its own name", Facts{Arg: "MX.example"}, "fqdn, exists, address"},
		{"the reverse name", Facts{Arg: "other.example", Confirmed: []string{"other.example"}}, "fqdn, exists, reverse DNS"},
		{"SPF of the name", Facts{Arg: "other.example", SPFPass: true}, "fqdn, exists, SPF"},
		{"another's name", Facts{Arg: "other.example", Confirmed: []string{"mx.example"}}, "fqdn, exists, unproven"},
		{"not all is known", Facts{Arg: "other.example", Unverified: true}, "fqdn, exists, could not verify"},
		{"the other family", Facts{Arg: "six.example"}, "fqdn, exists, unproven"},
		{"no address", Facts{Arg: "text.example"}, "fqdn, no address, unproven"},
		{"no name", Facts{Arg: "gone.example"}, "fqdn, no such name, unproven"},
		{"a timeout is not a missing name", Facts{Arg: "slow.example"}, "fqdn, could not verify, could not verify"},
		{"half a failure", Facts{Arg: "half.example"}, "fqdn, exists, could not verify"},
		{"own literal", Facts{Arg: "[192.0.2.1]"}, "own address literal, not asked, address literal"},
		{"foreign literal", Facts{Arg: "[192.0.2.7]"}, "foreign address literal, not asked, unproven"},
		{"single label", Facts{Arg: "PC-SECRETARIA"}, "single label, not asked, not applicable"},
	} {
		tc.f.Client, tc.f.Own = client, own
		res := Check(t.Context(), zone, tc.f)
		if got := fmt.Sprintf("%v, %v, %v", res.Shape, res.Existence, res.Proof); got != tc.want {
			t.Errorf("%s: got %s (%v), want %s", tc.what, got, res.Err, tc.want)
		}
	}
	f := Facts{Arg: "six.example", Client: netip.MustParseAddr("2001:db8::1")}
	if res := Check(t.Context(), zone, f); res.Proof != ByAddress || !res.Proof.Tied() {
		t.Errorf("IPv6 client: %v", res.Proof)
	}
}

// FuzzClassify: every argument has one shape; a name that comes out can be asked of DNS.
func FuzzClassify(f *testing.F) {
	for _, s := range []string{"mx.example.org", "[IPv6:::1]", "a_b.c", "PC", "1.2.3.4"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, arg string) {
		c := Classify(arg, client, own)
		named := c.Shape == FQDN || c.Shape == SingleLabel
		if named != (c.Name != "") {
			t.Fatalf("%q: %v with name %q", arg, c.Shape, c.Name)
		}
		if !named {
			return
		}
		if n, err := resolver.Normalize(c.Name); err != nil || n != c.Name {
			t.Fatalf("%q: name %q: %v", arg, c.Name, err)
		}
		if again := Classify(c.Name, client, own); again.Shape != c.Shape || again.Name != c.Name {
			t.Fatalf("%q: %v became %v", arg, c, again)
		}
	})
}

func BenchmarkClassify(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if c := Classify("mail.example.org", client, own); c.Shape != FQDN {
			b.Fatal(c)
		}
	}
}
