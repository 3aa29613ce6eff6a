package probe

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"posta/internal/smtp"
)

// everything is what a probe can ask without DATA.
var everything = SMTPOptions{Versions: true, Inject: true, Domain: "remota.test", Relay: 1 << 10}

// A server without fault: all is seen, nothing is held against it, and no mail was
// sent.
func TestGoodServer(t *testing.T) {
	h := goodSMTP(t)
	cfg := h.config(t)
	var notes []string
	cfg.Saw = func(l Line) {
		if l.Note != "" {
			notes = append(notes, l.Note)
		}
	}
	r := ProbeSMTP(t.Context(), cfg, target(false), everything)
	if r.Error != nil || r.RelayError != nil {
		t.Fatal(r.Error, r.RelayError)
	}
	if r.Name() != hostName || r.Version != "" || r.HELOOnly || !r.Clear.StartTLS || !r.Secure.RequireTLS || r.Clear.MaxSize != 50000000 {
		t.Errorf("%+v", r)
	}
	for what, got := range map[string]Answer{
		"injected": r.Injected, "enumerates": r.Enumerates(), "relays": r.OpenRelay(), "auth in clear": r.AuthInClear(), "weak suites": r.TLS.Weak,
		"TLS 1.0": r.TLS.Takes(tls.VersionTLS10), "TLS 1.1": r.TLS.Takes(tls.VersionTLS11),
	} {
		if got != No {
			t.Errorf("%s: %v", what, got)
		}
	}
	if r.TLS.Takes(tls.VersionTLS12) != Yes || r.TLS.Takes(tls.VersionTLS13) != Yes {
		t.Errorf("versions %v", r.TLS.Accepted)
	}
	if r.Roles[0].Exchange.Reply.Code != 250 || r.Roles[1].Exchange.Reply.Code != 250 || r.Invented.Reply.Code != 550 {
		t.Errorf("roles %v, invented %v", r.Roles, r.Invented)
	}
	if len(r.Relay) != len(RelayForms()) {
		t.Errorf("%d forms of relaying", len(r.Relay))
	}
	for _, c := range h.heard {
		if strings.HasPrefix(c, "DATA") || strings.HasPrefix(c, "BDAT") {
			t.Errorf("it sent %s", c)
		}
	}
	if h.connections > 10 {
		t.Errorf("%d connections", h.connections)
	}
	for _, n := range notes {
		if !strings.Contains(strings.Join(Notes(), " ")+" ", n+" ") {
			t.Errorf("note %q is not listed", n)
		}
	}
}

// Each fault is seen, and only where it is.
func TestFaults(t *testing.T) {
	for _, tc := range []struct {
		what string
		do   func(*house)
		want string // see describe
	}{
		{"none", func(*house) {}, ""},
		{"version in the greeting", func(h *house) { h.greeting = "220 mx.remota.test ESMTP Exim 4.96 Tue\r\n" }, "version Exim 4.96"},
		{"the system in it", func(h *house) { h.greeting = "220 mx.remota.test ESMTP Postfix (Debian/GNU)\r\n" }, "version Debian/GNU)"},
		{"a name with digits is no version", func(h *house) { h.greeting = "220 mx4.5.remota.test ESMTP\r\n" }, ""},
		{"AUTH in clear", func(h *house) { h.answers["EHLO"] = "250-" + hostName + "\n250-AUTH PLAIN LOGIN\n250 STARTTLS\n" }, "auth-clear"},
		{"AUTH in clear without passwords", func(h *house) { h.answers["EHLO"] = "250-" + hostName + "\n250-AUTH SCRAM-SHA-256\n250 STARTTLS\n" }, ""},
		{"no STARTTLS", func(h *house) { h.answers["EHLO"] = "250 " + hostName + "\n" }, "no-tls"},
		{"VRFY tells", func(h *house) {
			h.answers["VRFY"] = "550 5.1.1 nobody\n"
			h.answers["VRFY postmaster"] = "250 <postmaster@remota.test>\n"
		}, "enumerates"},
		{"VRFY is refused for all", func(h *house) { h.answers["VRFY"] = "502 5.5.1 no\n" }, ""},
		{"EXPN tells", func(h *house) { h.answers["EXPN"] = "250 <ana@remota.test>\n" }, "enumerates"},
		{"old TLS", func(h *house) { h.tls.MinVersion = tls.VersionTLS10 }, "TLS 1.0 TLS 1.1"},
		{"relays by percent", func(h *house) { h.answers["RCPT TO:<relay-test%example.com@mx"] = "250 ok\n" }, "relays percent"},
		{"relays for bounces, and what it says is the proof", func(h *house) { h.answers["RCPT TO:<relay-test@example.com>"] = "250 ok\n" }, "relays plain"},
		{"keeps what stands behind STARTTLS", func(h *house) { h.keeps = true }, "injected"},
		{"HELO only", func(h *house) { h.answers["EHLO"] = "502 what\n"; h.answers["HELO"] = "250 mx\n" }, "helo-only no-tls"},
	} {
		t.Run(tc.what, func(t *testing.T) {
			t.Parallel()
			h := goodSMTP(t)
			tc.do(h)
			r := ProbeSMTP(t.Context(), h.config(t), target(false), everything)
			if got := describe(r); got != tc.want {
				t.Errorf("seen %q (%v)", got, r.Error)
			}
		})
	}
}

// describe lists what is held against a server.
func describe(r *SMTP) string {
	var out []string
	add := func(is bool, what string) {
		if is {
			out = append(out, what)
		}
	}
	add(r.Version != "", "version "+r.Version)
	add(r.AuthInClear() == Yes, "auth-clear")
	add(r.HELOOnly, "helo-only")
	add(r.TLS == nil, "no-tls")
	add(r.Enumerates() == Yes, "enumerates")
	if r.TLS != nil {
		add(r.TLS.Takes(tls.VersionTLS10) == Yes, "TLS 1.0")
		add(r.TLS.Takes(tls.VersionTLS11) == Yes, "TLS 1.1")
	}
	for _, f := range r.Relay {
		add(f.Accepted, "relays "+f.Form)
	}
	add(r.Injected == Yes, "injected")
	return strings.Join(out, " ")
}

// The probe ends with the first 421: no further connection is made.
func TestClosing(t *testing.T) {
	h := goodSMTP(t)
	h.answers["RCPT TO:<relay-test"] = "421 4.7.0 go away\n"
	r := ProbeSMTP(t.Context(), h.config(t), target(false), everything)
	if !errors.Is(r.RelayError, ErrClosing) || len(r.Relay) != 1 || r.OpenRelay() != Unknown {
		t.Errorf("%v %v", r.RelayError, r.Relay)
	}
	h = goodSMTP(t)
	h.answers["HELP"] = "421 4.7.0 go away\n"
	r = ProbeSMTP(t.Context(), h.config(t), target(false), everything)
	if !errors.Is(r.Error, ErrClosing) || h.connections != 1 || r.OpenRelay() != Unknown || r.Injected != Unknown {
		t.Errorf("%v, %d connections", r.Error, h.connections)
	}
}

// A hostile server costs a bounded number of octets, and what it did not say is
// unknown.
func TestHostileServers(t *testing.T) {
	for _, tc := range []struct {
		what  string
		serve func(io.ReadWriter)
		want  error
		relay Answer
	}{
		{"an endless banner", func(c io.ReadWriter) { endless(c, "220-come in\r\n") }, ErrBudget, Unknown},
		{"a line without end", func(c io.ReadWriter) { endless(c, strings.Repeat("x", 4096)) }, ErrBudget, Unknown},
		{"giant lines", func(c io.ReadWriter) { endless(c, "220-"+strings.Repeat("x", 5000)+"\r\n") }, ErrBudget, Unknown},
		{"no protocol", func(c io.ReadWriter) { io.WriteString(c, "HTTP/1.1 400 Bad Request\r\n\r\n"); io.Copy(io.Discard, c) }, ErrSyntax, Unknown},
		{"two codes", func(c io.ReadWriter) { io.WriteString(c, "220-a\r\n221 b\r\n"); io.Copy(io.Discard, c) }, ErrSyntax, Unknown},
		{"it hangs up", func(io.ReadWriter) {}, io.EOF, Unknown},
		{"answers before the questions", func(c io.ReadWriter) {
			io.WriteString(c, "220 a\r\n250-a\r\n250 STARTTLS\r\n214 a\r\n252 a\r\n252 a\r\n502 a\r\n220 go\r\n250 mine\r\n")
			io.Copy(io.Discard, c)
		}, ErrAhead, Unknown},
		{"no TLS behind STARTTLS", func(c io.ReadWriter) {
			b := make([]byte, 4096)
			for _, s := range []string{"220 a", "250-a\r\n250 STARTTLS", "214 a", "252 a", "252 a", "502 a", "220 go", "250 no"} {
				io.WriteString(c, s+"\r\n")
				c.Read(b)
			}
		}, new(tls.RecordHeaderError), Yes}, // on the next connection RCPT is what it answers 252
	} {
		t.Run(tc.what, func(t *testing.T) {
			t.Parallel()
			r := ProbeSMTP(t.Context(), serving(t, tc.serve), target(false), everything)
			if as := new(tls.RecordHeaderError); !errors.Is(r.Error, tc.want) && !(fmt.Sprintf("%T", tc.want) == fmt.Sprintf("%T", as) && errors.As(r.Error, as)) {
				t.Errorf("%v", r.Error)
			}
			if r.OpenRelay() != tc.relay || r.Injected != Unknown {
				t.Errorf("relay %v, injected %v", r.OpenRelay(), r.Injected)
			}
		})
	}
}

func endless(w io.Writer, s string) {
	for {
		if _, err := io.WriteString(w, s); err != nil {
			return
		}
	}
}

// serving gives a config whose connections lead to f.
func serving(t testing.TB, f func(io.ReadWriter)) Config {
	cfg := (&house{}).config(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			f(c)
			c.Close()
		}
	}()
	t.Cleanup(func() { l.Close(); <-done })
	dial := new(net.Dialer)
	cfg.Dial = func(ctx context.Context, _, _ string) (net.Conn, error) {
		return dial.DialContext(ctx, "tcp", l.Addr().String())
	}
	return cfg
}

// Smuggling: a server that takes one false end is found by it; one that takes none,
// or that refuses the message, passes.
func TestSmuggling(t *testing.T) {
	for _, end := range append(FalseEnds(), "") {
		t.Run(fmt.Sprintf("%q", end), func(t *testing.T) {
			t.Parallel()
			cfg := serving(t, func(c io.ReadWriter) { takeEnds(c, end) })
			for _, s := range ProbeSmuggling(t.Context(), cfg, target(false), "prueba@remota.test") {
				// One false end may hold another: LF . LF stands in CR LF . LF too.
				want := answer(end != "" && strings.Contains(s.End, strings.Trim(fmt.Sprintf("%q", end), `"`)))
				if s.Accepted != want {
					t.Errorf("%s: %v, expected %v (%s %s)", s.End, s.Accepted, want, s.Reply, s.Error)
				}
			}
		})
	}
}

// takeEnds is a server that ends data at CR LF . CR LF, and at one false end.
func takeEnds(c io.ReadWriter, end string) {
	io.WriteString(c, "220 mx\r\n")
	var in []byte
	data := false
	b := make([]byte, 4096)
	for {
		stop := "\r\n"
		if data {
			stop = "\r\n.\r\n"
			at := strings.Index(string(in), stop)
			if end != "" {
				if i := strings.Index(string(in), end); i >= 0 && (at < 0 || i < at) {
					at, stop = i, end
				}
			}
			if at >= 0 {
				in, data = in[at+len(stop):], false
				io.WriteString(c, "250 2.0.0 kept\r\n")
				continue
			}
		} else if at := strings.Index(string(in), stop); at >= 0 {
			line := string(in[:at])
			in = in[at+2:]
			switch {
			case line == "DATA":
				data = true
				io.WriteString(c, "354 go\r\n")
			case line == "QUIT":
				io.WriteString(c, "221 bye\r\n")
				return
			case line == "" || line == ".":
				io.WriteString(c, "500 what\r\n")
			default:
				io.WriteString(c, "250 ok\r\n")
			}
			continue
		}
		n, err := c.Read(b)
		if in = append(in, b[:n]...); err != nil {
			return
		}
	}
}

// What a relay test asks is what the table has: one address outside, and nothing
// that could be taken for another command.
func TestRelayForms(t *testing.T) {
	h := goodSMTP(t)
	r := ProbeSMTP(t.Context(), h.config(t), target(false), SMTPOptions{Relay: 1 << 10, Domain: "remota.test"})
	seen := map[string]bool{}
	for _, f := range r.Relay {
		if seen[f.Sender+" "+f.Recipient] {
			t.Errorf("%s is asked twice", f.Form)
		}
		seen[f.Sender+" "+f.Recipient] = true
		if strings.ContainsAny(f.Sender+f.Recipient, "{}\r\n") {
			t.Errorf("%s: %q %q", f.Form, f.Sender, f.Recipient)
		}
	}
	if !seen["probe@example.com @mx.remota.test:relay-test@example.com"] || !seen[` relay-test@example.com`] {
		t.Errorf("%v", seen)
	}
}

// A server that does not want to talk is told by its reply.
func TestRefusedGreeting(t *testing.T) {
	h := goodSMTP(t)
	h.greeting = "554 5.7.1 no mail from you\r\n"
	r := ProbeSMTP(t.Context(), h.config(t), target(false), everything)
	if said, ok := errors.AsType[smtp.Reply](r.Error); !ok || said.Code != 554 || !r.Connected || h.connections != 1 {
		t.Errorf("%v", r.Error)
	}
}

// Implicit TLS, and a client that goes away.
func TestImplicit(t *testing.T) {
	h := goodSMTP(t)
	h.implicit = true
	r := ProbeSMTP(t.Context(), h.config(t), target(true), SMTPOptions{Versions: true, Inject: true})
	if r.Error != nil || r.TLS == nil || r.TLS.Takes(tls.VersionTLS12) != Yes || r.AuthInClear() != No || !r.Secure.RequireTLS {
		t.Errorf("%v %+v", r.Error, r.TLS)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if r := ProbeSMTP(ctx, h.config(t), target(true), everything); !errors.Is(r.Error, context.Canceled) || r.Connected {
		t.Errorf("%v", r.Error)
	}
}

// Who has no name says his address (RFC 5321 §4.1.4), never one that he made up.
func TestHelloWithoutName(t *testing.T) {
	h := goodSMTP(t)
	cfg := h.config(t)
	cfg.Hello = ""
	ProbeSMTP(t.Context(), cfg, target(false), SMTPOptions{})
	if h.heard[0] != "EHLO [127.0.0.1]" {
		t.Errorf("%q", h.heard[0])
	}
}

// A server that is silent, in time that is not real: the probe waits for the greeting
// as long as it says, and the whole is bounded.
func TestSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		cfg := Config{Hello: "probe.example.org", Dial: func(context.Context, string, string) (net.Conn, error) {
			ours, theirs := net.Pipe()
			t.Cleanup(func() { theirs.Close() })
			return ours, nil
		}}
		r := ProbeSMTP(t.Context(), cfg, target(false), everything)
		if !errors.Is(r.Error, os.ErrDeadlineExceeded) || !r.Connected || time.Since(began) != 30*time.Second {
			t.Errorf("%v after %v", r.Error, time.Since(began))
		}
	})
}

// A tarpit of 25 seconds is waited for, and its delay is told (CH-ID-06).
func TestTarpit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var slow []any
		cfg := Config{Hello: "probe.example.org", Dial: func(context.Context, string, string) (net.Conn, error) {
			ours, theirs := net.Pipe()
			go func() {
				time.Sleep(25 * time.Second)
				io.WriteString(theirs, "220 mx.remota.test\r\n")
				theirs.Close()
			}()
			return ours, nil
		}, Saw: func(l Line) {
			if l.Note == NoteGreetingSlow {
				slow = l.Args
			}
		}}
		r := ProbeSMTP(t.Context(), cfg, target(false), SMTPOptions{})
		if r.Delay != 25*time.Second || len(slow) != 1 || slow[0] != 25 {
			t.Errorf("%v %v", r.Delay, slow)
		}
	})
}
