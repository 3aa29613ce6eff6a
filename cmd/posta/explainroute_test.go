package main

import (
	"strings"
	"testing"
	"time"

	"posta/internal/command"
	"posta/internal/reportout"
	"posta/internal/words"
)

// What posta explain route prints of a domain with a good host, one that would not be used,
// and a resolver that vouches for nothing.
func TestPrintRoute(t *testing.T) {
	p := command.RoutePlan{Domain: "other.example", Hosts: []command.RouteHost{
		{Name: "mx1.other.example", Port: 25, Addrs: []string{"192.0.2.1"}, TLS: "verified", Source: "mta-sts", Policy: []string{"version: STSv1", "mode: enforce"}},
		{Name: "mx2.other.example", Port: 25, Addrs: []string{"192.0.2.2"}, Error: "The policy does not list\x1b it"},
		{Name: "mx3.other.example", Port: 25, TLS: "opportunistic", Problem: "no policy: 404"},
	}, Notes: []string{"3 of 30 MX hosts are used"}}
	for lang, want := range map[words.Lang]string{
		"en": "other.example goes by its MX, the best host first\n" +
			"  mx1.other.example port 25: 192.0.2.1\n" +
			"    TLS: required, with a certificate that is verified (MTA-STS, enforce)\n" +
			"      version: STSv1\n      mode: enforce\n" +
			"  mx2.other.example port 25: 192.0.2.2\n    is not used: The policy does not list? it\n" +
			"  mx3.other.example port 25: \n    TLS: when it is offered, whatever the certificate (nothing is published)\n    the policy has a fault: no policy: 404\n" +
			"note: 3 of 30 MX hosts are used\nThe resolver vouches for nothing",
		"es": "other.example sale por sus MX, el mejor primero\n",
	} {
		var out strings.Builder
		c := &cli{out: &out, lang: lang}
		c.printRoute(&p)
		if !strings.HasPrefix(out.String(), want) {
			t.Errorf("%s:\n%s\nwant\n%s", lang, out.String(), want)
		}
	}
	for _, c := range []struct {
		plan command.RoutePlan
		word string
	}{
		{command.RoutePlan{Domain: "a.example", Here: true}, "a domain of ours"},
		{command.RoutePlan{Domain: "a.example", Error: "550 5.1.2 no"}, "a.example: 550 5.1.2 no"},
		{command.RoutePlan{Domain: "a.example", Fixed: true, Vouched: true}, "that posta.toml names"},
		{command.RoutePlan{Domain: "a.example", Validates: true}, "is not signed (DNSSEC)"},
	} {
		var out strings.Builder
		(&cli{out: &out, lang: "en"}).printRoute(&c.plan)
		if !strings.Contains(out.String(), c.word) {
			t.Errorf("no %q in %s", c.word, out.String())
		}
	}
}

// What posta report sent ls prints.
func TestPrintSentReports(t *testing.T) {
	at := time.Date(2026, 3, 3, 1, 0, 0, 0, time.UTC)
	out := command.SentReports{
		Sent:       []reportout.Sent{{Day: "20260302", Kind: "dmarc", Domain: "example.org", To: []string{"rua@example.org"}, At: at}, {Day: "20260302", Kind: "tls", Domain: "example.net", Why: "it asks\x1b for none"}},
		Suppressed: []reportout.Suppressed{{Target: "a@example.org", Reason: "refused: 550", Until: at}, {Target: "example.com", By: "ana"}},
	}
	var text strings.Builder
	c := &cli{out: &text, lang: "en"}
	c.printSentReports(&out)
	var lines []string
	for l := range strings.Lines(text.String()) {
		lines = append(lines, strings.Join(strings.Fields(l), " "))
	}
	want := []string{"DAY KIND DOMAIN TOLD NOT TOLD, AND WHY", "20260302 dmarc example.org rua@example.org", "20260302 tls example.net - it asks? for none",
		"NO REPORTS TO SAID BY UNTIL REASON", "a@example.org Posta 2026-03-03 refused: 550", "example.com ana"}
	if strings.Join(lines, "\n") != strings.Join(want, "\n") {
		t.Errorf("%s", text.String())
	}
}
