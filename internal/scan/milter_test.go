package scan

import (
	"context"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"

	gomilter "github.com/d--j/go-milter"
	"github.com/google/go-cmp/cmp"

	"posta/internal/mail"
	"posta/internal/memnet"
	"posta/internal/milter"
)

// A milter that wants to hear of nothing but the end of the message, in octets.
const endOnly = "\x00\x00\x00\x0dO\x00\x00\x00\x06\x00\x00\x01\xff\x00\x00\x03\x7f"

// saying is a milter that says all this, the options first and the rest at the end
// of the message, and then goes away, or hangs.
func saying(t *testing.T, said string, hang bool) *Milter {
	t.Helper()
	m, err := NewMilter("/run/milter", milter.Options{MaxBody: 1 << 20, Dial: func(context.Context, string, string) (net.Conn, error) {
		a := memnet.TCPAddr(netip.MustParseAddrPort("127.0.0.1:8891"))
		ours, theirs := memnet.Pipe(a, a)
		go func() {
			defer theirs.Close()
			rest, agreed := strings.CutPrefix(said, endOnly)
			if agreed {
				io.WriteString(theirs, endOnly)
				// Our offer, the macros of the end, and the end.
				for heard := ""; !strings.HasSuffix(heard, "\x00\x00\x00\x01E"); {
					b := make([]byte, 1000)
					n, err := theirs.Read(b)
					if err != nil {
						t.Error(err)
						return
					}
					heard += string(b[:n])
				}
			}
			io.WriteString(theirs, rest)
			if hang {
				io.Copy(io.Discard, theirs)
			}
		}()
		return ours, nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// Whatever a milter does in the middle of a message, it is put off or goes on as
// it was; no half of its edits counts.
func TestMilterBreaksOff(t *testing.T) {
	add := "\x00\x00\x00\x07hX-A\x00b\x00"
	for _, c := range []struct {
		name  string
		said  string
		hang  bool
		cause Cause
	}{
		{"before the options", "", false, Down},
		{"before the reply", endOnly, false, Down},
		{"after half of the edits", endOnly + add + "\x00\x00\x00\x07hX", false, Down},
		{"after half of the body", endOnly + add + "\x00\x00\x00\x05bnew ", false, Down},
		{"with garbage", endOnly + add + "HTTP/1.1 400 Bad Request\r\n", false, Nonsense},
		{"with a giant", endOnly + add + "\x7f\xff\xff\xffb", false, Nonsense},
		{"with an unknown reply", endOnly + add + "\x00\x00\x00\x01Z", false, Nonsense},
		{"with a body beyond bounds", endOnly + strings.Repeat("\x00\x01\x00\x00b"+strings.Repeat("x", 65535), 17), false, TooLarge},
		{"with a recipient that is none", endOnly + "\x00\x00\x00\x06+<@b>\x00\x00\x00\x00\x01c", false, Nonsense},
		{"in silence", endOnly + add, true, Slow},
		{"in silence from the start", "", true, Slow},
	} {
		for set, want := range map[Fallback]mail.Action{Defer: mail.Defer, Pass: mail.Junk} {
			t.Run(c.name+" "+set.String(), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					r := runner(t, Member{Scanner: saying(t, c.said, c.hang), OnFailure: set, OnTooLarge: set},
						Member{Scanner: says(Report{Action: mail.Junk}, nil)})
					o := r.Run(t.Context(), facts(t), text(header, "Hello\r\n"))
					defer o.Close()
					if o.Action != want || o.Results[0].Cause != c.cause {
						t.Errorf("%v %v", o.Action, o.Results)
					}
					if o.HeaderEdited || o.BodyEdited || whole(t, o.Message) != header+"Hello\r\n" {
						t.Error("the message was changed")
					}
				})
			})
		}
	}
}

// A quarantine is an action with its reason; edits beside it count.
func TestMilterQuarantine(t *testing.T) {
	m := saying(t, endOnly+"\x00\x00\x00\x07hX-A\x00b\x00\x00\x00\x00\x05qodd\x00\x00\x00\x00\x01c", true)
	o := runner(t, Member{Scanner: m}).Run(t.Context(), facts(t), text(header, "Hello\r\n"))
	defer o.Close()
	want := strings.TrimSuffix(header, "\r\n") + "X-A: b\r\n\r\nHello\r\n"
	if o.Action != mail.Quarantine || o.Reason != "odd" || whole(t, o.Message) != want {
		t.Errorf("%v %v %q", o.Action, o.Results, whole(t, o.Message))
	}
}

// What milters are told of who the client is.
func TestMacros(t *testing.T) {
	stranger := facts(t)
	stranger.Name = ""
	user := facts(t)
	user.Envelope.Client.Login, user.Envelope.Client.Door = "ana@example.net", mail.Submission
	user.Envelope.Client.TLS = mail.TLS{Version: "TLS1.3", Cipher: "TLS_AES_128_GCM_SHA256"}
	user.Envelope.Client.Local = netip.MustParseAddrPort("198.51.100.1:465")
	program := facts(t)
	program.Name, program.PTR, program.Envelope.Client = "", "", mail.Client{Door: mail.Local}
	for _, c := range []struct {
		f    *Facts
		want milter.Macros
	}{
		{facts(t), milter.Macros{
			"j": "mx.example.org", "v": "Posta", "daemon_name": "MTA", "_": "mx.example.net [192.0.2.7]", "client_addr": "192.0.2.7",
			"client_port": "4711", "client_name": "mx.example.net", "client_ptr": "mx.example.net",
		}},
		{stranger, milter.Macros{
			"j": "mx.example.org", "v": "Posta", "daemon_name": "MTA", "_": "mx.example.net [192.0.2.7] (may be forged)", "client_addr": "192.0.2.7",
			"client_port": "4711", "client_name": "[192.0.2.7]", "client_ptr": "mx.example.net",
		}},
		{user, milter.Macros{
			"j": "mx.example.org", "v": "Posta", "daemon_name": "MSA", "_": "mx.example.net [192.0.2.7]", "client_addr": "192.0.2.7",
			"client_port": "4711", "client_name": "mx.example.net", "client_ptr": "mx.example.net",
			"auth_authen": "ana@example.net", "auth_type": "PLAIN", "tls_version": "TLSv1.3", "cipher": "TLS_AES_128_GCM_SHA256",
			"daemon_addr": "198.51.100.1", "daemon_port": "465",
		}},
		{program, milter.Macros{
			"j": "mx.example.org", "v": "Posta", "daemon_name": "MTA", "_": "localhost", "client_name": "localhost", "client_ptr": "localhost",
		}},
	} {
		got := connectionMacros(c.f)
		for k, v := range got {
			if v == "" {
				delete(got, k)
			}
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Error(diff)
		}
	}
}

// The parameters of MAIL and RCPT are given as the client gave them.
func TestParameters(t *testing.T) {
	f := facts(t)
	f.Envelope.EightBit, f.Envelope.UTF8 = true, true
	if diff := cmp.Diff(milter.Path{Address: "ana@example.net", Params: []string{"SIZE=100", "BODY=8BITMIME", "SMTPUTF8"}}, mailPath(f.Envelope)); diff != "" {
		t.Error(diff)
	}
	r := mail.Recipient{Address: address(t, "bea@example.org"), Notify: mail.NotifySuccess | mail.NotifyDelay}
	if diff := cmp.Diff(milter.Path{Address: "bea@example.org", Params: []string{"NOTIFY=SUCCESS,DELAY"}}, rcptPath(r)); diff != "" {
		t.Error(diff)
	}
}

// quick is a milter that replies only where it must.
type quick struct{ gomilter.NoOpMilter }

func (quick) EndOfMessage(m gomilter.Modifier) (*gomilter.Response, error) {
	return gomilter.RespAccept, m.InsertHeader(0, "X-Seen", "yes")
}

// BenchmarkMilter is one message of 12 KiB through one milter over loopback.
func BenchmarkMilter(b *testing.B) {
	server := gomilter.NewServer(gomilter.WithMilter(func() gomilter.Milter { return quick{} }),
		gomilter.WithActions(gomilter.OptAddHeader), gomilter.WithProtocols(gomilter.OptNoReplies))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(l) // it ends with Close
	}()
	s, err := NewMilter(l.Addr().String(), milter.Options{})
	if err != nil {
		b.Fatal(err)
	}
	r, f, m := runner(b, Member{Scanner: s}), facts(b), text(header, strings.Repeat("0123456789\r\n", 1000))
	b.ReportAllocs()
	for b.Loop() {
		o := r.Run(b.Context(), f, m)
		if !o.HeaderEdited {
			b.Fatal(o.Results)
		}
		o.Close()
	}
	l.Close()
	server.Close()
	<-done
}

// BenchmarkNobody is what a message costs where no scanner is set up.
func BenchmarkNobody(b *testing.B) {
	r, f, m := runner(b), facts(b), text(header, "Hello\r\n")
	b.ReportAllocs()
	for b.Loop() {
		r.Run(b.Context(), f, m).Close()
	}
}
