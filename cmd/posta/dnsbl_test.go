package main

import (
	"strings"
	"testing"

	"posta/internal/resolver"
)

// S86 to S91: many lists side by side; what a code means; and a list that cannot be believed is named with its cause.
func TestLists(t *testing.T) {
	zone := resolver.Static{
		"2.0.0.127.dyna.spamrats.com":    {"A 127.0.0.36"},
		"34.113.0.203.dyna.spamrats.com": {"A 127.0.0.36", "TXT see the page"},
		"2.0.0.127.psbl.surriel.com":     {"A 127.0.0.2"},
		"*.zen.spamhouse.org":            {"A 199.59.242.151"}, // the guide's misspelt name, parked
		"*.dnsbl.kempt.net":              {"A 127.0.0.2"},      // it lists everything
		"2.0.0.127.list.dnswl.org":       {"A 127.0.10.0"},
		"34.113.0.203.list.dnswl.org":    {"A 127.0.10.2"},
		"test.dbl.spamhaus.org":          {"A 127.0.1.2"},
		"empresa.test.dbl.spamhaus.org":  {"A 127.0.1.4"},
		"empresa.test":                   {"MX 10 mail.empresa.test"},
		"mail.empresa.test":              {"A 203.0.113.34"},
	}
	for _, tc := range []struct {
		what, subject string
		lists         []string
		status        int
		want          []string // in the output
	}{
		{"the last octet is the cause, and the reversed name is shown", "203.0.113.34", []string{"dyna.spamrats.com"}, 1, []string{
			"203.0.113.34  dyna.spamrats.com  listed  ", "asked: 34.113.0.203.dyna.spamrats.com", "answer: 127.0.0.36", "meaning: dynamic address",
			"the list says: see the page", "look up and contest: https://www.spamrats.com/lookup.php?ip=203.0.113.34",
			"1 listings to act on, 0 lists that could not be believed, 1 answers in all.",
		}},
		{"a misspelt list is not a listing", "203.0.113.34", []string{"zen.spamhouse.org", "psbl.surriel.com"}, 0, []string{
			"zen.spamhouse.org  could not verify", "why: the answer lies outside 127.0.0.0/8", "did you mean: zen.spamhaus.org", "psbl.surriel.com   not listed",
		}},
		{"nor is one that lists everything", "203.0.113.34", []string{"dnsbl.kempt.net"}, 75, []string{"why: the list lists everything"}},
		{"a dead one is not asked", "203.0.113.34", []string{"dnsbl.sorbs.net"}, 75, []string{"why: the list does not work", "terms: "}},
		{"an allowlist speaks for it", "203.0.113.34", []string{"list.dnswl.org"}, 0, []string{"list.dnswl.org  listed", "0 listings to act on"}},
		{"a domain, and the hosts of its mail", "empresa.test", []string{"dbl.spamhaus.org", "dyna.spamrats.com"}, 1, []string{
			"empresa.test  dbl.spamhaus.org   listed", "meaning: phishing domain", "203.0.113.34  dyna.spamrats.com  listed", "2 listings to act on",
		}},
	} {
		t.Run(tc.what, func(t *testing.T) {
			var out strings.Builder
			c := &cli{out: &out, lang: "en"}
			all, err := c.askLists(t.Context(), zone, tc.lists, tc.subject)
			if err != nil {
				t.Fatal(err)
			}
			status := 0
			if f, ok := c.showListings(all).(found); ok {
				status = f.status
			}
			if status != tc.status {
				t.Errorf("status %d", status)
			}
			for _, w := range tc.want {
				if !strings.Contains(out.String(), w) {
					t.Errorf("no %q in\n%s", w, out.String())
				}
			}
		})
	}
	for subject, want := range map[string]string{
		"192.168.1.5": "is no public address", "a b": "is neither an IP address nor a domain", "127.0.0.1": "is no public address",
	} {
		if _, err := (&cli{lang: "en"}).askLists(t.Context(), zone, nil, subject); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", subject, err)
		}
	}
	if _, err := (&cli{lang: "en"}).askLists(t.Context(), zone, []string{"dbl.spamhaus.org"}, "203.0.113.34"); err == nil ||
		!strings.Contains(err.Error(), "none of these lists can be asked about it") {
		t.Errorf("an address put to a list of domains: %v", err)
	}
}
