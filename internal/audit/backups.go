package audit

import (
	"fmt"

	"posta/internal/finding"
	"posta/internal/probe"
)

// exchangerSeen is what a probe saw of an exchanger, and how far it is preferred.
type exchangerSeen struct {
	preference uint16
	smtp       *probe.SMTP
}

// backups compares the exchangers that are tried last with those that are tried first
// (CH-MX-05): spam comes through the one that asks for less. Those that did not answer,
// or put the question off, say nothing.
func backups(all []exchangerSeen) (out []finding.Finding) {
	if len(all) == 0 {
		return nil
	}
	first := all[0].preference
	for _, e := range all {
		first = min(first, e.preference)
	}
	for _, e := range all {
		if e.preference == first || !e.smtp.Hello.Answered() {
			continue
		}
		var weaker []string
		compared := ""
		for _, f := range all {
			if f.preference == first && f.smtp.Hello.Answered() {
				compared = f.smtp.Host
				weaker = append(weaker, weakerThan(e.smtp, f.smtp)...)
			}
		}
		if compared == "" {
			continue
		}
		facts := []string{"preference", fmt.Sprint(e.preference), "beside", compared}
		for i := 0; i < len(weaker); i += 2 {
			facts = append(facts, weaker[i], weaker[i+1])
		}
		out = append(out, judged(finding.MXWeaker, len(weaker) > 0, fmt.Sprintf("%s (%s)", e.smtp.Host, e.smtp.Addr), facts...))
	}
	return out
}

// weakerThan lists in what a backup asks for less than the first exchanger, as facts.
func weakerThan(backup, first *probe.SMTP) (out []string) {
	if first.Clear.StartTLS && !backup.Clear.StartTLS {
		out = append(out, "STARTTLS", "offered by "+first.Host+" alone")
	}
	if first.Invented.Reply.Permanent() && backup.Invented.Reply.OK() {
		out = append(out, backup.Invented.Asked, "accepted: "+backup.Invented.Text)
	}
	if first.OpenRelay() == probe.No && backup.OpenRelay() == probe.Yes {
		out = append(out, "relays", "for anybody")
	}
	for i := range min(len(first.Roles), len(backup.Roles)) {
		if x := &backup.Roles[i].Exchange; first.Roles[i].Exchange.Reply.OK() && x.Reply.Permanent() {
			out = append(out, x.Asked, x.Text)
		}
	}
	return out
}
