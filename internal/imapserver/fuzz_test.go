package imapserver

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

// FuzzStates brings a session into each state and then writes noise. The server
// must answer in lines, keep the mailbox's promises and take the next client.
func FuzzStates(f *testing.F) {
	for state := range byte(5) {
		for _, s := range []string{
			"a NOOP\r\n", "a LOGIN {3+}\r\nabc x\r\n", "a FETCH 1:* (FLAGS BODY[1.2]<0.5>)\r\nb UID SEARCH RETURN (SAVE) TEXT x\r\nc COPY $ Trash\r\n",
			"a APPEND INBOX {5+}\r\nhello\r\nb STORE 1 FLAGS (x)\r\nc EXPUNGE\r\n", "a IDLE\r\nDONE\r\n", "a STARTTLS\r\n", "a SELECT INBOX (QRESYNC (1001 1))\r\n",
			"a LIST (SUBSCRIBED) \"\" (% *) RETURN (STATUS (SIZE))\r\n", "a AUTHENTICATE PLAIN\r\nAGE=\r\n", "\x00\xff{99999999+}\r\n",
		} {
			f.Add(state, []byte(s))
		}
	}
	f.Fuzz(func(t *testing.T, state byte, noise []byte) {
		b := newBench(t, ImplicitTLS, func(s *Server) {
			s.Limits.Login = time.Second
			s.Limits.Idle = time.Second
			s.Limits.Literal = time.Second
		})
		b.deliver("INBOX", "Subject: x\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\none\r\n--b\r\n\r\ntwo\r\n--b--\r\n")
		c := b.dial()
		switch state % 5 {
		case 0:
		case 1:
			c.login()
		case 2:
			c.login().run("s", "SELECT INBOX")
		case 3:
			c.login().run("s", "EXAMINE INBOX")
		case 4:
			c.login().run("s", "ENABLE QRESYNC IMAP4rev2")
			c.run("s", "SELECT INBOX")
		}
		c.nc.SetDeadline(time.Now().Add(10 * time.Second))
		go func() { // ends with the connection
			c.nc.Write(noise)
			c.nc.Write([]byte("\r\nZ LOGOUT\r\n"))
			c.nc.(interface{ CloseWrite() error }).CloseWrite()
		}()
		var out bytes.Buffer
		if _, err := out.ReadFrom(c.r); err != nil && !strings.Contains(err.Error(), "closed") && !strings.Contains(err.Error(), "EOF") {
			t.Fatalf("the server keeps a client that has gone: %v", err)
		}
		if bytes.Contains(out.Bytes(), []byte("SERVERBUG")) {
			t.Fatalf("internal error: %q", out.Bytes())
		}
		if got := b.dial().login().run("n", "NOOP"); !strings.HasPrefix(got[0], "n OK") {
			t.Fatalf("the next client: %q", got)
		}
	})
}
