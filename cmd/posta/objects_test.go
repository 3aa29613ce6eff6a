package main

import (
	"strings"
	"testing"
	"time"

	"posta/internal/command"
	"posta/internal/store"
)

// What posta account show prints of an account whose password is too old.
func TestPrintAccount(t *testing.T) {
	var out strings.Builder
	c := &cli{out: &out, lang: "en"}
	set := time.Now().Add(-34 * 24 * time.Hour)
	c.printAccount(command.Account{Address: "ana@empresa.test", Role: "user", Standing: &command.Standing{
		PasswordSet: set, PasswordEnds: set.Add(30 * 24 * time.Hour), Expired: true, Sent: 12, Limit: 500,
	}})
	for _, want := range []string{"Address: ana@empresa.test\n", "Sent in a day: 12/500\n", "State: password too old\n", "Password age: 34d/30d\n"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("missing %q in\n%s", want, out.String())
		}
	}
}

// What posta account set --messages-per-day takes.
func TestParseMessages(t *testing.T) {
	c := &cli{lang: "en"}
	for in, want := range map[string]int{"none": store.NoLimit, "policy": 0, "20": 20} {
		if got, err := c.parseMessages(in); err != nil || got != want {
			t.Errorf("%s: %d, %v", in, got, err)
		}
	}
	for _, in := range []string{"0", "-1", "", "many"} {
		if _, err := c.parseMessages(in); err == nil || !strings.Contains(err.Error(), "give a number from 1 on, none, or policy") {
			t.Errorf("%q: %v", in, err)
		}
	}
}
