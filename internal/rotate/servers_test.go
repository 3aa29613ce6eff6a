package rotate

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"posta/internal/authority"
	"posta/internal/dkim"
	"posta/internal/resolver"
)

// One server is what its addresses say: a silent one counts only if none answers, and
// one that has not got the zone says nothing of it.
func TestOfServer(t *testing.T) {
	v4, v6 := netip.MustParseAddr("192.0.2.53"), netip.MustParseAddr("2001:db8::53")
	txt := authority.Answer{State: resolver.Found, Authoritative: true, Records: []resolver.Record{{Type: resolver.TypeTXT, TTL: time.Hour, Data: `"v=DKIM1; p="`}}}
	none := authority.Answer{State: resolver.NXDomain, Authoritative: true, Authority: []resolver.Record{{Type: resolver.TypeSOA, TTL: time.Hour, Data: "ns. host. 1 2 3 4 900"}}}
	for _, c := range []struct {
		what  string
		views []authority.View
		want  string
	}{
		{"no IPv6 here", []authority.View{{Host: "ns", Addr: v4, Answer: txt}, {Host: "ns", Addr: v6, Err: errors.New("unreachable")}},
			"ns (192.0.2.53) [v=DKIM1; p=] 1h0m0s <nil>"},
		{"both answer, not alike", []authority.View{{Host: "ns", Addr: v4, Answer: txt}, {Host: "ns", Addr: v6, Answer: none}},
			"ns (192.0.2.53) [v=DKIM1; p=] 1h0m0s <nil>, ns (2001:db8::53) [] 15m0s <nil>"},
		{"silent", []authority.View{{Host: "ns", Addr: v4, Err: errors.New("timeout")}, {Host: "other", Addr: v6, Answer: txt}}, "ns [] 0s timeout"},
		{"lame", []authority.View{{Host: "ns", Addr: v4, Answer: authority.Answer{State: resolver.NoData}}}, "ns [] 0s the server does not have the zone"},
		{"no address", nil, "ns [] 0s the server has no address"},
	} {
		got := ""
		for i, s := range ofServer("ns", c.views) {
			if i > 0 {
				got += ", "
			}
			got += fmt.Sprintf("%s %v %v %v", s.Server, s.Records, s.TTL, s.Err)
		}
		if got != c.want {
			t.Errorf("%s: %s, want %s", c.what, got, c.want)
		}
	}
}

// What a server may show instead of our record, and how it is told.
func TestLacking(t *testing.T) {
	key, err := dkim.GenerateEd25519()
	if err != nil {
		t.Fatal(err)
	}
	ours, err := dkim.Record(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	const revoked, other = "v=DKIM1; k=ed25519; p=", "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=" // RFC 8463 Appendix A
	for _, c := range []struct {
		name, wanted string
		shown        []string
		want         string
	}{
		{"as it is", ours, []string{ours}, ""},
		{"spaces of a provider's page, and a note", ours, []string{strings.ReplaceAll(ours, "; ", ";") + "; n=ours"}, ""},
		{"nothing", ours, nil, "missing"},
		{"twice", ours, []string{ours, ours}, "several"},
		{"another key", ours, []string{other}, "other"},
		{"cut off", ours, []string{ours[:len(ours)-9]}, "other"},
		{"in quotes", ours, []string{`"` + ours + `"`}, "other"},
		{"for tests only", ours, []string{ours + "; t=y"}, "other"},
		{"no subdomains", ours, []string{ours + "; t=s"}, "other"},
		{"not for mail", ours, []string{ours + "; s=tlsrpt"}, "other"},
		{"revoked", ours, []string{revoked}, "other"},
		{"revoked as wanted", revoked, []string{"v=DKIM1;p="}, ""},
		{"still there", revoked, []string{ours}, "other"},
		{"gone already", revoked, nil, ""},
		{"gone as wanted", "", nil, ""},
		{"left", "", []string{revoked}, "left"},
	} {
		if got := lacking(c.wanted, Sight{Records: c.shown}); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
	if got := lacking("", Sight{Err: errors.New("timeout")}); got != "silent" {
		t.Errorf("no answer is told as %q", got)
	}
}
