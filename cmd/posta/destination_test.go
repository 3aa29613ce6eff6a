package main

import (
	"strings"
	"testing"
	"time"

	"posta/internal/command"
	"posta/internal/destination"
	"posta/internal/finding"
	"posta/internal/refusal"
	"posta/internal/words"
)

// What posta destination prints of a provider that has turned against us.
func TestPrintDestination(t *testing.T) {
	d := destination.Domain{Domain: "gmail.com", Provider: "Gmail", Delivered: 70, Deferred: 5, Troubles: []destination.Count{{
		Outcome: destination.Deferred, N: 5, Remote: "mx.google.com [192.0.2.1]:25", At: time.Now(), TLS: "TLS 1.3", Reply: "421-4.7.26 no\x1b[31m\n421 4.7.26 auth",
		Reading: refusal.Reading{Provider: "Gmail", Code: "4.7.26", Check: finding.DKIMMissing, Advice: "auth", Link: "https://support.google.com/x"},
	}}}
	for lang, want := range map[string][]string{
		"en": {"gmail.com: 70 delivered, 5 times put off, 0 refused; 0 times without TLS.\n", "5 × put off 4.7.26 (Gmail)\n", "  they say: 421-4.7.26 no?[31m 421 4.7.26 auth\n",
			"  our check: dkim.missing: The message has no DKIM signature\n", "  next step: SPF or DKIM must pass", "  their page: https://support.google.com/x\n"},
		"es": {"5 × aplazado 4.7.26 (Gmail)\n", "  paso siguiente: SPF o DKIM deben pasar"},
	} {
		var out strings.Builder
		c := &cli{out: &out}
		c.lang = words.Lang(lang)
		c.showDestination(&d)
		for _, w := range want {
			if !strings.Contains(out.String(), w) {
				t.Errorf("%s: no %q in\n%s", lang, w, out.String())
			}
		}
		out.Reset()
		c.listDestinations(&command.Destinations{Domains: []destination.Domain{d}})
		if f := strings.Fields(strings.Split(out.String(), "\n")[1]); strings.Join(f, " ") != "gmail.com 70 5 0 0 Gmail dkim.missing" {
			t.Errorf("%s:\n%s", lang, out.String())
		}
	}
}
