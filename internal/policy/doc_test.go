package policy

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"posta/internal/mail"
)

var update = flag.Bool("update", false, "write docs/POLICY.md anew")

const docPage = "../../docs/POLICY.md"

// docs/POLICY.md is the table as the code has it.
func TestDocPage(t *testing.T) {
	want := page()
	if *update {
		if err := os.WriteFile(docPage, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(docPage)
	if err != nil || string(got) != want {
		t.Errorf("%s is not what the table says (%v): go test ./internal/policy -run DocPage -update", docPage, err)
	}
}

func page() string {
	var b strings.Builder
	b.WriteString(`# Policy

What follows from a failed check, for mail of strangers. This page is made from the code (` + "`go test ./internal/policy -run DocPage -update`" + `); a
running server shows its own with ` + "`posta policy show`" + `. One verdict comes out for each recipient: the hardest step of all rows that apply.

| | |
|---|---|
| **levels** | *lenient*; *strict*, the default, which refuses only what an RFC, the sender's own published policy or the administrator's lists give reason to refuse, and marks the rest; *paranoid*; and the profile *guia*, the values of the five guides |
| **classes** | *own server* is everybody with a server of his own; *big provider* is known by PTR and SPF domain (values that differ are shown behind a slash); clients of the local network and our own users are touched by the rows marked "all" only |
| **steps** | accept; junk (delivered to Junk); quarantine (held, told, reviewed); discard; defer (451); reject (550); greylist (451 once, until the same network comes again); published (what the sender's DMARC record asks for); mark (a keyword on the delivered message) |
| **could not verify** | a look-up that failed is never "missing" and never refuses for good; what follows from it stands in brackets |

A check without a row has no consequence by itself: it counts in the score of ` + "`spam.score`" + `. postmaster@ and abuse@ take mail of clients that are refused
elsewhere (not a loop, not what a scanner found). Over SMTP one reply is for all recipients: when some accept, one whose verdict is a refusal gets the message
into quarantine, never a bounce.

A scanner that would like to see a stranger's message again later (rspamd's action "greylist") is heard where scan.refused refuses, defers or greylists: the
message is put off once, with greylist.wait, by the same memory that serves every other reason. Who came again, and who is known, is not put off.

` + "`trusted_sealers = [\"lists.example.org\"]`" + ` in a policy's text names the forwarders whose word is taken: when such a one sealed a message (ARC, the d= of its
ARC-Seal) and says that DMARC passed when the message came to it, dmarc.fail is not counted (RFC 8617 §7.2), and the trace says so. Nobody is trusted by default.

` + "`password_days`" + ` in [accounts] has a grace: where it is switched on, or made shorter, whose password is older already is told by mail and can log in with it
for ` + "`password_grace`" + ` (14 days; ` + "`\"none\"`" + ` for none) from the switch on. People change their password themselves at https://HOSTNAME/account/password.

    posta policy level guia                          a whole level
    posta policy set ptr.missing junk                one step, for every stranger
    posta policy set ptr.missing accept --class big-provider --for ventas@example.org
    posta policy test changed.toml --since 14d       what it would have done with the last fortnight
    posta policy apply changed.toml                  live at once, and in the audit log with its diff

| check | lenient | strict | paranoid | guia | |
|---|---|---|---|---|---|
`)
	for _, r := range Rules() {
		fmt.Fprintf(&b, "| [%s](CHECKS.md#%s)", r.Check, r.Check)
		for _, l := range Levels() {
			b.WriteString(" | " + cellText(&r, l))
		}
		all := ""
		if r.Everyone {
			all = "all"
		}
		b.WriteString(" | " + all + " |\n")
	}
	b.WriteString("\n## The profile guia\n\nWhere a value comes from (S… are lines of [PRACTICES.md](PRACTICES.md)), and why strict has another one.\n\n| check | guia | strict | guide | why | why strict differs |\n|---|---|---|---|---|---|\n")
	for _, r := range Rules() {
		if g := GuideOf(string(r.Check), "en"); g.Lines != "–" {
			fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s |\n", r.Check, cellText(&r, Guia), cellText(&r, Strict), g.Lines, g.Reason, g.Differs)
		}
	}
	for _, v := range []struct{ key, guia, strict string }{
		{"accounts.password_days", "30", "never"}, {"accounts.password_grace", "14d", "14d"}, {"accounts.messages_per_day", "500", "no limit"},
		{"quarantine.digest", "3d", "3d"}, {"quarantine.overdue", "5d", "5d"},
	} {
		g := GuideOf(v.key, "en")
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s |\n", v.key, v.guia, v.strict, g.Lines, g.Reason, g.Differs)
	}
	return b.String()
}

func cellText(r *Rule, l Level) string {
	own, big := r.Steps[mail.OwnServer][l], r.Steps[mail.BigProvider][l]
	text := plain(own)
	if big != own {
		text += " / " + plain(big)
	}
	if u := r.Unverified[l]; u != fine {
		text += " (" + plain(u) + ")"
	}
	return text
}

// plain is a step in the table: what changes nothing is a dot.
func plain(s Step) string {
	if s == fine {
		return "·"
	}
	return s.String()
}
