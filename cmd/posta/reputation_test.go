package main

import (
	"strings"
	"testing"
	"time"

	"posta/internal/command"
	"posta/internal/standing"
)

// What posta reputation prints, and that its status asks for somebody to act.
func TestPrintReputation(t *testing.T) {
	now := time.Now()
	bad := standing.State{Subject: "203.0.113.9", List: "zen.spamhaus.org", Listed: true, Since: now, Checked: now, Answers: []string{"127.0.0.3"},
		Meanings: []string{"SBL CSS"}, Text: "see\x1b[2J", Delist: "https://check.spamhaus.org/"}
	good := standing.State{Subject: "203.0.113.9", List: "list.dnswl.org", Listed: true, Good: true, Since: now, Checked: now}
	clear := standing.State{Subject: "empresa.es", List: "dbl.spamhaus.org", Since: now, Checked: now}
	var out strings.Builder
	c := &cli{out: &out, lang: "en"}
	err := c.showReputation(&command.Reputation{
		Lists: []standing.State{bad, good, clear}, Changes: []standing.State{bad, clear}, Enrolments: []command.Enrolment{{Name: "snds", State: "asked", Note: "ticket 7"}},
	})
	if f, ok := err.(found); !ok || f.status != exitFindings {
		t.Errorf("%v", err)
	}
	for _, want := range []string{
		"203.0.113.9  zen.spamhaus.org: listed (since ", "  127.0.0.3 SBL CSS\n", "  the list says: see?[2J\n", "  look up and contest: https://check.spamhaus.org/\n",
		"203.0.113.9  list.dnswl.org: speaks for us", "3 answers of lists, 1 listings to act on", "Changes of the last 30 days:\n", "dbl.spamhaus.org  not listed any more\n",
		"snds     asked for  ticket 7  Microsoft's figures about our addresses",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
	if err := c.showReputation(&command.Reputation{Lists: []standing.State{good}}); err != nil {
		t.Errorf("nothing to act on: %v", err)
	}
}
