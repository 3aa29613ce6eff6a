package dnsbl

import (
	"net/netip"
	"strings"
	"testing"

	"posta/internal/resolver"
)

// Every row can be read, and says all that a person needs.
func TestCatalogue(t *testing.T) {
	seen := map[string]bool{}
	for _, l := range Catalogue() {
		name := strings.TrimPrefix(l.Zone, "*.")
		if n, err := resolver.Normalize(name); err != nil || n != name || seen[l.Zone] {
			t.Errorf("%s: no normal name, or twice", l.Zone)
		}
		seen[l.Zone] = true
		if l.Terms == "" || l.State != Gone && (l.What == "" || !strings.HasPrefix(l.Delist, "https://")) {
			t.Errorf("%s: says too little", l.Zone)
		}
		if strings.HasPrefix(l.Zone, "*.") != (strings.Contains(l.Terms, "a key") && l.State == WithAccount) {
			t.Errorf("%s: a zone with a key is written *.zone, and its terms say so", l.Zone)
		}
		if l.Form != WholeName && l.Kind != Domains {
			t.Errorf("%s: only a list of domains wants a name in some form", l.Zone)
		}
		if (l.Form == RegisteredDomain) != strings.Contains(l.Terms, "registered domain") {
			t.Errorf("%s: the terms tell of the form and the row does not, or the other way round", l.Zone)
		}
		for _, c := range l.Codes {
			if c.Meaning == "" || !matchesSomething(c.Pattern) {
				t.Errorf("%s: %q matches no answer", l.Zone, c.Pattern)
			}
		}
		if l.Refusal != "" && !matchesSomething(l.Refusal) {
			t.Errorf("%s: %q matches no answer", l.Zone, l.Refusal)
		}
	}
}

func matchesSomething(p Pattern) bool {
	for c := range 256 {
		for d := range 256 {
			if p.matches([4]byte{127, 0, byte(c), byte(d)}) {
				return true
			}
		}
	}
	return false
}

func TestPattern(t *testing.T) {
	for _, tt := range []struct {
		p    Pattern
		code string
		want bool
	}{
		{"127.0.0.4-7", "127.0.0.4", true}, {"127.0.0.4-7", "127.0.0.7", true}, {"127.0.0.4-7", "127.0.0.8", false}, {"127.0.0.4-7", "127.0.1.4", false},
		{"127.0.*.3", "127.0.15.3", true}, {"127.0.*.3", "127.0.15.2", false},
		{"bit 8", "127.0.0.10", true}, {"bit 8", "127.0.0.2", false}, {"bit 8", "127.0.1.8", false}, {"bit 8", "10.0.0.8", false},
		{"", "127.0.0.2", false}, {"127.0.0", "127.0.0.2", false}, {"127.0.0.2.5", "127.0.0.2", false}, {"127.0.0.x", "127.0.0.2", false}, {"bit x", "127.0.0.2", false},
	} {
		if got := tt.p.matches(netip.MustParseAddr(tt.code).As4()); got != tt.want {
			t.Errorf("%q and %s: %v", tt.p, tt.code, got)
		}
	}
}

// What a zone in the configuration is told.
func TestUsable(t *testing.T) {
	for _, tt := range []struct {
		zone string
		kind Kind
		want string
	}{
		{"zen.spamhaus.org", Addresses, ""},
		{"ZEN.spamhaus.org.", Addresses, ""},
		{"dnsbl.example.org", Addresses, ""},
		{"k3y.zen.dq.spamhaus.net", Addresses, ""},
		{"multi.surbl.org", Domains, ""},
		{"zen.spamhouse.org", Addresses, `"zen.spamhouse.org" is not known; did you mean "zen.spamhaus.org"?`},
		{"bl.spancop.net", Addresses, `"bl.spancop.net" is not known; did you mean "bl.spamcop.net"?`},
		{"dnsbl.sorbs.net", Addresses, "the list dnsbl.sorbs.net is dead: closed on 2024-06-05; remove it"},
		{"ix.dnsbl.manitu.net", Addresses, "the list ix.dnsbl.manitu.net is dead: closed in January 2025; remove it"},
		{"dbl.spamhaus.org", Addresses, "dbl.spamhaus.org lists domains: it must not be asked about addresses"},
		{"zen.spamhaus.org", Domains, "zen.spamhaus.org lists addresses: it must not be asked about domains"},
		{"ebl.msbl.org", Domains, "ebl.msbl.org lists hashes of mail addresses, which are not asked about; remove it"},
		{"zen", Addresses, `"zen" is no zone of a DNS list, such as zen.spamhaus.org`},
		{"a..b", Addresses, `"a..b" is no zone of a DNS list, such as zen.spamhaus.org`},
	} {
		got := ""
		if _, err := Usable(tt.zone, tt.kind); err != nil {
			got = err.Error()
		}
		if got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.zone, got, tt.want)
		}
	}
	// Nobody is told that a good list is a misspelt other one.
	for _, l := range Catalogue() {
		zone := strings.Replace(l.Zone, "*", "k3y", 1)
		if _, err := Usable(zone, l.Kind); err != nil && l.State != Gone && l.Kind != Hashes {
			t.Errorf("%s: %v", zone, err)
		}
	}
}

// Codes become words, a list's own refusals are none, and a key stays secret.
func TestMeanings(t *testing.T) {
	t.Parallel()
	z := resolver.Static{}
	for zone, answers := range map[string]map[string]string{
		"zen.spamhaus.org":              {"2.0.0.127": "127.0.0.2", "5.2.0.192": "127.0.0.4 127.0.0.10"},
		"list.dnswl.org":                {"2.0.0.127": "127.0.10.3", "5.2.0.192": "127.0.15.2", "6.2.0.192": "127.0.0.255"},
		"hostkarma.junkemailfilter.com": {"2.0.0.127": "127.0.0.2", "5.2.0.192": "127.0.0.1", "6.2.0.192": "127.0.0.2"},
		"multi.surbl.org":               {"surbl-org-permanent-test-point.com": "127.0.0.254", "bad.example": "127.0.0.72", "blocked.example": "127.0.0.1"},
		"dbl.spamhaus.org":              {"test": "127.0.1.2", "bad.example": "127.0.1.4", "ip.example": "127.0.1.255"},
		"k3y.zen.dq.spamhaus.net":       {"2.0.0.127": "127.0.0.2", "5.2.0.192": "127.0.0.3"},
		"psbl.surriel.com":              {"2.0.0.127": "127.0.0.2", "5.2.0.192": "127.0.0.99"},
		"dnsbl.example":                 {"2.0.0.127": "127.0.0.2", "5.2.0.192": "127.0.0.9"},
	} {
		for subject, codes := range answers {
			for code := range strings.FieldsSeq(codes) {
				z[subject+"."+zone] = append(z[subject+"."+zone], "A "+code)
			}
		}
	}
	c := New(z, nil)
	for _, tt := range []struct{ zone, subject, want string }{
		{"zen.spamhaus.org", "192.0.2.5", "zen.spamhaus.org: listed 127.0.0.4 127.0.0.10 (XBL: hijacked host or proxy; PBL: the provider says that this address sends no mail by itself)"},
		{"list.dnswl.org", "192.0.2.5", "list.dnswl.org: listed 127.0.15.2 (medium trust), good"},
		{"list.dnswl.org", "192.0.2.6", "list.dnswl.org: could not verify 127.0.0.255 (refused)"},
		{"hostkarma.junkemailfilter.com", "192.0.2.5", "hostkarma.junkemailfilter.com: listed 127.0.0.1 (white: sends no spam), good"},
		{"hostkarma.junkemailfilter.com", "192.0.2.6", "hostkarma.junkemailfilter.com: listed 127.0.0.2 (black: sends spam only)"},
		{"multi.surbl.org", "bad.example", "multi.surbl.org: listed 127.0.0.72 (PH: phishing; ABUSE: spam)"},
		{"multi.surbl.org", "blocked.example", "multi.surbl.org: could not verify 127.0.0.1 (refused)"},
		{"dbl.spamhaus.org", "bad.example", "dbl.spamhaus.org: listed 127.0.1.4 (phishing domain)"},
		{"dbl.spamhaus.org", "ip.example", "dbl.spamhaus.org: could not verify 127.0.1.255 (refused)"},
		{"k3y.zen.dq.spamhaus.net", "192.0.2.5", "zen.dq.spamhaus.net: listed 127.0.0.3 (SBL CSS: source of low-reputation mail)"},
		{"psbl.surriel.com", "192.0.2.5", "psbl.surriel.com: listed 127.0.0.99 (addresses that sent to spam traps)"},
		{"dnsbl.example", "192.0.2.5", "dnsbl.example: listed 127.0.0.9"},
	} {
		var r Result
		if ip, err := netip.ParseAddr(tt.subject); err == nil {
			r = c.IP(t.Context(), tt.zone, ip)
		} else {
			r = c.Domain(t.Context(), tt.zone, tt.subject)
		}
		got := r.String()
		if r.Good {
			got += ", good"
		}
		if got != tt.want {
			t.Errorf("got  %s\nwant %s", got, tt.want)
		}
		if r.Status == Listed && r.List != nil && (r.Delist == "" || strings.Contains(r.Delist, "{")) {
			t.Errorf("%s: delist at %q", tt.zone, r.Delist)
		}
	}
}

// FEATURE(dnsbl) of sendmail: each list with its own text.
func TestReplyText(t *testing.T) {
	r := Result{Name: "dnsbl.example", Subject: "192.0.2.5"}
	for template, want := range map[string]string{
		"": "Rejected: 192.0.2.5 listed at dnsbl.example",
		"550 Mail from $&{client_addr} refused, see https://x/{client_addr}": "550 Mail from 192.0.2.5 refused, see https://x/192.0.2.5",
	} {
		if got := ReplyText(template, r); got != want {
			t.Errorf("%q: %q", template, got)
		}
	}
}
