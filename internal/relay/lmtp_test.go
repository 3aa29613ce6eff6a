package relay

import (
	"net"
	"path/filepath"
	"strings"
	"testing"

	"posta/internal/route"
	"posta/internal/smtp"
)

const lmtpHello = `
S: 220 store.example.net LMTP
C: LHLO mail.posta.test
S: 250-store.example.net
S: 250-PIPELINING
S: 250-CHUNKING
S: 250-BINARYMIME
S: 250 8BITMIME
`

const lmtpMail = `
C: MAIL FROM:<ana@example.org>
C: RCPT TO:<pat@example.net>
C: RCPT TO:<jones@example.net>
C: RCPT TO:<green@example.net>
C: DATA
`

// RFC 2033 §4.2: after the message there is a reply for each recipient that was taken.
func TestLMTP(t *testing.T) {
	for _, c := range []struct{ name, dialogue, want string }{
		{"the example of the RFC", lmtpHello + lmtpMail + `
S: 250 2.1.0 OK
S: 250 2.1.5 OK
S: 550 5.1.1 No such user here
S: 250 2.1.5 OK
S: 354 go on
C: *
S: 250 2.1.5 OK
S: 452 4.2.2 <green> is over quota
C: QUIT
S: 221 bye
`, "delivered 250 2.1.5 OK; permanent 550 5.1.1 No such user here; temporary 452 4.2.2 <green> is over quota"},
		{"nobody is taken", lmtpHello + lmtpMail + `
S: 250 2.1.0 OK
S: 550 5.1.1 no
S: 550 5.1.1 no
S: 450 4.2.1 later
S: 503 5.5.1 no valid recipients
C: RSET
S: 250 OK
C: QUIT
S: 221 bye
`, "permanent 550 5.1.1 no; permanent 550 5.1.1 no; temporary 450 4.2.1 later"},
		{"354 though nobody is taken", lmtpHello + lmtpMail + `
S: 250 2.1.0 OK
S: 550 5.1.1 no
S: 550 5.1.1 no
S: 450 4.2.1 later
S: 354 go on
CUT
`, "permanent 550 5.1.1 no; permanent 550 5.1.1 no; temporary 450 4.2.1 later"},
		{"it dies between the replies", lmtpHello + lmtpMail + `
S: 250 2.1.0 OK
S: 250 2.1.5 OK
S: 250 2.1.5 OK
S: 250 2.1.5 OK
S: 354 go on
C: *
S: 250 2.1.5 OK
CUT
`, "delivered 250 2.1.5 OK; " + lostReply + "; " + lostReply},
		{"it closes after the second", lmtpHello + lmtpMail + `
S: 250 2.1.0 OK
S: 250 2.1.5 OK
S: 250 2.1.5 OK
S: 250 2.1.5 OK
S: 354 go on
C: *
S: 554 5.6.0 not this
S: 421 4.3.2 closing
CUT
`, "permanent 554 5.6.0 not this; temporary 421 4.3.2 closing; " + lostReply},
		{"it speaks SMTP only", `
S: 220 store.example.net ESMTP
C: LHLO mail.posta.test
S: 500 5.5.1 what
CUT
`, "permanent 500 5.5.1 what; permanent 500 5.5.1 what; permanent 500 5.5.1 what"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld()
			w.script(t, "192.0.2.1:24", c.dialogue)
			rt := routeTo("store.example.net=192.0.2.1")
			rt.Fixed, rt.Hosts[0].LMTP, rt.Hosts[0].Port = true, true, 24
			r := newRelay(t, w)
			out := r.Deliver(t.Context(), rt, letter("Subject: x\r\n", "pat@example.net", "jones@example.net", "green@example.net"))
			r.Close()
			if got := showAll(out); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

const lostReply = "temporary 451 4.4.2 Lost the connection after the message; it may have been delivered: the host closed it (ours) (unknown)"

func showAll(out []Outcome) string {
	all := make([]string, len(out))
	for i := range out {
		all[i] = show(out[i])
	}
	return strings.Join(all, "; ")
}

// What comes by way of a unix socket stays on the machine: REQUIRETLS asks nothing of it.
// Connections to it are kept like others.
func TestLMTPSocket(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "lmtp")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	s := &script{t: t}
	const one = "C: MAIL FROM:<ana@example.org>\nC: RCPT TO:<pat@example.net>\nC: DATA\nS: 250 2.1.0 OK\nS: 250 2.1.5 OK\nS: 354 go on\nC: *\nS: 250 2.0.0 saved\n"
	s.wg.Go(func() {
		if c, err := l.Accept(); err == nil {
			s.follow(c, lmtpHello+one+one+"C: QUIT\nS: 221 bye\n")
		}
	})
	r := newRelay(t, newWorld())
	rt := &route.Route{Domain: "lmtp:unix:" + socket, Fixed: true, Hosts: []route.Host{{Name: "localhost", Socket: socket, LMTP: true}}}
	for range 2 {
		m := letter("Subject: x\r\n", "pat@example.net")
		m.RequireTLS = true
		out := r.Deliver(t.Context(), rt, m)
		if show(out[0]) != "delivered 250 2.0.0 saved" || out[0].Remote != "unix:"+socket {
			t.Errorf("%+v", out[0])
		}
	}
	r.Close()
	s.wg.Wait()
	l.Close()
	out := r.Deliver(t.Context(), rt, letter("Subject: x\r\n", "pat@example.net"))
	if out[0].Status != Temporary || out[0].Reply.Enhanced != (smtp.Enhanced{4, 4, 1}) {
		t.Errorf("nobody listens: %+v", out[0])
	}
}
