package quarantine

import (
	"cmp"
	"slices"
	"strings"
	"time"
	"unicode"

	"posta/internal/addr"
	"posta/internal/finding"
	"posta/internal/letter"
	"posta/internal/mail"
	"posta/internal/policy"
	"posta/internal/store"
	"posta/internal/words"
)

// Bounds of what is shown of held mail, in characters, and of a digest, in messages.
const (
	maxSubject = 80
	maxSender  = 80
	maxListed  = 100
)

// Safe makes words of a stranger fit for a message of ours: one short line without
// control characters or marks that turn the direction of text, and without anything
// that a mail program would make a link of.
func Safe(s string, most int) string {
	var out []rune
	text := []rune(strings.Join(strings.FieldsFunc(s, func(r rune) bool {
		return unicode.IsSpace(r) || unicode.IsControl(r)
	}), " "))
	for i, r := range text {
		if len(out) >= most {
			return string(out[:most-1]) + "…"
		}
		inside := i > 0 && i+1 < len(text) && text[i-1] != ' ' && text[i+1] != ' '
		switch {
		case unicode.Is(unicode.Cf, r) || unicode.Is(unicode.Co, r) || r == unicode.ReplacementChar:
			out = append(out, '?')
		case r == '.' && inside:
			out = append(out, []rune("[.]")...)
		case r == ':' && inside:
			out = append(out, []rune("[:]")...)
		default:
			out = append(out, r)
		}
	}
	if len(out) > most {
		return string(out[:most-1]) + "…"
	}
	return string(out)
}

// letter is one of ours to a person.
func (k *Keeper) letter(now time.Time, to addr.Address, subject, body string) letter.Letter {
	return letter.From("Posta", k.cfg.Hostname, now, mail.NewID(now), to, subject, body)
}

// write is a digest.
func (k *Keeper) write(now time.Time, to addr.Address, lang words.Lang, items []store.HeldMail, link string, until time.Time) letter.Letter {
	say := lang.Say
	var t strings.Builder
	t.WriteString(say("digest.intro", len(items)) + "\n\n")
	if link != "" {
		t.WriteString(say("digest.link", until.Format(time.DateOnly)) + "\n\n    " + link + "\n\n")
	} else {
		t.WriteString(say("digest.nolink") + "\n\n")
	}
	for _, h := range items[:min(len(items), maxListed)] {
		t.WriteString(entry(&h, to, lang) + "\n")
	}
	if more := len(items) - maxListed; more > 0 {
		t.WriteString(say("digest.more", more) + "\n\n")
	}
	t.WriteString(say("digest.outro") + "\n")
	return k.letter(now, to, say("digest.subject", len(items)), t.String())
}

// entry is one held message in a digest.
func entry(h *store.HeldMail, to addr.Address, lang words.Lang) string {
	say := lang.Say
	out := say("digest.from", Safe(cmp.Or(h.Author, h.Out.ReversePath, "<>"), maxSender)) + "\n" +
		say("digest.about", Safe(h.Subject, maxSubject)) + "\n" +
		say("digest.when", h.At.Format("2006-01-02 15:04 -0700")) + "\n"
	if !strings.EqualFold(h.Recipient, to.String()) {
		out += say("digest.for", Safe(h.Recipient, maxSender)) + "\n"
	}
	for _, r := range h.Reasons {
		out += say("digest.why", finding.TextOf(finding.ID(r.Check), string(lang)).Title) + "\n"
	}
	return out
}

// writeSummary is what a domain's postmaster reads of what nobody has looked at.
func (k *Keeper) writeSummary(now time.Time, to addr.Address, lang words.Lang, st store.HeldStat, waits []store.HeldMail, q policy.Quarantine) letter.Letter {
	say := lang.Say
	var t strings.Builder
	t.WriteString(say("summary.intro", st.Domain, st.Count, len(waits), st.Since.Format("2006-01-02 15:04 -0700")) + "\n")
	if now.Sub(st.Since) >= q.OverdueAfter() {
		t.WriteString("\n" + say("summary.overdue", int(q.OverdueAfter()/daily)) + "\n")
	}
	t.WriteString("\n" + say("summary.by") + "\n")
	lines := byRecipient(waits)
	for _, l := range lines[:min(len(lines), maxListed)] {
		t.WriteString(say("summary.line", l.n, Safe(l.name, maxSender)) + "\n")
	}
	if more := len(lines) - maxListed; more > 0 {
		t.WriteString(say("summary.more", more) + "\n")
	}
	t.WriteString("\n" + say("summary.outro", st.Domain) + "\n")
	return k.letter(now, to, say("summary.subject", st.Domain, len(waits)), t.String())
}

type line struct {
	name string
	n    int
}

// byRecipient counts, most first.
func byRecipient(list []store.HeldMail) []line {
	count := map[string]int{}
	for _, h := range list {
		count[strings.ToLower(h.Recipient)]++
	}
	out := make([]line, 0, len(count))
	for name, n := range count {
		out = append(out, line{name, n})
	}
	slices.SortFunc(out, func(a, b line) int { return cmp.Or(cmp.Compare(b.n, a.n), cmp.Compare(a.name, b.name)) })
	return out
}
