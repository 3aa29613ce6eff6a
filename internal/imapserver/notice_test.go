package imapserver

import (
	"slices"
	"strings"
	"testing"

	"posta/internal/mailbox"
)

// What an account must read is said when it logs in, before the answer, and nothing is
// said when there is nothing; a password that is too old is told where it is changed.
func TestNotice(t *testing.T) {
	t.Parallel()
	said := "this password is too old; change it"
	b := newBench(t, ImplicitTLS, func(s *Server) {
		s.PasswordPage = "https://mx.example.org/account/password"
		s.Notice = func(account mailbox.AccountID) string {
			if account != 1 {
				t.Errorf("asked of account %d", account)
			}
			text := said
			said = ""
			return text
		}
	})
	for i, want := range []string{"* OK [ALERT] this password is too old; change it", ""} {
		c := b.dial()
		c.read()
		lines := c.run("a", "LOGIN alice@example.org secret")
		if got := slices.ContainsFunc(lines, func(l string) bool { return want != "" && strings.TrimSpace(l) == want }); got != (want != "") {
			t.Errorf("login %d: %q, want %q", i, lines, want)
		}
		if i == 1 && slices.ContainsFunc(lines, func(l string) bool { return strings.Contains(l, "ALERT") }) {
			t.Errorf("an alert without a reason: %q", lines)
		}
	}
	c := b.dial()
	c.read()
	lines := c.run("a", "LOGIN expired@example.org old")
	if want := "a NO [EXPIRED] the password is too old; change it at https://mx.example.org/account/password [auth.expired]"; !slices.ContainsFunc(lines, func(l string) bool { return strings.TrimSpace(l) == want }) {
		t.Errorf("%q, want %q", lines, want)
	}
}
