package intake

import (
	"strings"
	"testing"

	"posta/internal/mail"
	"posta/internal/rules"
	"posta/internal/store"
)

// ruled is a house with rules, "kind key value" on each line.
func ruled(t testing.TB, lines string) *house {
	t.Helper()
	h := newHouse(t)
	err := h.store.Rules().ChangeAccess(t.Context(), func(tx store.AccessTx) (store.Audit, error) {
		for l := range strings.Lines(lines) {
			f := strings.SplitN(strings.TrimSpace(l), " ", 3)
			kind, _ := rules.ParseKind(f[0])
			r, err := rules.New(kind, f[1], f[2], "empresa.test")
			if err != nil {
				return store.Audit{}, err
			}
			if err := tx.Put(store.AccessEntry{Key: r.Name(), Value: r.Value}); err != nil {
				return store.Audit{}, err
			}
		}
		return store.Audit{Command: "rule.edit"}, nil
	})
	if err == nil {
		err = h.dir.Refresh(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// What a stranger reads at RCPT, and where the letter goes.
func TestRules(t *testing.T) {
	for _, c := range []struct{ name, rules, to, want string }{
		{"exactly the reply of the rule", "address joe@empresa.test error:5.7.0:550 Gone fishing", "joe@empresa.test", "550 5.7.0 Gone fishing [rcpt.rule]"},
		{"for now", "address joe@empresa.test error:tempfail Come later", "joe@empresa.test", "450 4.2.0 Come later [rcpt.rule]"},
		{"moved", "address joe@empresa.test joe@new.example.REDIRECT", "joe@empresa.test", "551 5.7.1 User has moved; please try <joe@new.example> [rcpt.moved]"},
		{"dropped", "address joe@empresa.test /dev/null", "joe@empresa.test", "250 dropped"},
		{"sent on", "address joe@empresa.test fuera@good.example", "joe@empresa.test", "250"},
		{"another name of the domain", "alias-domain also.example empresa.test", "ana@also.example", "250 INBOX"},
		{"its unknown users", "alias-domain also.example empresa.test", "nadie@also.example", "550 5.1.1 <nadie@also.example>: no such recipient here [rcpt.unknown]"},
		{"the catch-all", "address @empresa.test ana", "typo@empresa.test", "250 INBOX"},
		{"a way relays for nobody", "transport other.example smtp:[192.0.2.7]", "x@other.example", "554 5.7.1 <x@other.example>: Relay access denied [relay.denied]"},
		{"nor does a renamed domain", "domain other.example third.example", "x@other.example", "554 5.7.1 <x@other.example>: Relay access denied [relay.denied]"},
		{"nor a catch-all an old route", "address @empresa.test ana", "x%other.example@third.example", "554 5.7.1 <x%other.example@third.example>: Relay access denied [relay.denied]"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := ruled(t, c.rules).outcome(stranger(), "a@good.example", c.to)
			if c.name == "sent on" {
				got = strings.TrimSuffix(got, " dropped") // the queue has it under its new name
			}
			if got != c.want {
				t.Errorf("%s, want %s", got, c.want)
			}
		})
	}
}

// Where mail of our own users goes: the way of a rule is asked before it is taken.
func TestRulesOfWays(t *testing.T) {
	h := ruled(t, "transport closed.example error:5.7.1:550 Not there\ntransport taken.example local:ana\ntransport . smtp:[hub.example]\naccount luis@empresa.test smtp:[luis.example]")
	c := mail.Client{Door: mail.Submission, HELO: "[192.168.1.5]", EHLO: true, Class: mail.Authenticated, Login: "luis@empresa.test", Account: int64(h.ids["luis"])}
	for to, want := range map[string]string{
		"x@closed.example": "550 5.7.1 Not there [rcpt.rule]", "x@taken.example": "250 INBOX", "x@other.example": "250 queue",
	} {
		if got := h.outcome(c, "luis@empresa.test", to); got != want {
			t.Errorf("%s: %s, want %s", to, got, want)
		}
	}
}

// Renamed domains and public senders: envelope and header, what is kept and what is sent.
func TestRewritten(t *testing.T) {
	h := ruled(t, "domain old.example empresa.test\ngeneric luis@empresa.test luis.perez@corp.example")
	rcpt, final := h.talk(stranger(), "a@good.example", []string{"ana@old.example"}, strings.Replace(letter, "To: ana@empresa.test", "To: \"Ana\" <ana@old.example> (casa)", 1))
	if len(rcpt) != 0 || final[0].Code != 250 {
		t.Fatal(rcpt, final)
	}
	if got := h.mailIn("ana", "INBOX"); len(got) != 1 || !strings.Contains(got[0], "\r\nTo: \"Ana\" <ana@empresa.test> (casa)\r\n") || strings.Contains(got[0], "old.example> (casa)") {
		t.Errorf("%q", got)
	}
	c := mail.Client{Door: mail.Submission, HELO: "[192.168.1.5]", EHLO: true, Class: mail.Authenticated, Login: "luis@empresa.test", Account: int64(h.ids["luis"])}
	own := "From: Luis <luis@empresa.test>\r\nTo: ana@empresa.test\r\nSubject: hola\r\n\r\nhola luis@empresa.test\r\n"
	if rcpt, final = h.talk(c, "luis@empresa.test", []string{"ana@empresa.test"}, own); len(rcpt) != 0 || final[0].Code != 250 {
		t.Fatal(rcpt, final)
	}
	got := h.mailIn("ana", "INBOX")[1]
	for _, want := range []string{"Return-Path: <luis.perez@corp.example>\r\n", "\r\nFrom: Luis <luis.perez@corp.example>\r\n", "\r\n\r\nhola luis@empresa.test\r\n"} {
		if !strings.Contains(got, want) {
			t.Errorf("missing %q in\n%s", want, got)
		}
	}
}
