package drift

import (
	"fmt"
	"strings"
	"time"

	"posta/internal/addr"
	"posta/internal/finding"
	"posta/internal/letter"
)

// letter writes to the postmaster of a domain what changed since the last look. Its id
// follows from that, so that it is filed once, whatever died in between.
func (w *Watch) letter(domain string, last time.Time, n news) (letter.Letter, error) {
	to, err := addr.ParseAddress("postmaster@" + domain)
	if err != nil {
		return letter.Letter{}, err
	}
	say := w.cfg.Language.Say
	var body strings.Builder
	fmt.Fprintln(&body, say("mail.drift.intro", w.cfg.Hostname, domain))
	for _, part := range []struct {
		heading string
		list    []failure
	}{{"mail.drift.new", n.fresh}, {"mail.drift.over", n.over}, {"mail.drift.gone", n.mended}} {
		if len(part.list) == 0 {
			continue
		}
		fmt.Fprintf(&body, "\n%s\n", say(part.heading))
		for _, f := range part.list {
			w.line(&body, f, part.heading != "mail.drift.gone")
		}
	}
	fmt.Fprintf(&body, "\n%s\n", say("mail.drift.outro", domain))

	if last.IsZero() {
		last = w.cfg.Now().Truncate(every)
	}
	id := letter.IDOf(last, domain+"\x00"+body.String())
	return letter.New(w.cfg.Hostname, w.cfg.Now(), id, to, say("mail.drift.subject", w.cfg.Hostname, domain), body.String()), nil
}

// line says one finding: what it is, of what, what was seen, and how it is mended.
func (w *Watch) line(b *strings.Builder, f failure, mend bool) {
	fmt.Fprintf(b, "\n  [%s] %s\n      %s\n", f.Check, w.title(f.Check), f.Subject)
	if f.Evidence != "" {
		fmt.Fprintf(b, "      %s\n", f.Evidence)
	}
	if us := w.mend(f.Check); mend && us != "" {
		fmt.Fprintf(b, "      %s\n", us)
	}
}

func (w *Watch) title(id finding.ID) string {
	if _, ok := finding.Lookup(id); ok {
		return finding.TextOf(id, string(w.cfg.Language)).Title
	}
	return w.cfg.Language.Say("drift." + string(id))
}

func (w *Watch) mend(id finding.ID) string {
	if _, ok := finding.Lookup(id); ok {
		return finding.TextOf(id, string(w.cfg.Language)).Us
	}
	return ""
}
