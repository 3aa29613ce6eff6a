package relay

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"posta/internal/smtp"
)

const (
	hello = `
S: 220 mx.example.net ESMTP
C: EHLO mail.posta.test
S: 250-mx.example.net
S: 250-PIPELINING
S: 250-SIZE 1000000
S: 250-8BITMIME
S: 250 ENHANCEDSTATUSCODES
`
	// plainHello is a server that offers nothing.
	plainHello = `
S: 220 mx.example.net ESMTP
C: EHLO mail.posta.test
S: 250 mx.example.net
`
	mail = `
C: MAIL FROM:<ana@example.org> SIZE=23
C: RCPT TO:<luis@example.net>
C: DATA
`
	ok = `
S: 250 2.1.0 OK
S: 250 2.1.5 OK
S: 354 go on
C: *
S: 250 2.0.0 queued
`
)

const text = "Subject: x\r\n" // 12 octets, with the head 23

// show is an outcome in one line.
func show(o Outcome) string {
	s := fmt.Sprintf("%v %s", o.Status, o.Reply)
	if o.Ours {
		s += " (ours)"
	}
	if o.Unknown {
		s += " (unknown)"
	}
	return s
}

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
	if o := out[0]; show(o) != "delivered 250 2.0.0 OK queued as 12345" || o.Remote != "mx.example.net [192.0.2.1]:25" {
		t.Errorf("first: %+v", o)
	}
	if o := out[1]; show(o) != "permanent 550 5.1.1 No such user here" {
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

// What hosts do, and what follows. Each case has one dialogue for each
// connection to the first host, and one for the second.
func TestDialogues(t *testing.T) {
	const second = hello + mail + ok + "C: QUIT\nS: 221 bye\n"
	for _, c := range []struct {
		name   string
		first  []string // none: refuses connections
		second string   // "": must not be asked
		want   string
	}{
		{"one MX down", nil, second, "delivered 250 2.0.0 queued"},
		{"both down", nil, "", "temporary 451 4.4.1 No connection: connection refused (ours)"},
		{"421 as greeting", []string{"S: 421 4.3.2 too busy\nCUT"}, second, "delivered 250 2.0.0 queued"},
		{"554 as greeting", []string{"S: 554 no mail here\nCUT"}, second, "delivered 250 2.0.0 queued"},
		{"554 as greeting, and nobody else", []string{"S: 554 no mail here\nCUT"}, "-", "temporary 451 4.4.1 No connection: connection refused (ours)"},
		{"521 everywhere", []string{"S: 521 no mail here\nCUT"}, "S: 521 nor here\nCUT", "permanent 521 nor here"},
		{"no pipelining", []string{plainHello + `
C: MAIL FROM:<ana@example.org>
S: 250 OK
C: RCPT TO:<luis@example.net>
S: 250 OK
C: DATA
S: 354 go on
C: *
S: 250 done
C: QUIT
S: 221 bye`}, "", "delivered 250 done"},
		{"HELO for a host of the old days", []string{`
S: 220 old
C: EHLO mail.posta.test
S: 500 what?
C: HELO mail.posta.test
S: 250 hello
C: MAIL FROM:<ana@example.org>
S: 250 OK
C: RCPT TO:<luis@example.net>
S: 251 will forward
C: DATA
S: 354 go on
C: *
S: 250 done
C: QUIT
S: 221 bye`}, "", "delivered 250 done"},
		{"sender refused for good", []string{hello + mail + "S: 550 5.7.1 SPF\nS: 503 no\nS: 503 no\nC: RSET\nS: 250 ok\nC: QUIT\nS: 221 bye"}, "", "permanent 550 5.7.1 SPF"},
		{"sender put off", []string{hello + mail + "S: 451 4.7.0 wait\nS: 503 no\nS: 503 no\nC: RSET\nS: 250 ok\nC: QUIT\nS: 221 bye"}, second, "delivered 250 2.0.0 queued"},
		{"greylisted everywhere", []string{hello + mail + "S: 250 ok\nS: 450 4.7.1 grey\nS: 503 no\nC: RSET\nS: 250 ok\nC: QUIT\nS: 221 bye"},
			hello + mail + "S: 250 ok\nS: 450 4.7.1 grey too\nS: 503 no\nC: RSET\nS: 250 ok\nC: QUIT\nS: 221 bye", "temporary 450 4.7.1 grey"},
		{"recipient refused, DATA answered 354 all the same", []string{hello + mail + "S: 250 ok\nS: 550 5.1.1 no\nS: 354 well\nC: .\nS: 554 nothing\nC: RSET\nS: 250 ok\nC: QUIT\nS: 221 bye"}, "", "permanent 550 5.1.1 no"},
		{"refused after the dot", []string{hello + mail + "S: 250 ok\nS: 250 ok\nS: 354 go\nC: *\nS: 554 5.6.0 spam\nC: QUIT\nS: 221 bye"}, "", "permanent 554 5.6.0 spam"},
		{"put off after the dot", []string{hello + mail + "S: 250 ok\nS: 250 ok\nS: 354 go\nC: *\nS: 451 4.3.0 disk\nC: QUIT\nS: 221 bye"}, second, "delivered 250 2.0.0 queued"},
		{"cut at MAIL", []string{hello + mail + "CUT"}, second, "delivered 250 2.0.0 queued"},
		{"cut before the dot", []string{hello + mail + "S: 250 ok\nS: 250 ok\nCUT"}, second, "delivered 250 2.0.0 queued"},
		{"cut after the dot: never twice at once", []string{hello + mail + "S: 250 ok\nS: 250 ok\nS: 354 go\nC: *\nCUT"}, "",
			"temporary 451 4.4.2 Lost the connection after the message; it may have been delivered: the host closed it (ours) (unknown)"},
		{"421 after the dot", []string{hello + mail + "S: 250 ok\nS: 250 ok\nS: 354 go\nC: *\nS: 421 4.3.2 down\nCUT"}, second, "delivered 250 2.0.0 queued"},
		{"not SMTP", []string{"S: HTTP/1.1 400 Bad Request\nCUT"}, second, "delivered 250 2.0.0 queued"},
		{"two codes in one reply", []string{hello + mail + "S: 250-ok\nS: 451 no\nCUT"}, second, "delivered 250 2.0.0 queued"},
		{"a message larger than it takes", []string{strings.ReplaceAll(hello, "1000000", "20") + "C: QUIT\nS: 221 bye"}, "-", "temporary 451 4.4.1 No connection: connection refused (ours)"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld()
			if c.first != nil {
				w.script(t, "192.0.2.1:25", c.first...)
			}
			hosts := []string{"mx1.example.net=192.0.2.1"}
			if c.second != "" {
				hosts = append(hosts, "mx2.example.net=192.0.2.2")
				if c.second != "-" {
					w.script(t, "192.0.2.2:25", c.second)
				}
			}
			r := newRelay(t, w)
			out := r.Deliver(t.Context(), routeTo(hosts...), letter(text, "luis@example.net"))
			if got := show(out[0]); got != c.want {
				t.Errorf("\n got %s\nwant %s", got, c.want)
			}
			r.Close()
		})
	}
}

// A host that takes two recipients at a time gets the others in transactions of
// their own, over the same connection (RFC 5321 §4.5.3.1.10, RFC 9422).
func TestTooManyRecipients(t *testing.T) {
	one := func(a string) string { return "C: RCPT TO:<" + a + "@example.net>\n" }
	begin, data := "C: MAIL FROM:<ana@example.org> SIZE=23\n", "S: 354 go\nC: *\nS: 250 done\n"
	for name, dialogue := range map[string]string{
		"452": hello + begin + one("a") + one("b") + one("c") + "C: DATA\nS: 250 ok\nS: 250 ok\nS: 250 ok\nS: 452 4.5.3 too many\n" + data +
			begin + one("c") + "C: DATA\nS: 250 ok\nS: 250 ok\n" + data + "C: QUIT\nS: 221 bye",
		"RCPTMAX": strings.ReplaceAll(hello, "S: 250-PIPELINING", "S: 250-PIPELINING\nS: 250-LIMITS RCPTMAX=2") +
			begin + one("a") + one("b") + "C: DATA\nS: 250 ok\nS: 250 ok\nS: 250 ok\n" + data +
			begin + one("c") + "C: DATA\nS: 250 ok\nS: 250 ok\n" + data + "C: QUIT\nS: 221 bye",
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld()
			s := w.script(t, "192.0.2.1:25", dialogue)
			r := newRelay(t, w)
			for i, o := range r.Deliver(t.Context(), routeTo("mx.example.net=192.0.2.1"), letter(text, "a@example.net", "b@example.net", "c@example.net")) {
				if o.Status != Delivered {
					t.Errorf("recipient %d: %s", i, show(o))
				}
			}
			r.Close()
			if s.conns != 1 {
				t.Errorf("%d connections", s.conns)
			}
		})
	}
}

// A connection that was closed while nobody used it is replaced, without a trace.
func TestStaleConnection(t *testing.T) {
	w := newWorld()
	w.script(t, "192.0.2.1:25", hello+mail+ok+"CUT", hello+mail+ok+"C: QUIT\nS: 221 bye")
	r := newRelay(t, w)
	for range 2 {
		out := r.Deliver(t.Context(), routeTo("mx.example.net=192.0.2.1"), letter(text, "luis@example.net"))
		if got := show(out[0]); got != "delivered 250 2.0.0 queued" {
			t.Error(got)
		}
	}
	if w.dialled() != 2 {
		t.Errorf("%d connections", w.dialled())
	}
}

// Parameters go to a host that knows them, and not to one that does not.
func TestParameters(t *testing.T) {
	dsn := strings.ReplaceAll(hello, "S: 250-PIPELINING", "S: 250-PIPELINING\nS: 250-DSN\nS: 250-SMTPUTF8")
	for _, c := range []struct{ name, dialogue string }{
		{"DSN, 8BITMIME and SMTPUTF8", dsn + `
C: MAIL FROM:<ana@example.org> SIZE=23 BODY=8BITMIME SMTPUTF8 RET=HDRS ENVID=QQ314159+2B
C: RCPT TO:<ñandú@example.net> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;Bob@example.com
C: DATA` + ok + "C: QUIT\nS: 221 bye"},
		{"none", strings.ReplaceAll(plainHello, "S: 250 mx", "S: 250-mx") + "S: 250 SMTPUTF8" + `
C: MAIL FROM:<ana@example.org> SMTPUTF8
S: 250 ok
C: RCPT TO:<ñandú@example.net>
S: 250 ok
C: DATA
S: 354 go
C: *
S: 250 ok
C: QUIT
S: 221 bye`},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld()
			w.script(t, "192.0.2.1:25", c.dialogue)
			r := newRelay(t, w)
			m := letter(text)
			m.EightBit, m.UTF8, m.EnvID, m.Ret = true, true, "QQ314159+", RetHeaders
			m.Recipients = []Recipient{{Address: "ñandú@example.net", Original: "rfc822;Bob@example.com", Notify: smtp.NotifySuccess | smtp.NotifyFailure}}
			out := r.Deliver(t.Context(), routeTo("mx.example.net=192.0.2.1"), m)
			if out[0].Status != Delivered || out[0].DSN != strings.Contains(c.dialogue, "DSN\n") {
				t.Errorf("%+v", out[0])
			}
			r.Close()
		})
	}
}

// What a host cannot take is refused for it: SMTPUTF8, 8-bit bodies.
func TestCannotTake(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*Message)
		want   string
	}{
		{"UTF-8 address", func(m *Message) { m.UTF8, m.Recipients[0].Address = true, "ñ@example.net" }, "5.6.7"},
		{"UTF-8 reverse-path", func(m *Message) { m.UTF8, m.ReversePath = true, "ñ@example.org" }, "5.6.7"},
		{"8-bit body that cannot be converted", func(m *Message) {
			m.EightBit = true
			m.Open = func(_ context.Context, form Form) (*Content, error) {
				if form != SevenBits {
					t.Error("8 bits for a host without 8BITMIME")
				}
				return nil, ErrNotConvertible
			}
		}, "5.6.3"},
		{"unreadable message", func(m *Message) {
			m.Open = func(context.Context, Form) (*Content, error) { return nil, errors.New("disk") }
		}, "4.3.0"},
		{"a line end in an address", func(m *Message) { m.Recipients[0].Address = "a\r\nRCPT TO:<b@example.net>" }, "5.1.3"},
		{"a line end in the reverse-path", func(m *Message) { m.ReversePath = "a\nb@example.org" }, "5.1.7"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld()
			w.script(t, "192.0.2.1:25", plainHello+"C: QUIT\nS: 221 bye\n")
			r := newRelay(t, w)
			m := letter(text, "luis@example.net")
			c.change(m)
			out := r.Deliver(t.Context(), routeTo("mx.example.net=192.0.2.1"), m)
			if got := out[0].Reply.Enhanced.String(); got != c.want {
				t.Errorf("%s, want %s", show(out[0]), c.want)
			}
			r.Close()
		})
	}
}

// Without leave to send the dot, no dot is sent.
func TestBeforeDot(t *testing.T) {
	w := newWorld()
	s := w.script(t, "192.0.2.1:25", hello+mail+"S: 250 ok\nS: 250 ok\nS: 354 go\n")
	r := newRelay(t, w)
	m := letter(text, "luis@example.net")
	m.BeforeDot = func(context.Context) error { return errors.New("fenced") }
	out := r.Deliver(t.Context(), routeTo("mx.example.net=192.0.2.1", "mx2.example.net=192.0.2.2"), m)
	s.wg.Wait()
	if out[0].Status != Temporary || out[0].Unknown || strings.Contains(s.heard.String(), "\r\n.\r\n") || !strings.HasSuffix(s.heard.String(), text) {
		t.Errorf("%s; heard %q", show(out[0]), s.heard.String())
	}
}

// The waits of RFC 5321 §4.5.3.2, in fake time.
func TestTimeouts(t *testing.T) {
	to := DefaultTimeouts()
	for _, c := range []struct {
		name, dialogue, want string
		wait                 time.Duration
	}{
		{"silent at the greeting", "", "temporary 451 4.4.2 Lost the connection waiting for the greeting: timed out (ours)", to.Greeting},
		{"silent after RCPT", hello + mail + "S: 250 ok\n", "temporary 451 4.4.2 Lost the connection after RCPT: timed out (ours)", to.Rcpt},
		{"silent after DATA", hello + mail + "S: 250 ok\nS: 250 ok\n", "temporary 451 4.4.2 Lost the connection after DATA: timed out (ours)", to.Data},
		{"silent after the dot", hello + mail + "S: 250 ok\nS: 250 ok\nS: 354 go\nC: *\n",
			"temporary 451 4.4.2 Lost the connection after the message; it may have been delivered: timed out (ours) (unknown)", to.Dot},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld()
				w.script(t, "192.0.2.1:25", c.dialogue)
				r := newRelay(t, w)
				begin := time.Now()
				out := r.Deliver(t.Context(), routeTo("mx.example.net=192.0.2.1"), letter(text, "luis@example.net"))
				if got := show(out[0]); got != c.want {
					t.Errorf("\n got %s\nwant %s", got, c.want)
				}
				if d := time.Since(begin); d != c.wait {
					t.Errorf("it waited %v, want %v", d, c.wait)
				}
			})
		})
	}
}

// The end of the context cuts an attempt at once.
func TestCancel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.script(t, "192.0.2.1:25", hello+mail+"S: 250 ok\n")
		r := newRelay(t, w)
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		begin := time.Now()
		out := r.Deliver(ctx, routeTo("mx.example.net=192.0.2.1", "mx2.example.net=192.0.2.2"), letter(text, "luis@example.net"))
		if out[0].Status != Temporary || time.Since(begin) != 3*time.Second {
			t.Errorf("%s after %v", show(out[0]), time.Since(begin))
		}
		if w.dialled() != 1 {
			t.Error("it went on to the next host")
		}
	})
}

// A host that does not answer is left alone for a while, as long as the
// administrator wants, then asked again.
func TestDown(t *testing.T) {
	for _, pause := range []time.Duration{0, 10 * time.Minute} {
		t.Run(pause.String(), func(t *testing.T) { testDown(t, pause, cmp.Or(pause, 30*time.Second)) })
	}
}

func testDown(t *testing.T, pause, want time.Duration) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		r := newRelay(t, w, func(c *Config) { c.Down = pause })
		try := func() string {
			return show(r.Deliver(t.Context(), routeTo("mx.example.net=192.0.2.1"), letter(text, "luis@example.net"))[0])
		}
		for range 100 {
			if got := try(); got != "temporary 451 4.4.1 No connection: connection refused (ours)" {
				t.Fatal(got)
			}
		}
		if w.dialled() != 1 {
			t.Errorf("%d connections were tried at once", w.dialled())
		}
		time.Sleep(want - time.Second)
		if try(); w.dialled() != 1 {
			t.Errorf("asked again before %v were over", want)
		}
		time.Sleep(time.Second)
		w.script(t, "192.0.2.1:25", hello+mail+ok+"C: QUIT\nS: 221 bye\n")
		if got := try(); got != "delivered 250 2.0.0 queued" {
			t.Error(got)
		}
		r.Close()
	})
}

// An idle connection is ended properly after its time, and holds no place.
func TestIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.script(t, "192.0.2.1:25", hello+mail+ok+"C: QUIT\nS: 221 bye\n", hello+mail+ok+"C: QUIT\nS: 221 bye\n")
		r := newRelay(t, w, func(c *Config) { c.PerHost = 1 })
		rt := routeTo("mx.example.net=192.0.2.1")
		for range 2 {
			if out := r.Deliver(t.Context(), rt, letter(text, "luis@example.net")); out[0].Status != Delivered {
				t.Fatal(show(out[0]))
			}
			time.Sleep(29 * time.Second)
			if r.Idle() != 1 {
				t.Error("it was not kept")
			}
			time.Sleep(2 * time.Second)
			if r.Idle() != 0 {
				t.Error("it was kept too long")
			}
		}
	})
}

// At most PerHost connections; what finds no place was no attempt.
func TestBusy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.script(t, "192.0.2.1:25", "")
		r := newRelay(t, w, func(c *Config) { c.PerHost = 1 })
		rt := routeTo("mx.example.net=192.0.2.1")
		ctx, cancel := context.WithCancel(t.Context())
		go r.Deliver(ctx, rt, letter(text, "luis@example.net"))
		synctest.Wait()
		out := r.Deliver(ctx, rt, letter(text, "luis@example.net"))
		if out[0].Status != Busy || w.dialled() != 1 {
			t.Errorf("%s, %d connections", show(out[0]), w.dialled())
		}
		cancel()
		synctest.Wait()
	})
}

// IPv6 first; when it does not answer, IPv4 of the same host.
func TestBothFamilies(t *testing.T) {
	w := newWorld()
	w.script(t, "192.0.2.1:25", hello+mail+ok+"C: QUIT\nS: 221 bye\n")
	r := newRelay(t, w)
	rt := routeTo("mx.example.net=2001:db8::1")
	rt.Hosts[0].Addrs = append(rt.Hosts[0].Addrs, routeTo("x=192.0.2.1").Hosts[0].Addrs...)
	out := r.Deliver(t.Context(), rt, letter(text, "luis@example.net"))
	if out[0].Status != Delivered || strings.Join(w.dials, " ") != "[2001:db8::1]:25 192.0.2.1:25" {
		t.Errorf("%s by %v", show(out[0]), w.dials)
	}
	r.Close()
}
