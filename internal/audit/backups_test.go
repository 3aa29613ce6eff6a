package audit

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"posta/internal/finding"
	"posta/internal/probe"
	"posta/internal/resolver"
)

// CH-MX-05: what a backup exchanger asks for less than the first is told; what it asks
// for as well, or did not answer, is not.
func TestBackups(t *testing.T) {
	for _, tc := range []struct {
		what string
		do   func(first, backup *probe.SMTP)
		want string
	}{
		{"both are alike", func(_, _ *probe.SMTP) {}, "pass"},
		{"no STARTTLS", func(_, b *probe.SMTP) { b.Clear.StartTLS = false }, "STARTTLS"},
		{"neither has STARTTLS", func(f, b *probe.SMTP) { f.Clear.StartTLS, b.Clear.StartTLS = false, false }, "pass"},
		{"it takes strangers", func(_, b *probe.SMTP) { b.Invented = reply(250, "ok") }, "accepted"},
		{"it puts strangers off", func(_, b *probe.SMTP) { b.Invented = reply(450, "later") }, "pass"},
		{"it relays", func(_, b *probe.SMTP) { b.Relay[0].Accepted = true }, "for anybody"},
		{"it refuses postmaster@", func(_, b *probe.SMTP) { b.Roles[0].Exchange = reply(550, "nobody") }, "nobody"},
		{"it is away", func(_, b *probe.SMTP) { *b = probe.SMTP{Target: b.Target} }, "none"},
	} {
		first, backup := seenWell(), seenWell()
		backup.Host = "mx2.good.test"
		tc.do(first, backup)
		found := backups([]exchangerSeen{{20, backup}, {10, first}})
		got := "none"
		if len(found) == 1 {
			got = found[0].Outcome.String() + " " + fmt.Sprint(found[0].Evidence)
		}
		if !strings.Contains(got, tc.want) || strings.HasPrefix(got, "pass") != (tc.want == "pass") {
			t.Errorf("%s: %s", tc.what, got)
		}
	}
	if found := backups([]exchangerSeen{{10, seenWell()}, {10, seenWell()}}); found != nil {
		t.Errorf("two of one preference: %v", found)
	}
}

// CH-DNS-02: the SOA's mailbox is asked for at its exchanger, and a refusal of ourselves
// is none of the mailbox.
func TestContactIsAccepted(t *testing.T) {
	zone := wellKept()
	for _, tc := range []struct {
		what string
		says map[string]string
		want finding.Outcome
		said string
	}{
		{"it is read", nil, finding.Pass, "250"},
		{"it does not exist", map[string]string{"RCPT TO:<hostmaster": "550 5.1.1 nobody"}, finding.Fail, "nobody"},
		{"no code, and postmaster@ is taken", map[string]string{"RCPT TO:<hostmaster": "550 unrouteable"}, finding.Fail, "unrouteable"},
		{"we are refused", map[string]string{"RCPT": "550 5.7.1 you are listed"}, finding.Pass, "listed"},
		{"it is put off", map[string]string{"RCPT": "451 4.7.1 later"}, finding.Pass, "later"},
		{"we may not even begin", map[string]string{"MAIL": "550 5.7.1 go away"}, finding.Pass, "MAIL is answered"},
	} {
		h := newHarbour(t, "mx.good.test", nil)
		h.says = tc.says
		cfg := h.config(zone)
		cfg.Now = time.Now
		a := &audit{Target: Target{Domain: "good.test"}, cfg: cfg}
		found := a.contact(t.Context(), "good.test")
		if len(found) != 1 || found[0].Outcome != tc.want || !strings.Contains(fmt.Sprint(found[0].Evidence), tc.said) {
			t.Errorf("%s: %v", tc.what, found)
		}
	}
	away := &audit{Target: Target{Domain: "good.test"}, cfg: Config{Resolver: resolver.Resolver(zone), Dial: noDoors}}
	if found := away.contact(t.Context(), "good.test"); found[0].Outcome != finding.Pass {
		t.Errorf("nobody answers us: %v", found)
	}
}
