package relay

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"

	gosmtp "github.com/emersion/go-smtp"
)

const binaryHello = `
S: 220 mx.example.net ESMTP
C: EHLO mail.posta.test
S: 250-mx.example.net
S: 250-PIPELINING
S: 250-8BITMIME
S: 250-CHUNKING
S: 250 BINARYMIME
`

// binaryLetter is a message that DATA does not carry.
func binaryLetter(body string, to ...string) *Message {
	m := letter("", to...)
	m.Binary = true
	m.Open = func(_ context.Context, form Form) (*Content, error) {
		if form != AnyOctets {
			return nil, ErrNotConvertible
		}
		return &Content{Head: []byte("X-Head: 1\r\n"), Body: strings.NewReader(body), Size: int64(len(body)), Chunks: true}, nil
	}
	return m
}

// RFC 3030 §4.2: BODY=BINARYMIME, then the octets as they are, counted and not
// stuffed.
func TestChunks(t *testing.T) {
	const body = "Subject: x\r\n\r\n.a\x00\r\n.\r\n"
	w := newWorld()
	s := w.script(t, "192.0.2.1:25", binaryHello+`
C: MAIL FROM:<ana@example.org> BODY=BINARYMIME
C: RCPT TO:<luis@example.net>
C: RCPT TO:<green@example.net>
S: 250 2.1.0 OK
S: 250 2.1.5 OK
S: 550 5.1.1 No such user here
C: BDAT 33
C: X-Head: 1
C: Subject: x
C: 
C: *
S: 250 33 octets
C: BDAT 0 LAST
S: 250 2.0.0 queued
C: QUIT
S: 221 bye
`)
	recorded := 0
	m := binaryLetter(body, "luis@example.net", "green@example.net")
	m.BeforeDot = func(context.Context) error {
		recorded++
		if !strings.HasSuffix(s.soFar(), ".\r\n") {
			t.Errorf("recorded before the octets were taken: %q", s.soFar())
		}
		return nil
	}
	r := newRelay(t, w)
	out := r.Deliver(t.Context(), routeTo("mx.example.net=192.0.2.1"), m)
	if show(out[0]) != "delivered 250 2.0.0 queued" || show(out[1]) != "permanent 550 5.1.1 No such user here" || recorded != 1 {
		t.Errorf("%s, %s, recorded %d times", show(out[0]), show(out[1]), recorded)
	}
	r.Close()
	s.wg.Wait()
	if !strings.Contains(s.heard.String(), "BDAT 33\r\nX-Head: 1\r\n"+body+"BDAT 0 LAST\r\n") {
		t.Errorf("heard %q", s.heard.String())
	}
}

// What hosts say to it, and what follows.
func TestChunkDialogues(t *testing.T) {
	const envelope = binaryHello + "C: MAIL FROM:<ana@example.org> BODY=BINARYMIME\nC: RCPT TO:<luis@example.net>\nS: 250 ok\n"
	const sent = envelope + "S: 250 ok\nC: BDAT 14\nC: X-Head: 1\nC: .\n"
	for _, c := range []struct{ name, dialogue, want string }{
		{"no recipient", envelope + "S: 550 5.1.1 no\nC: RSET\nS: 250 ok\nC: QUIT\nS: 221 bye", "permanent 550 5.1.1 no"},
		{"the chunk is refused", sent + "S: 552 5.3.4 too large\nC: RSET\nS: 250 ok\nC: QUIT\nS: 221 bye", "permanent 552 5.3.4 too large"},
		{"the chunk is put off", sent + "S: 452 4.3.1 full\nC: RSET\nS: 250 ok\nC: QUIT\nS: 221 bye", "temporary 452 4.3.1 full"},
		{"the end is refused", sent + "S: 250 ok\nC: BDAT 0 LAST\nS: 554 5.6.0 no\nC: QUIT\nS: 221 bye", "permanent 554 5.6.0 no"},
		{"lost after the end", sent + "S: 250 ok\nC: BDAT 0 LAST\nCUT", "temporary 451 4.4.2 Lost the connection after the message; it may have been delivered: the host closed it (ours) (unknown)"},
		{"lost before it", sent + "CUT", "temporary 451 4.4.2 Lost the connection while sending the message: the host closed it (ours)"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld()
			w.script(t, "192.0.2.1:25", c.dialogue)
			r := newRelay(t, w)
			out := r.Deliver(t.Context(), routeTo("mx.example.net=192.0.2.1"), binaryLetter(".\r\n", "luis@example.net"))
			if got := show(out[0]); got != c.want {
				t.Errorf("%s, want %s", got, c.want)
			}
			r.Close()
		})
	}
}

// To a host without it the message is not sent so.
func TestChunksNotOffered(t *testing.T) {
	for _, offer := range []string{"S: 250-CHUNKING\nS: 250 8BITMIME", "S: 250-BINARYMIME\nS: 250 8BITMIME", "S: 250 CHUNKING"} {
		w := newWorld()
		w.script(t, "192.0.2.1:25", "S: 220 x\nC: EHLO mail.posta.test\nS: 250-x\n"+offer+"\nC: QUIT\nS: 221 bye")
		r := newRelay(t, w)
		out := r.Deliver(t.Context(), routeTo("mx.example.net=192.0.2.1"), binaryLetter("x\r\n", "luis@example.net"))
		if out[0].Reply.Enhanced.String() != "5.6.3" {
			t.Errorf("%q: %s", offer, show(out[0]))
		}
		r.Close()
	}
}

// A server of another hand takes it, octet for octet, several in one connection.
func TestChunksToPeer(t *testing.T) {
	w, p := newWorld(), &peer{}
	w.peer(t, "192.0.2.1:25", p, func(s *gosmtp.Server) { s.EnableBINARYMIME = true })
	r := newRelay(t, w)
	large := strings.Repeat("\x00\xff.\r\n..\r\n", 50_000)
	for _, body := range []string{"", ".\r\n", large} {
		out := r.Deliver(t.Context(), routeTo("mx.example.net=192.0.2.1"), binaryLetter(body, "luis@example.net"))
		if out[0].Status != Delivered {
			t.Fatalf("%.20q: %s", body, show(out[0]))
		}
		if got := string(p.got[len(p.got)-1].data); got != "X-Head: 1\r\n"+body {
			t.Errorf("%d octets came as %d", len(body), len(got))
		}
	}
	if w.dialled() != 1 {
		t.Errorf("%d connections", w.dialled())
	}
}

// FuzzPairs: whatever a message holds, a bare CR or LF never goes out, and what has
// none goes out as it is, in whatever pieces.
func FuzzPairs(f *testing.F) {
	f.Add([]byte("a\r\nb\nc"), 3)
	f.Add([]byte("a\r\n\r"), 1)
	f.Add([]byte("\r\r\n"), 2)
	f.Fuzz(func(t *testing.T, in []byte, cut int) {
		cut = max(0, min(cut, len(in)))
		var g pairs
		out := g.Append(g.Append(nil, in[:cut]), in[cut:])
		n := bytes.Count(out, []byte("\r\n"))
		if bytes.Count(out, []byte("\r")) != n || bytes.Count(out, []byte("\n")) != n {
			t.Fatalf("%q goes out of %q", out, in)
		}
		n = bytes.Count(in, []byte("\r\n"))
		clean := bytes.Count(in, []byte("\r")) == n && bytes.Count(in, []byte("\n")) == n
		if clean == g.broken() || clean && !bytes.Equal(in, out) || !bytes.HasPrefix(in, out) {
			t.Fatalf("%q goes out of %q, broken %v", out, in, g.broken())
		}
	})
}

// A bare LF in what should have none ends the connection before the host has all that
// was promised: nothing is delivered.
func TestChunksBareLF(t *testing.T) {
	w, p := newWorld(), &peer{}
	w.peer(t, "192.0.2.1:25", p, func(s *gosmtp.Server) { s.EnableBINARYMIME = true })
	r := newRelay(t, w)
	m := binaryLetter("a\nb\r\n", "luis@example.net")
	m.BeforeDot = func(context.Context) error { return errors.New("must not be asked") }
	out := r.Deliver(t.Context(), routeTo("mx.example.net=192.0.2.1"), m)
	if n, _ := p.count(); out[0].Status != Temporary || !out[0].Ours || n != 0 {
		t.Errorf("%s, %d messages", show(out[0]), n)
	}
}
