package relay

import (
	"strings"
	"testing"
)

const hello = `
S: 220 mx.example.net ESMTP
C: EHLO mail.posta.test
S: 250-mx.example.net
S: 250-PIPELINING
S: 250-SIZE 1000000
S: 250-8BITMIME
S: 250 ENHANCEDSTATUSCODES
`

// RFC 5321 appendix D.1, with pipelining: one refused among accepted.
func TestDeliver(t *testing.T) {
	w := newWorld()
	s := w.script(t, "192.0.2.1:25", hello+`
C: MAIL FROM:<ana@example.org> SIZE=31
C: RCPT TO:<luis@example.net>
C: RCPT TO:<green@example.net>
C: DATA
S: 250 2.1.0 OK
S: 250 2.1.5 OK
S: 550 5.1.1 No such user here
S: 354 Start mail input
C: *
S: 250 2.0.0 OK queued as 12345
C: QUIT
S: 221 bye
`)
	r := newRelay(t, w)
	out := r.Deliver(t.Context(), routeTo("mx.example.net=192.0.2.1"), letter("Subject: x\r\n\r\n.dot\r\n", "luis@example.net", "green@example.net"))
	if o := out[0]; o.Status != Delivered || o.Reply.String() != "250 2.0.0 OK queued as 12345" || o.Remote != "mx.example.net [192.0.2.1]:25" || o.Ours {
		t.Errorf("first: %+v", o)
	}
	if o := out[1]; o.Status != Permanent || o.Reply.String() != "550 5.1.1 No such user here" {
		t.Errorf("second: %+v", o)
	}
	if r.Idle() != 1 {
		t.Errorf("%d connections are kept, want 1", r.Idle())
	}
	r.Close()
	s.wg.Wait()
	if want := "X-Head: 1\r\nSubject: x\r\n\r\n..dot\r\n.\r\n"; !strings.Contains(s.heard.String(), want) {
		t.Errorf("heard %q, want in it %q", s.heard.String(), want)
	}
}
