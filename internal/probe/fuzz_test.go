package probe

import (
	"bytes"
	"context"
	"crypto/x509"
	"net"
	"strings"
	"testing"
	"time"
)

// spoken is a connection on which everything has been said already: the octets of a
// server, whatever is sent to it.
type spoken struct {
	in   *bytes.Reader
	read *int
}

func (s *spoken) Read(b []byte) (int, error) {
	n, err := s.in.Read(b)
	*s.read += n
	return n, err
}
func (s *spoken) Write(b []byte) (int, error)      { return len(b), nil }
func (s *spoken) Close() error                     { return nil }
func (s *spoken) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (s *spoken) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (s *spoken) SetDeadline(time.Time) error      { return nil }
func (s *spoken) SetReadDeadline(time.Time) error  { return nil }
func (s *spoken) SetWriteDeadline(time.Time) error { return nil }

// FuzzServers: whatever a server says, in any protocol, a probe ends; it makes no more
// than its connections, reads no more than its budget on each, tells no line with a
// line end in it, and never takes silence for a good answer.
func FuzzServers(f *testing.F) {
	for _, s := range []string{
		"220 mx\r\n250-mx\r\n250 STARTTLS\r\n214 x\r\n252 x\r\n252 x\r\n502 x\r\n220 go\r\n",
		"* OK x\r\n* CAPABILITY IMAP4rev1 LOGINDISABLED\r\na1 OK\r\na3 OK\r\n", "+OK x\r\n+OK\r\nSTLS\r\nSASL PLAIN\r\n.\r\n+OK\r\n+OK\r\n",
		"220-a\r\n220 b\r\n421 x\r\n", "", "\x16\x03\x01\x00\x05",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, said []byte) {
		for _, protocol := range []string{"smtp", "imap", "pop3"} {
			connections, read, lines := 0, 0, 0
			cfg := Config{
				Hello: "probe.example.org", Roots: x509.NewCertPool(), Timeouts: Timeouts{Pause: -1},
				Dial: func(context.Context, string, string) (net.Conn, error) {
					if connections++; read > connections*maxOctets {
						t.Fatalf("%d octets were read", read)
					}
					return &spoken{bytes.NewReader(said), &read}, nil
				},
				Saw: func(l Line) {
					if lines++; l.From == Us && strings.ContainsAny(l.Text, "\r\n") {
						t.Fatalf("we say %q", l.Text)
					}
				},
			}
			var failed error
			var complete bool
			switch protocol {
			case "smtp":
				r := ProbeSMTP(t.Context(), cfg, target(false), everything)
				failed, complete = r.Error, r.Greeting.Answered()
				if r.OpenRelay() == No && len(r.Relay) != len(RelayForms()) {
					t.Fatal("no relay, and not all forms were asked")
				}
			case "imap":
				m := ProbeIMAP(t.Context(), cfg, target(false), MailboxOptions{Versions: true, Inject: true})
				failed, complete = m.Error, m.Greeting != ""
			default:
				m := ProbePOP3(t.Context(), cfg, target(false), MailboxOptions{Versions: true, Inject: true})
				failed, complete = m.Error, m.Greeting != ""
			}
			if failed == nil && !complete {
				t.Fatalf("%s: a server that said nothing passes", protocol)
			}
			if connections > maxConnections || lines > connections*(2*maxLines+100) {
				t.Fatalf("%d connections, %d lines", connections, lines)
			}
		}
	})
}
