package probe

import (
	"io"
	"slices"
	"strings"
	"testing"
)

func goodIMAP(t testing.TB) *house {
	return &house{
		greeting: "* OK [CAPABILITY IMAP4rev1] ready\r\n", start: "a2 STARTTLS", tls: serverTLS(t),
		answers: map[string]string{
			"a1 CAPABILITY": "* CAPABILITY IMAP4rev1 STARTTLS LOGINDISABLED\na1 OK done\n",
			"a2 STARTTLS":   "a2 OK go\n", "a3 LOGOUT": "* BYE\na3 OK bye\n", "x1 NOOP": "x1 OK done\n",
		},
		secure: map[string]string{"under TLS": "x", "a1 CAPABILITY": "* CAPABILITY IMAP4rev1 IMAP4rev2 AUTH=PLAIN\na1 OK done\n"},
	}
}

func goodPOP3(t testing.TB) *house {
	return &house{
		greeting: "+OK ready\r\n", start: "STLS", tls: serverTLS(t),
		answers: map[string]string{"CAPA": "+OK\nSTLS\nUIDL\n.\n", "STLS": "+OK go\n", "QUIT": "+OK bye\n", "XPOSTA": "-ERR what\n"},
		secure:  map[string]string{"under TLS": "x", "CAPA": "+OK\nUSER\nSASL PLAIN\n.\n"},
	}
}

func TestMailboxes(t *testing.T) {
	for _, tc := range []struct {
		what     string
		house    *house
		do       func(*house)
		clear    Answer // a password would be taken before TLS
		injected Answer
		version  string
	}{
		{"IMAP", goodIMAP(t), func(*house) {}, No, No, ""},
		{"IMAP that takes LOGIN", goodIMAP(t), func(h *house) { h.answers["a1 CAPABILITY"] = "* CAPABILITY IMAP4rev1 STARTTLS\na1 OK\n" }, Yes, No, ""},
		{"IMAP with LOGINDISABLED and AUTH=PLAIN", goodIMAP(t), func(h *house) {
			h.answers["a1 CAPABILITY"] = "* capability imap4rev1 starttls logindisabled auth=plain\na1 ok\n"
		}, Yes, No, ""},
		{"IMAP with its version", goodIMAP(t), func(h *house) { h.greeting = "* OK Dovecot 2.3.19 ready\r\n" }, No, No, "Dovecot 2.3.19"},
		{"IMAP keeps commands", goodIMAP(t), func(h *house) { h.keeps = true }, No, Yes, ""},
		{"POP3", goodPOP3(t), func(*house) {}, No, No, ""},
		{"POP3 that takes USER", goodPOP3(t), func(h *house) { h.answers["CAPA"] = "+OK\nSTLS\nUSER\n.\n" }, Yes, No, ""},
		{"POP3 with SASL LOGIN", goodPOP3(t), func(h *house) { h.answers["CAPA"] = "+OK\nSTLS\nSASL SCRAM-SHA-256 LOGIN\n.\n" }, Yes, No, ""},
		{"POP3 without CAPA", goodPOP3(t), func(h *house) { h.answers["CAPA"] = "-ERR what\n" }, Yes, Unknown, ""},
		{"POP3 keeps commands", goodPOP3(t), func(h *house) { h.keeps = true }, No, Yes, ""},
	} {
		t.Run(tc.what, func(t *testing.T) {
			t.Parallel()
			tc.do(tc.house)
			run := ProbeIMAP
			if strings.HasPrefix(tc.what, "POP3") {
				run = ProbePOP3
			}
			m := run(t.Context(), tc.house.config(t), target(false), MailboxOptions{Versions: true, Inject: true})
			if m.Error != nil || m.AuthInClear() != tc.clear || m.Injected != tc.injected || m.Version != tc.version {
				t.Errorf("error %v, in clear %v, injected %v, version %q; %q", m.Error, m.AuthInClear(), m.Injected, m.Version, m.Clear)
			}
			if m.StartTLS && !slices.ContainsFunc(m.Secure, func(c string) bool { return strings.HasSuffix(c, "PLAIN") }) {
				t.Errorf("under TLS %q", m.Secure)
			}
		})
	}
}

func TestHostileMailboxes(t *testing.T) {
	for what, serve := range map[string]func(io.ReadWriter){
		"endless greeting":     func(c io.ReadWriter) { endless(c, "* OK x") },
		"endless capabilities": func(c io.ReadWriter) { io.WriteString(c, "* OK\r\n"); endless(c, "* CAPABILITY A\r\n") },
		"endless CAPA":         func(c io.ReadWriter) { io.WriteString(c, "+OK\r\n+OK\r\n"); endless(c, "STLS\r\n") },
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			run := ProbeIMAP
			if what == "endless CAPA" {
				run = ProbePOP3
			}
			m := run(t.Context(), serving(t, serve), target(false), MailboxOptions{Versions: true, Inject: true})
			if m.Error != ErrBudget || m.AuthInClear() != Unknown {
				t.Errorf("%v %v", m.Error, m.AuthInClear())
			}
		})
	}
}
