package intake

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"posta/internal/mail"
	"posta/internal/reportout"
)

// Which messages reports to other domains are made of: what strangers send, once it is kept
// or refused for good.
func TestJudged(t *testing.T) {
	h := newHouse(t)
	var got []string
	h.cfg.Judged = func(j reportout.Judged) {
		got = append(got, fmt.Sprintf("%s %s spf=%s %s report=%t", j.DMARC.Author, j.DMARC.Status, j.SPF.Status, j.Done, j.Report))
	}
	forged := strings.Replace(letter, "From: a@good.example", "From: cuentas@bank.example", 1)
	own := mail.Client{Door: mail.Submission, Class: mail.Authenticated, Account: int64(h.ids["ana"]), HELO: "portatil"}
	local := stranger()
	local.Class = mail.LocalNetwork
	for _, c := range []struct {
		what   string
		client mail.Client
		from   string
		text   string
		want   string // "": nobody is told
	}{
		{"kept", stranger(), "a@good.example", letter, "good.example none spf=pass accept report=false"},
		{"refused for good", stranger(), "a@good.example", forged, "bank.example fail spf=pass reject report=false"},
		{"a report", stranger(), "a@good.example", "Subject: report domain: x Submitter: y\r\n" + letter, "good.example none spf=pass accept report=true"},
		{"a TLS report", stranger(), "a@good.example", "TLS-Report-Domain: x\r\n" + letter, "good.example none spf=pass accept report=true"},
		{"our own user's", own, "ana@empresa.test", letter, ""},
		{"the local network's", local, "a@good.example", letter, ""},
	} {
		got = nil
		h.talk(c.client, c.from, []string{"ana@empresa.test"}, c.text)
		var want []string
		if c.want != "" {
			want = []string{c.want}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: told %q, want %q", c.what, got, want)
		}
	}
}
